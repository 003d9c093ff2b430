import ChaskiModel
import ChaskiSimulation
import ChaskiStorage
import Testing

/// Breaks the file system under the journal and sees that the oracle notices; otherwise the
/// sweeps would prove nothing.
@Suite struct MutationTests {
    /// The first seed whose power cut is caught, if any.
    private func caught(
        _ mutation: DiskMutation, faults: DiskFaults = DiskFaults()
    ) throws -> UInt64? {
        for seed in 1...200 as ClosedRange<UInt64> {
            let disk = SimulatedFileSystem(seed: seed)
            let mutated = MutatedFileSystem(disk, mutation)
            var oracle = JournalOracle()
            do {
                disk.faults = faults
                try JournalScenario(seed: seed, groups: 12).run(mutated, &oracle)
                disk.faults = DiskFaults()
                disk.powerCut()
                _ = try JournalScenario.recover(mutated, &oracle)
            } catch is JournalOracle.Wrong {
                return seed
            }
        }
        return nil
    }

    @Test func noFileSyncIsCaught() throws { #expect(try caught(.noFileSync) != nil) }
    @Test func lateFileSyncIsCaught() throws { #expect(try caught(.lateFileSync) != nil) }
    @Test func noDirectorySyncIsCaught() throws { #expect(try caught(.noDirectorySync) != nil) }
    @Test func everySecondFileSyncIsCaught() throws {
        #expect(try caught(.everySecondFileSync) != nil)
    }
    @Test func anIgnoredSyncErrorIsCaught() throws {
        var faults = DiskFaults()
        faults.syncFailuresPerMillion = 100_000
        #expect(try caught(.ignoredSyncError, faults: faults) != nil)
    }
    @Test func withoutMutationNothingIsCaught() throws { #expect(try caught([]) == nil) }
}
