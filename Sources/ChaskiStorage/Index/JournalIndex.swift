package import ChaskiModel
import Synchronization

/// Where the batches of a journal are; belongs to the shard's loop and never blocks on the disk.
package final class JournalIndex: Sendable {
    private let state: Mutex<IndexState>

    init(_ state: sending IndexState) { self.state = Mutex(state) }

    /// A group is on disk: its batches can be read from now on. Receipts come in commit order.
    package func apply(_ receipt: CommitReceipt) { state.withLock { $0.apply(receipt) } }

    /// Maintenance was done.
    package func apply(_ report: MaintenanceReport) { state.withLock { $0.apply(report) } }

    /// Nobody needs these offsets any more.
    package func released(_ topic: TopicID, _ range: Range<Offset>) {
        state.withLock { $0.released(topic, range) }
    }

    /// The topic is gone with all its batches.
    package func topicRemoved(_ topic: TopicID) { state.withLock { $0.topicRemoved(topic) } }

    /// After recovery: these are all the topics there are, each with the first offset that is
    /// still needed. Everything else in the files is dead.
    package func retainOnly(_ topics: [(topic: TopicID, from: Offset)]) {
        state.withLock { $0.retainOnly(topics) }
    }

    /// Batches of `topic` from the one that holds `from` on (or the next that exists): at least
    /// one if there is one, then more up to about `maximumBytes`.
    package func read(_ topic: TopicID, from: Offset, maximumBytes: Int) -> ReadOutcome {
        state.withLock { $0.read(topic, from: from, maximumBytes: maximumBytes) }
    }

    /// What an executed plan comes to. `.load` again when its file was dropped meanwhile.
    package func finish(_ result: LoadResult) -> ReadOutcome {
        state.withLock { $0.finish(result) }
    }

    /// Closed files in which nothing is alive and that no recovery needs, at most `limit`. They
    /// leave the index with this call; give them to `Journal.maintain`. Their history is lost: a
    /// host asks for `nextUpkeep` instead.
    package func takeDroppableFiles(limit: Int = 64) -> [RetiredFile] {
        state.withLock { $0.takeDroppableFiles(limit: limit) }
    }

    /// What is to be done next for the sake of space, if anything: files to let go, or to compact.
    /// Give it to `Journal.begin`, and what it came to with `Journal.maintain` back to `apply`;
    /// until then there is nothing more to do. To be asked about once a second, and when the last
    /// is done.
    ///
    /// - Parameters:
    ///   - isSpaceShort: the disk is full: any file is worth compacting, the best first.
    ///   - clock: the broker clock.
    package func nextUpkeep(isSpaceShort: Bool, clock: Int64) -> UpkeepPlan? {
        state.withLock { $0.nextUpkeep(isSpaceShort: isSpaceShort, clock: clock) }
    }

    /// Whether there is a closed file in which less than half is alive but the state that recovery
    /// reads from it: after a checkpoint it can be dropped, or compacted.
    package func hasFileForCheckpointOnly() -> Bool {
        state.withLock { $0.hasFileForCheckpointOnly() }
    }

    /// Bytes of journal files and segments, without what is set aside and without history.
    package var fileBytes: UInt64 {
        state.withLock { state in
            state.files.reduce(0) { $0 &+ $1.bytes } &+ state.segments.reduce(0) { $0 &+ $1.bytes }
        }
    }

    /// The bytes of the files that hold the topic, about; for quotas and reports.
    package func storedBytes(_ topic: TopicID) -> UInt64 {
        state.withLock { $0.storedBytes(topic) }
    }
}
