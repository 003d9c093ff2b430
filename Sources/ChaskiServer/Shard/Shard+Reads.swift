import ChaskiBroker
import ChaskiModel
import ChaskiStorage
import DequeModule
import Logging
import NIOCore
import NIOPosix

/// The threads that read old messages from disk, shared by all shards.
struct Readers: Sendable {
    let pool: NIOThreadPool

    init(threads: Int) {
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    func execute(
        _ plan: LoadPlan, _ fileSystem: any FileSystem, on loop: any EventLoop,
        done: @escaping @Sendable (LoadResult) -> Void
    ) {
        pool.submit { state in
            guard case .active = state else { return }
            let result = plan.execute(fileSystem)
            loop.execute { done(result) }
        }
    }
}

/// Reads that the core asked for and that were not begun yet. The core asks for at most one at a
/// time for each subscription, which bounds it.
struct ReadQueue {
    var waiting: Deque<ReadRequest> = []
    /// Reads on their way through the reader threads.
    var loading = 0
    var isContinuing = false
}

extension Shard {
    /// Answers reads from memory, or sends them to the reader threads, until `deadline`; the rest
    /// goes on after others had their turn.
    ///
    /// - Returns: whether a read was answered, so that there may be effects.
    func readNext(until deadline: NIODeadline) -> Bool {
        guard let request = reads.waiting.first else { return false }
        guard NIODeadline.now() < deadline else {
            if !reads.isContinuing {
                reads.isContinuing = true
                loop.assumeIsolatedUnsafeUnchecked().execute {
                    self.reads.isContinuing = false
                    self.endTurn()
                }
            }
            return false
        }
        reads.waiting.removeFirst()
        let outcome = journal.index.read(
            request.topic, from: request.from,
            maximumBytes: min(max(request.maximumBytes, 1), flow.readBytes))
        finish(request.id, outcome)
        return true
    }

    private func finish(_ id: ReadID, _ outcome: ReadOutcome) {
        switch outcome {
        case .ready(let batches):
            machine.loaded(id, .success(batches), now: clock.now(), effects: &effects)
        case .end:
            machine.loaded(id, .success([]), now: clock.now(), effects: &effects)
        case .damaged(let failure):
            machine.loaded(id, .failure(failure), now: clock.now(), effects: &effects)
        case .load(let plan):
            reads.loading += 1
            let bound = NIOLoopBound(self, eventLoop: loop)
            readers.execute(plan, fileSystem, on: loop) { result in
                let shard = bound.value
                shard.reads.loading -= 1
                shard.finish(id, shard.journal.index.finish(result))
                shard.endTurn()
            }
        }
    }

    /// Messages of a subscription cannot be read, or can again: said once in the log.
    func stalled(_ subscription: SubscriptionID, _ failure: Failure?) {
        var metadata = metadata(of: subscription)
        if let failure {
            metadata["reason"] = "\(failure.reason.rawValue)"
            metadata["detail"] = "\(failure.message)"
            logger.error("messages cannot be read", metadata: metadata)
        } else {
            logger.notice("messages can be read again", metadata: metadata)
        }
    }

    /// Messages of a subscription that failed for good cannot be dead letters yet, or none waits for
    /// that any more: said once in the log, and counted.
    func deathsHeld(_ subscription: SubscriptionID, _ failure: Failure?) {
        var metadata = metadata(of: subscription)
        if let failure {
            deathsHeldBack.insert(subscription)
            metadata["reason"] = "\(failure.reason.rawValue)"
            metadata["detail"] = "\(failure.message)"
            logger.warning("messages cannot become dead letters: they wait", metadata: metadata)
        } else {
            deathsHeldBack.remove(subscription)
            logger.notice("messages can become dead letters again", metadata: metadata)
        }
        metrics.deathsHeld(of: deathsHeldBack.count, namespace: namespace)
    }

    private func metadata(of subscription: SubscriptionID) -> Logger.Metadata {
        guard let info = machine.subscription(subscription) else {
            return ["subscription": "\(subscription.rawValue)"]
        }
        return ["subscription": "\(info.name)", "topic": "\(info.topicName)"]
    }
}
