import ChaskiDisk
import ChaskiModel
import ChaskiStorage
import NIOCore
import NIOPosix

/// The thread that writes one journal: commits and maintenance, one at a time, in order.
final class JournalWorker: Sendable {
    private let journal: Journal
    private let thread: NIOThreadPool

    init(journal: Journal) {
        self.journal = journal
        thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
    }

    /// Writes and syncs `group`, then calls `done` on `loop`.
    func commit(
        _ group: JournalGroup, on loop: any EventLoop,
        done: @escaping @Sendable (CommitOutcome) -> Void
    ) {
        thread.submit { [journal] state in
            guard case .active = state else { return }
            let outcome = journal.commit(group)
            loop.execute { done(outcome) }
        }
    }

    /// Allocates ahead, recycles and removes files, puts into effect what upkeep came to, then
    /// calls `done` on `loop`.
    func maintain(
        _ upkeep: UpkeepResult?, bootNanos: Int64, on loop: any EventLoop,
        done: @escaping @Sendable (MaintenanceReport) -> Void
    ) {
        thread.submit { [journal] state in
            guard case .active = state else { return }
            let report = journal.maintain(upkeep: upkeep, bootNanos: bootNanos)
            loop.execute { done(report) }
        }
    }

    /// Gives the directory back once what the thread was told is done, and ends the thread.
    func stop() async {
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            thread.submit { [journal] _ in
                journal.close()
                done.resume()
            }
        }
        try? await thread.shutdownGracefully()
    }
}
