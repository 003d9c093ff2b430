import ChaskiSimulation
import Testing

struct RunSummaryTests {
    private func report(
        _ seed: UInt64, operations: Int, features: UInt64, faults: UInt64, together: UInt64 = 0
    ) -> SeedReport {
        SeedReport(
            seed: seed, operations: operations, hash: 0, features: features, faults: faults,
            together: [together],
            violations: seed == 3 ? [Violation(check: "P1", message: "lost", time: 1)] : [])
    }

    @Test func countsPairsAndFindsTheMedian() {
        var summary = RunSummary()
        let all = (UInt64(1) << UInt64(Feature.allCases.count)) - 1
        summary.add(report(1, operations: 10, features: all, faults: 0))
        summary.add(report(2, operations: 30, features: 0, faults: 1))
        summary.add(report(3, operations: 20, features: 1, faults: 1, together: 1))
        #expect(summary.medianOperations == 20)
        #expect(summary.totalOperations == 60)
        #expect(summary.failing.map(\.seed) == [3])
        // One feature met one fault; the others met none.
        #expect(summary.idle.isEmpty)
        #expect(summary.untried.count == Feature.allCases.count * Fault.allCases.count - 1)
        #expect(summary.table.split(separator: "\n").count == Feature.allCases.count + 2)
    }
}
