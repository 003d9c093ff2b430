import ChaskiModel
import ChaskiSimulation
import ChaskiStorage
import Testing

/// A disk that fills and is cleared.
@Suite struct SpaceTests {
    /// Room for seven files of 32 KiB; two of them are the reserve.
    private func full() throws -> (disk: SimulatedFileSystem, opened: Opened, offsets: Offset) {
        let disk = SimulatedFileSystem(seed: 1, capacityBytes: 7 * (32 << 10))
        let opened = try Opened(disk)
        var offset: Offset = 0
        while opened.commit(Small.group([Small.batch(offset, bytes: 3_000)])) != nil { offset += 1 }
        return (disk, opened, offset)
    }

    @Test func publishesAreRefusedAndVerdictsGoOn() throws {
        let (disk, opened, offsets) = try full()
        // Five files of seven blocks are taken, and not one more.
        #expect(offsets == 35)
        #expect(opened.journal.spaceState == .reserveOnly)
        let refused = opened.journal.commit(Small.group([Small.batch(offsets)]))
        guard case .refused(let failure) = refused else {
            Issue.record("not refused: \(refused)")
            return
        }
        #expect(failure.reason == .diskFull && failure.retryAfterNanos != nil)
        #expect(opened.journal.spaceState.refusal != nil)
        var verdicts = 0
        while opened.commit(Small.group([Small.state(1)])) != nil { verdicts += 1 }
        #expect(verdicts == 14, "two reserve files of seven groups each")
        #expect(opened.journal.spaceState == .exhausted)
        disk.powerCut()
        disk.capacityBytes = 1 << 20
        let again = try Opened(disk)
        #expect(again.batches.count == Int(offsets))
    }

    @Test func publishingResumesWhenTheDiskIsCleared() throws {
        let (disk, opened, offsets) = try full()
        #expect(opened.maintain(bootNanos: 1).space == .reserveOnly)
        disk.capacityBytes = 1 << 20
        // Within the pace of one second nothing is tried.
        #expect(opened.maintain(bootNanos: 2).space == .reserveOnly)
        #expect(opened.maintain(bootNanos: 2_000_000_000).space == .available)
        #expect(opened.commit(Small.group([Small.batch(offsets, bytes: 3_000)])) != nil)
    }

    @Test func publishingResumesWhenFilesAreDropped() throws {
        let (_, opened, offsets) = try full()
        let index = opened.journal.index
        #expect(!index.hasFileForCheckpointOnly())
        index.released(Small.topic, 0..<offsets)
        #expect(index.hasFileForCheckpointOnly(), "a checkpoint would give space back")
        #expect(opened.maintain(bootNanos: 1).dropped.isEmpty)
        #expect(opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1)) != nil)
        #expect(!index.hasFileForCheckpointOnly())
        let report = opened.maintain(bootNanos: 1)
        #expect(report.dropped == [1, 2, 3, 4, 5])
        #expect(report.space == .available)
        #expect(opened.commit(Small.group([Small.batch(offsets, bytes: 3_000)])) != nil)
    }

    @Test func aReserveThatVerdictsUsedUpRefusesNothingWhileTheDiskHasRoom() throws {
        let opened = try Opened(SimulatedFileSystem(seed: 1, capacityBytes: 1 << 20))
        // Far more files than are there ahead, without a maintenance between them.
        for _ in 0..<100 {
            #expect(opened.commit(Small.group([Small.state(1)])) != nil)
            #expect(opened.journal.spaceState == .available)
        }
        #expect(opened.commit(Small.group([Small.batch(0)])) != nil)
    }

    @Test func aFailureOfMaintenanceIsToldAtOnce() throws {
        let (disk, opened, offsets) = try full()
        opened.journal.index.released(Small.topic, 0..<offsets)
        #expect(opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1)) != nil)
        disk.faults.kinds = [.rename]
        disk.faults.failFrom = disk.operations
        let report = opened.maintain(bootNanos: 1)
        #expect(report.failure?.reason == .journalFailed)
        disk.faults.failFrom = nil
        #expect(
            opened.maintain(bootNanos: 2_000_000_000).failure == report.failure,
            "who was refused for want of space must not wait for it for ever")
    }

    @Test func aFullDiskAtTheBeginningIsSaid() {
        let disk = SimulatedFileSystem(seed: 1, capacityBytes: 10 << 10)
        let failure = #expect(throws: Failure.self) { try Opened(disk) }
        #expect(failure?.reason == .diskFull)
    }

    @Test func anOversizeGroupIsRefusedAndTheJournalLives() throws {
        let opened = try Opened(SimulatedFileSystem(seed: 1))
        let outcome = opened.journal.commit(Small.group([Small.batch(0, bytes: 40_000)]))
        guard case .refused(let failure) = outcome else {
            Issue.record("not refused: \(outcome)")
            return
        }
        #expect(failure.reason == .tooLarge)
        #expect(opened.commit(Small.group([Small.batch(0)])) != nil)
    }

    @Test func afterAFailedSyncNothingIsConfirmed() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        #expect(opened.commit(Small.group([Small.batch(0)])) != nil)
        disk.faults.kinds = [.sync]
        disk.faults.failAt = disk.operations + 2
        for _ in 0..<3 {
            guard case .failed(let failure) = opened.journal.commit(Small.group([Small.batch(1)]))
            else {
                Issue.record("confirmed after a failed sync")
                return
            }
            #expect(failure.reason == .journalFailed)
        }
        #expect(disk.effectiveFaults == 1)
    }
}
