import ChaskiModel
import DequeModule
import Synchronization

/// Whoever waits for the outcome of a submission.
enum PublishWaiter: Sendable {
    case message(UnsafeContinuation<PublishReceipt, any Error>)
    case batch(UnsafeContinuation<BatchReceipt, any Error>)
    /// One of many, whose outcomes are collected.
    case outcome(OutcomeCollector, index: Int)

    func resume(_ topic: String, _ step: Int, count: Int, _ outcome: Result<StoredAt, Failure>) {
        switch outcome {
        case .success(let stored):
            let at = stored.duplicates.offset(
                ofMember: UInt32(clamping: step), baseOffset: stored.baseOffset)
            let receipt = PublishReceipt(
                topic: topic, offset: at.offset, appendTimeNanos: stored.appendTimeNanos,
                duplicate: stored.duplicate || at.isDuplicate)
            switch self {
            case .message(let continuation):
                continuation.resume(returning: receipt)
            case .batch(let continuation):
                continuation.resume(returning: BatchReceipt(topic, stored, count: count))
            case .outcome(let collector, let index):
                collector.ended(PublishOutcome(index: index, result: .success(receipt)))
            }
        case .failure(let failure):
            fail(ChaskiError(failure))
        }
    }

    func fail(_ error: ChaskiError) {
        switch self {
        case .message(let continuation): continuation.resume(throwing: error)
        case .batch(let continuation): continuation.resume(throwing: error)
        case .outcome(let collector, let index):
            collector.ended(PublishOutcome(index: index, result: .failure(error)))
        }
    }
}

/// Where callers leave what they publish: one lock, taken for a moment, and one wake-up of the
/// event loop for all that comes until it looks. What passes the buffer's bound waits here with
/// its callers.
final class ProducerInbox: Sendable {
    typealias Submission = PublishSubmission<PublishWaiter>

    private struct State: Sendable {
        var submissions: [Submission] = []
        var overflow: Deque<Submission> = []
        /// Bytes that are accepted and have no outcome.
        var bufferedBytes = 0
        var isFlushScheduled = false
        var closedBy: Failure?
    }

    private let maximumBytes: Int
    private let state = Mutex(State())

    init(maximumBytes: Int) { self.maximumBytes = max(1, maximumBytes) }

    /// Leaves one thing to publish; its waiter hears of it in any case.
    ///
    /// - Returns: whether the event loop must be told to look.
    func submit(_ submission: consuming Submission) -> Bool {
        let waiter = submission.waiter
        let outcome: (schedule: Bool, failure: Failure?) = state.withLock {
            [submission] state in
            if let failure = state.closedBy { return (false, failure) }
            guard Self.hasRoom(state, submission.bytes, maximumBytes), state.overflow.isEmpty else {
                state.overflow.append(submission)
                return (false, nil)
            }
            state.bufferedBytes += submission.bytes
            state.submissions.append(submission)
            if state.isFlushScheduled { return (false, nil) }
            state.isFlushScheduled = true
            return (true, nil)
        }
        if let failure = outcome.failure { waiter.fail(ChaskiError(failure)) }
        return outcome.schedule
    }

    /// One message always passes an empty buffer.
    private static func hasRoom(_ state: State, _ bytes: Int, _ maximumBytes: Int) -> Bool {
        state.bufferedBytes == 0 || bytes <= maximumBytes - state.bufferedBytes
    }

    /// Moves what was left into `taken`, which is empty.
    func take(into taken: inout [Submission]) {
        precondition(taken.isEmpty, "what was taken is worked off")
        // The emptied array goes in, so that its memory is used again.
        taken = state.withLock { [taken] state in
            state.isFlushScheduled = false
            let submissions = state.submissions
            state.submissions = taken
            return submissions
        }
    }

    /// So many bytes have their outcome: lets as much of the overflow in.
    ///
    /// - Returns: whether there is something to take.
    func ended(bytes: Int) -> Bool {
        state.withLock { state in
            state.bufferedBytes -= bytes
            assert(state.bufferedBytes >= 0, "bytes end once")
            while let first = state.overflow.first,
                Self.hasRoom(state, first.bytes, maximumBytes)
            {
                state.overflow.removeFirst()
                state.bufferedBytes += first.bytes
                state.submissions.append(first)
            }
            return !state.submissions.isEmpty
        }
    }

    /// Nothing more is taken; what was, goes on.
    func refuse(_ failure: Failure) {
        state.withLock { if $0.closedBy == nil { $0.closedBy = failure } }
    }

    /// Whether nothing waits here.
    var isEmpty: Bool { state.withLock { $0.submissions.isEmpty && $0.overflow.isEmpty } }

    /// Nothing is taken any more; what waits fails.
    func close(_ failure: Failure) {
        let waiting: [Submission] = state.withLock { state in
            if state.closedBy == nil { state.closedBy = failure }
            let waiting = state.submissions + state.overflow
            state.submissions = []
            state.overflow = []
            return waiting
        }
        for submission in waiting { submission.waiter.fail(ChaskiError(failure)) }
    }
}
