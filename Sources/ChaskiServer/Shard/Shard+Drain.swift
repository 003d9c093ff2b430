import ChaskiBroker
import NIOCore

extension Shard {
    /// Refuses publishes from now on; all else goes on.
    func beginDrain() {
        publishing.isDraining = true
        endTurn()
    }

    /// The future is done when nothing waits for the disk any more; nothing may follow.
    func finish() -> EventLoopFuture<Void> {
        precondition(drained == nil, "finished twice")
        let promise = loop.makePromise(of: Void.self)
        drained = promise
        commit.wantsMaintenance = false
        timer?.task.cancel()
        endTurn()
        return promise.futureResult
    }

    /// Called at the end of each turn.
    func finishDrainIfIdle() {
        guard let drained, !commit.isBusy, !commit.isWaitingForTurn else { return }
        switch commit.life {
        case .failed: drained.succeed()
        case .running: if !machine.wantsGroup || commit.isHeld { drained.succeed() }
        }
    }
}
