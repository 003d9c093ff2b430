import ChaskiSimulation
import Testing

/// A few seeds of the whole; thousands run from `chaski-sim run` in a release build.
struct SimulationTests {
    @Test(arguments: 1...12)
    func keepsItsPromises(seed: UInt64) {
        var options = SimulationOptions()
        options.operations = 400
        let report = SeedReport.run(seed: seed, options: options, twice: true)
        #expect(report.violations == [])
        #expect(report.operations >= 400)
    }

    @Test func anotherSeedIsAnotherHistory() {
        var options = SimulationOptions()
        options.operations = 60
        let one = SeedReport.run(seed: 1, options: options, twice: false)
        let two = SeedReport.run(seed: 2, options: options, twice: false)
        #expect(one.hash != two.hash)
    }

    /// A suite that lets these pass proves nothing.
    @Test(arguments: [Mutation.noFileSync, .answerBeforeSync, .lateFileSync])
    func noticesWhatIsBroken(mutation: Mutation) {
        var options = mutation.options
        options.operations = 400
        let caught = (1...40).first { seed in
            !SeedReport.run(seed: UInt64(seed), options: options, twice: false).violations.isEmpty
        }
        #expect(caught != nil, "\(mutation.rawValue) went unnoticed")
    }
}
