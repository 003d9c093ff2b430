import NIOCore
import Synchronization

/// Shares the disk between the namespaces of a process: few groups at a time, in turn, and small
/// ones while somebody else waits (a neighbour's large groups raise a small sync's latency much
/// more than small ones do). With equal caps, taking turns is a round robin by bytes.
final class DiskAdmission: Sendable {
    /// What a request for the disk comes to.
    enum Answer: Hashable {
        /// Write a group of at most so many bytes now, then say `finished`.
        case go(maximumBytes: Int)
        /// `turnGranted` comes later.
        case wait
    }

    private struct State: Sendable {
        var writing = 0
        /// Those that wait for a turn, in order of asking.
        var waiting: [Waiter] = []
        /// Who asked last, and who that was not asked last before.
        var latest: Asked?
        var latestOther: Asked?

        /// Notes who asks, and tells whether somebody else asked lately.
        mutating func isShared(_ id: ObjectIdentifier, _ now: NIODeadline) -> Bool {
            if let latest, latest.id != id { latestOther = latest }
            latest = Asked(id: id, at: now)
            guard let latestOther, latestOther.id != id else { return false }
            return now - latestOther.at < .milliseconds(50)
        }
    }

    private struct Asked: Sendable {
        let id: ObjectIdentifier
        let at: NIODeadline
    }

    private struct Waiter: Sendable {
        let loop: any EventLoop
        let shard: NIOLoopBound<Shard>
    }

    private let state = Mutex(State())
    /// Groups on their way to the disk at once.
    private let concurrency: Int
    private let sharedGroupBytes: Int

    init(concurrency: Int, sharedGroupBytes: Int) {
        precondition(concurrency > 0 && sharedGroupBytes > 0, "nobody would ever write")
        self.concurrency = concurrency
        self.sharedGroupBytes = sharedGroupBytes
    }

    /// Called on the shard's loop when it has something to write and nothing under way.
    func request(_ shard: Shard) -> Answer {
        let waiter = Waiter(loop: shard.loop, shard: NIOLoopBound(shard, eventLoop: shard.loop))
        let (id, now) = (ObjectIdentifier(shard), NIODeadline.now())
        return state.withLock { state in
            let isShared = state.isShared(id, now)
            guard state.writing < concurrency, state.waiting.isEmpty else {
                state.waiting.append(waiter)
                return .wait
            }
            state.writing += 1
            return .go(maximumBytes: isShared || state.writing > 1 ? sharedGroupBytes : Int.max)
        }
    }

    /// The group that `go` or `turnGranted` allowed is on disk, or there was none after all.
    func finished(_ shard: Shard) {
        let next = state.withLock { state -> Waiter? in
            precondition(state.writing > 0, "finished without a turn")
            guard !state.waiting.isEmpty else {
                state.writing -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
        guard let next else { return }
        let bytes = sharedGroupBytes
        next.loop.execute { next.shard.value.turnGranted(maximumBytes: bytes) }
    }
}
