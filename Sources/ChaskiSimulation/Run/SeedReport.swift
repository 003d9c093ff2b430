/// What came of one seed.
package struct SeedReport: Sendable {
    package var seed: UInt64
    package var operations: Int
    package var hash: UInt64
    /// Bit n: the n-th feature, or fault, had an effect.
    package var features: UInt64
    package var faults: UInt64
    /// Per feature the faults in spite of which it took effect.
    package var together: [UInt64]
    package var violations: [Violation]

    package init(
        seed: UInt64, operations: Int, hash: UInt64, features: UInt64, faults: UInt64,
        together: [UInt64], violations: [Violation]
    ) {
        self.seed = seed
        self.operations = operations
        self.hash = hash
        self.features = features
        self.faults = faults
        self.together = together
        self.violations = violations
    }

    /// Runs a seed, twice when `twice`: the second history must be the first.
    package static func run(
        seed: UInt64, options: SimulationOptions = SimulationOptions(), twice: Bool
    ) -> SeedReport {
        let simulation = Simulation(seed: seed, options: options)
        simulation.run()
        var report = SeedReport(
            seed: seed, operations: simulation.operations, hash: simulation.hash.value,
            features: mask(simulation.featureHits), faults: mask(simulation.faultHits),
            together: simulation.together,
            violations: simulation.violations)
        if twice, report.violations.isEmpty {
            let again = Simulation(seed: seed, options: options)
            again.run()
            if again.hash != simulation.hash {
                report.violations.append(
                    Violation(
                        check: "determinism",
                        message: "the second run of seed \(seed) differs from the first",
                        time: 0))
            }
        }
        return report
    }

    private static func mask(_ hits: [Int]) -> UInt64 {
        var mask: UInt64 = 0
        for (place, count) in hits.enumerated() where count > 0 { mask |= 1 << UInt64(place) }
        return mask
    }
}
