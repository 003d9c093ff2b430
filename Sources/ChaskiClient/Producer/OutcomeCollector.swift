import DequeModule
import Synchronization

/// Carries the outcomes of a stream of messages from the event loop to the one who iterates, and
/// holds the sender back while too many have none, or are not taken.
final class OutcomeCollector: Sendable {
    private struct State: Sendable {
        var outcomes: Deque<PublishOutcome> = []
        /// Sent and not yet taken by the iterator.
        var outstanding = 0
        var sender: CheckedContinuation<Bool, Never>?
        var receiver: CheckedContinuation<PublishOutcome?, Never>?
        var isSourceEnded = false
        var sourceError: (any Error)?
        var isAbandoned = false
    }

    private let window: Int
    private let state = Mutex(State())

    init(window: Int) { self.window = max(1, window) }

    /// Waits for room for one more message; false when nobody takes outcomes any more.
    func enter() async -> Bool {
        await withCheckedContinuation { continuation in
            let answer: Bool? = state.withLock { state in
                if state.isAbandoned { return false }
                if state.outstanding < window {
                    state.outstanding += 1
                    return true
                }
                precondition(state.sender == nil, "one sender")
                state.sender = continuation
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    /// One message has its outcome.
    func ended(_ outcome: PublishOutcome) {
        let receiver: CheckedContinuation<PublishOutcome?, Never>? = state.withLock { state in
            guard let receiver = state.receiver else {
                state.outcomes.append(outcome)
                return nil
            }
            state.receiver = nil
            return receiver
        }
        guard let receiver else { return }
        taken()
        receiver.resume(returning: outcome)
    }

    /// There are no more messages.
    func sourceEnded(_ error: (any Error)?) {
        let receiver = state.withLock { state in
            state.isSourceEnded = true
            state.sourceError = error
            return Self.idleReceiver(&state)
        }
        receiver?.resume(returning: nil)
    }

    /// The next outcome; nil after the last. Throws the source's error after all outcomes.
    func next() async throws -> PublishOutcome? {
        if let outcome = state.withLock({ $0.outcomes.popFirst() }) {
            taken()
            return outcome
        }
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in wait(continuation) }
        } onCancel: {
            abandon()
        }
        if outcome == nil, let error = state.withLock({ $0.sourceError }) { throw error }
        return outcome
    }

    private func wait(_ continuation: CheckedContinuation<PublishOutcome?, Never>) {
        let (outcome, isDecided): (PublishOutcome?, Bool) = state.withLock { state in
            if let outcome = state.outcomes.popFirst() { return (outcome, true) }
            if state.isAbandoned || (state.isSourceEnded && state.outstanding == 0) {
                return (nil, true)
            }
            precondition(state.receiver == nil, "outcomes are iterated once")
            state.receiver = continuation
            return (nil, false)
        }
        guard isDecided else { return }
        if outcome != nil { taken() }
        continuation.resume(returning: outcome)
    }

    /// An outcome went to the iterator: the sender may go on.
    private func taken() {
        let (sender, receiver) = state.withLock { state in
            state.outstanding -= 1
            assert(state.outstanding >= 0)
            let sender = state.sender
            if sender != nil {
                state.sender = nil
                state.outstanding += 1
            }
            return (sender, Self.idleReceiver(&state))
        }
        sender?.resume(returning: true)
        receiver?.resume(returning: nil)
    }

    /// The one who waits for an outcome that will never come.
    private static func idleReceiver(
        _ state: inout State
    )
        -> CheckedContinuation<PublishOutcome?, Never>?
    {
        guard state.isSourceEnded, state.outstanding == 0 else { return nil }
        defer { state.receiver = nil }
        return state.receiver
    }

    /// Nobody takes outcomes any more.
    func abandon() {
        let (sender, receiver) = state.withLock { state in
            state.isAbandoned = true
            defer {
                state.sender = nil
                state.receiver = nil
            }
            return (state.sender, state.receiver)
        }
        sender?.resume(returning: false)
        receiver?.resume(returning: nil)
    }
}
