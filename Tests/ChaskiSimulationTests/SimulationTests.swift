import Testing

@testable import ChaskiSimulation

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

    /// The real wire in small pieces, with everything that a network does.
    @Test(arguments: 1...4)
    func keepsItsPromisesOverTheWire(seed: UInt64) {
        var options = SimulationOptions()
        var plan = SwarmPlan()
        plan.features = [.wire, .retry, .claims, .heartbeat, .largePayload]
        plan.faults = [.fragments, .connectionLoss, .halfOpen, .stall]
        plan.operations = 300
        options.plan = plan
        let report = SeedReport.run(seed: seed, options: options, twice: true)
        #expect(report.violations == [])
        #expect(report.features >> UInt64(Feature.wire.rawValue) & 1 == 1)
    }

    @Test func everyScenarioOfTheSweepIsSound() {
        #expect(SweepScenario.allCases.count >= 8)
        for scenario in SweepScenario.allCases {
            let simulation = Simulation(seed: 1, options: scenario.options)
            simulation.run()
            #expect(simulation.violations == [], "\(scenario)")
            #expect(simulation.diskOperationsBeforeEnd > 20, "\(scenario)")
        }
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
