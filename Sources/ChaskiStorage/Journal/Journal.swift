package import ChaskiModel
import Synchronization

/// The durable log of one namespace: one writer, one write and one sync per group.
///
/// `commit` and `maintain` belong to the journal thread, which may block; `index` belongs to the
/// shard's loop. The state behind either is guarded by a lock that is never contended while each
/// keeps to its thread, so that the types are `Sendable` without promises to the compiler.
package final class Journal: Sendable {
    /// What opening found and did.
    package let recovery: RecoveryReport
    /// Where batches are, and what is in memory.
    package let index: JournalIndex
    private let writer: Mutex<JournalWriter>
    private let upkeep: Mutex<Upkeep>
    /// Apart from the writer, which is locked while a sync runs.
    private let space: Mutex<SpaceState>

    init(
        recovery: RecoveryReport, index: JournalIndex, writer: sending JournalWriter,
        upkeep: sending Upkeep
    ) {
        self.recovery = recovery
        self.index = index
        space = Mutex(writer.space)
        self.writer = Mutex(writer)
        self.upkeep = Mutex(upkeep)
    }

    /// Opens the journal in a directory, beginning a new one where there is none. Blocks; `replay`
    /// gets the entries that the last checkpoint does not cover, and that checkpoint, in order.
    ///
    /// - Parameter newIdentity: 128 random bits, used when a new journal begins.
    /// - Throws: a `Failure` that names the directory and the way out: in use by another process,
    ///   written by a newer release, damaged, no space, or a failing disk. Nothing that was in
    ///   the directory has been changed then.
    package static func open(
        fileSystem: any FileSystem, configuration: JournalConfiguration, clock: ClockReading,
        newIdentity: UInt128, replay: (RecoveredEntry) -> Void
    ) throws(Failure) -> Journal {
        if let problem = configuration.problem { throw problem }
        var recovery = try Recovery(
            fileSystem: fileSystem, configuration: configuration, clock: clock,
            newIdentity: newIdentity)
        do throws(Failure) {
            return try recovery.run(replay)
        } catch {
            recovery.lock.unlock()
            throw error
        }
    }

    /// Writes and syncs one group. Blocking; journal thread only.
    package func commit(_ group: JournalGroup) -> CommitOutcome {
        let (outcome, state) = writer.withLock { writer in
            let outcome = writer.commit(group)
            return (outcome, writer.space)
        }
        space.withLock { $0 = state }
        return outcome
    }

    /// Begins what `JournalIndex.nextUpkeep` wants done. Upkeep thread only, which may be any but
    /// should not keep groups from the disk: nothing of it is urgent.
    package func begin(_ plan: UpkeepPlan) { upkeep.withLock { $0.begin(plan) } }

    /// Does a slice of about `maximumBytes` of what was begun. Blocking; upkeep thread only.
    package func stepUpkeep(maximumBytes: Int, now: Now) -> UpkeepStep {
        upkeep.withLock { upkeep in
            upkeep.step(maximumBytes: maximumBytes, now: now) {
                writer.withLock { $0.lendSpace() }
            }
        }
    }

    /// Drops files, allocates ahead, writes sidecar indexes, and looks whether a full disk has
    /// space again: call it when idle, at least once a second. Blocking; journal thread only.
    ///
    /// - Parameters:
    ///   - droppable: what `JournalIndex.takeDroppableFiles` gave; each is passed once.
    ///   - upkeep: what a plan came to; it takes effect with this call.
    ///   - bootNanos: the host's boot clock; paces the attempts on a full disk.
    package func maintain(
        droppable: [RetiredFile] = [], upkeep: UpkeepResult? = nil, bootNanos: Int64
    ) -> MaintenanceReport {
        let report = writer.withLock {
            $0.maintain(droppable: droppable, upkeep: upkeep, bootNanos: bootNanos)
        }
        space.withLock { $0 = report.space }
        return report
    }

    /// Whether publishing is possible, as far as disk space goes; any thread, never blocks.
    package var spaceState: SpaceState { space.withLock { $0 } }

    /// Gives the directory back; everything later fails.
    package func close() { writer.withLock { $0.close() } }
}
