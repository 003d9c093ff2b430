import ChaskiModel
import ChaskiSimulation
import ChaskiStorage
import Testing

/// `JournalSweepTests` for a life in which files are compacted and history is kept: every file
/// operation fails once, and is once the last of the process; and so for every operation of the
/// recovery after it.
@Suite struct CompactionSweepTests {
    private func sweep() throws -> JournalSweep {
        let scenario = JournalScenario(seed: 3, groups: 16, compacts: true)
        let disk = SimulatedFileSystem(seed: 0)
        var oracle = JournalOracle()
        _ = try #require(try scenario.run(disk, &oracle))
        #expect(oracle.okCount == scenario.groups)
        // Otherwise nothing would be tested.
        #expect(oracle.figures.compactions >= 3 && oracle.figures.segmentsMade >= 2)
        #expect(oracle.figures.historyEntries > 5)
        return JournalSweep(
            scenario: scenario, operations: disk.operations, liveOn: Self.liveOn)
    }

    private static func liveOn(
        _ disk: SimulatedFileSystem, _ oracle: inout JournalOracle
    ) throws {
        disk.faults = DiskFaults()
        var random = DiskRandom(seed: 5)
        let opened = try JournalScenario.recover(disk, &oracle)
        for _ in 0..<30 { oracle.upkeep(opened, &random) }
        try oracle.checkReads(opened)
        disk.powerCut()
        let again = try JournalScenario.recover(disk, &oracle)
        for _ in 0..<3 { try oracle.commit(oracle.nextGroup(&random), to: again) }
        for _ in 0..<30 { oracle.upkeep(again, &random) }
        guard !disk.names.contains(where: { $0.hasPrefix("partial-") }) else {
            throw JournalOracle.Wrong.promise("what was not finished stays: \(disk.names)")
        }
    }

    @Test(arguments: [true, false]) func crashAtEveryOperation(powerCut: Bool) throws {
        try sweep().crashEverywhere(powerCut: powerCut)
    }

    @Test(arguments: [true, false]) func failAtEveryOperation(fromThereOn: Bool) throws {
        try sweep().failEverywhere(fromThereOn: fromThereOn)
    }

    @Test func crashAtEveryOperationOfEveryRecovery() throws {
        #expect(try sweep().crashInEveryRecovery(step: 7) > 500)
    }

    @Test func manySeeds() throws {
        var figures = UpkeepFigures()
        for seed in 1...80 as ClosedRange<UInt64> {
            do {
                try life(seed, &figures)
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
        #expect(figures.compactions > 300 && figures.historyEntries > 2_000)
    }

    /// Several lives of one journal with random faults.
    private func life(_ seed: UInt64, _ figures: inout UpkeepFigures) throws {
        var random = DiskRandom(seed: seed)
        let disk = SimulatedFileSystem(seed: seed)
        var oracle = JournalOracle()
        for _ in 0..<6 {
            let scenario = JournalScenario(seed: random.next(), groups: 30, compacts: true)
            var faults = DiskFaults()
            if random.chance(1, in: 3) { faults.syncFailuresPerMillion = 10_000 }
            if random.chance(1, in: 3) { faults.writeFailuresPerMillion = 10_000 }
            if random.chance(1, in: 3) {
                faults.crashAt = disk.operations + Int(random.below(250)) + 1
            }
            if random.chance(1, in: 4) {
                disk.capacityBytes = disk.usedBytes + Int(random.below(100_000))
            }
            disk.faults = faults
            try scenario.run(disk, &oracle)
            disk.faults = DiskFaults()
            disk.capacityBytes = 1 << 40
            if random.chance(2, in: 3) { disk.powerCut() } else { disk.processKill() }
            _ = try JournalScenario.recover(disk, &oracle)
            disk.processKill()
        }
        _ = try JournalScenario.recover(disk, &oracle)
        figures.add(oracle.figures)
    }
}
