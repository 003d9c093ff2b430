import ChaskiModel
import ChaskiSimulation
import ChaskiStorage
import Testing

/// Fails, and crashes at, the n-th file operation for every n; crashes again at the m-th operation
/// of the recovery for every m.
@Suite struct JournalSweepTests {
    private func sweep(seed: UInt64, groups: Int) throws -> JournalSweep {
        let scenario = JournalScenario(seed: seed, groups: groups)
        let disk = SimulatedFileSystem(seed: 0)
        var oracle = JournalOracle()
        let opened = try #require(try scenario.run(disk, &oracle))
        #expect(opened.journal.spaceState == .available)
        #expect(oracle.okCount == scenario.groups)
        return JournalSweep(
            scenario: scenario, operations: disk.operations, liveOn: Self.liveOn)
    }

    /// Three more lives after the fault, the last of them after a power cut.
    private static func liveOn(
        _ disk: SimulatedFileSystem, _ oracle: inout JournalOracle
    ) throws {
        disk.faults = DiskFaults()
        var random = DiskRandom(seed: 5)
        _ = try JournalScenario.recover(disk, &oracle)
        disk.processKill()
        let opened = try JournalScenario.recover(disk, &oracle)
        for _ in 0..<3 { try oracle.commit(oracle.nextGroup(&random), to: opened) }
        #expect(!oracle.failed)
        disk.powerCut()
        _ = try JournalScenario.recover(disk, &oracle)
    }

    @Test(arguments: [true, false]) func crashAtEveryOperation(powerCut: Bool) throws {
        try sweep(seed: 11, groups: 14).crashEverywhere(powerCut: powerCut, times: 2)
    }

    @Test(arguments: [true, false]) func failAtEveryOperation(fromThereOn: Bool) throws {
        try sweep(seed: 12, groups: 14).failEverywhere(fromThereOn: fromThereOn)
    }

    @Test func crashAtEveryOperationOfEveryRecovery() throws {
        #expect(try sweep(seed: 13, groups: 5).crashInEveryRecovery() > 500)
    }

    /// After a failed sync the page cache shows a group that the disk does not hold; an opening
    /// that copies it and is cut off must not bring it back later.
    @Test func crashAtEveryOperationOfARecoveryAfterAFailure() throws {
        let sweep = try sweep(seed: 14, groups: 4)
        for number in 1...sweep.operations {
            var again = 1
            var crashed = true
            while crashed {
                let disk = SimulatedFileSystem(seed: UInt64(number &* 1_000 &+ again))
                disk.faults.failAt = number
                var oracle = JournalOracle()
                try sweep.scenario.run(disk, &oracle)
                disk.processKill()
                disk.faults = DiskFaults()
                disk.faults.crashAt = disk.operations + again
                let opened = JournalScenario.open(disk)
                crashed = disk.hasCrashed
                disk.faults = DiskFaults()
                if crashed {
                    disk.powerCut()
                } else if let opened {
                    try oracle.check(opened)
                    disk.processKill()
                }
                do {
                    try Self.liveOn(disk, &oracle)
                } catch {
                    Issue.record("failure at \(number), then crash at \(again): \(error)")
                    return
                }
                again += 1
            }
        }
    }

    @Test func manySeeds() throws {
        // 490: an opening that was cut off left a group in a spare, found again under the same id.
        // 2439: a recycled file was written to while its new name was in the page cache only.
        for seed in Array(1...60 as ClosedRange<UInt64>) + [490, 2_439] {
            do {
                try life(seed)
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
    }

    /// Several lives of one journal with random faults.
    private func life(_ seed: UInt64) throws {
        var random = DiskRandom(seed: seed)
        let disk = SimulatedFileSystem(seed: seed)
        var oracle = JournalOracle()
        for round in 0..<6 {
            let scenario = JournalScenario(seed: random.next(), groups: 20)
            var faults = DiskFaults()
            if random.chance(1, in: 2) { faults.syncFailuresPerMillion = 20_000 }
            if random.chance(1, in: 2) { faults.writeFailuresPerMillion = 20_000 }
            if random.chance(1, in: 3) {
                faults.crashAt = disk.operations + Int(random.below(150)) + 1
            }
            disk.faults = faults
            try scenario.run(disk, &oracle)
            disk.faults = DiskFaults()
            if random.chance(2, in: 3) { disk.powerCut() } else { disk.processKill() }
            if round % 2 == 1 { _ = try JournalScenario.recover(disk, &oracle) }
            disk.processKill()
        }
        _ = try JournalScenario.recover(disk, &oracle)
    }

    @Test func oneSeedIsOneHistory() throws {
        func contents(_ seed: UInt64) throws -> [[UInt8]?] {
            let disk = SimulatedFileSystem(seed: seed)
            disk.faults.crashAt = 70
            var oracle = JournalOracle()
            try JournalScenario(seed: seed, groups: 20).run(disk, &oracle)
            disk.powerCut()
            return disk.names.map { disk.contents($0) }
        }
        #expect(try contents(4) == contents(4))
        #expect(try contents(4) != contents(5))
    }
}
