import ChaskiModel
import DequeModule

/// A submission that waits to become part of a batch.
struct QueuedSubmission<Waiter: Sendable>: Sendable {
    var content: PublishSubmission<Waiter>.Content
    var bytes: Int
    var waiter: Waiter
    /// When its publish gives up, monotonic nanoseconds.
    var deadlineNanos: Int64
}

/// A batch with its sequences, kept until it is answered.
struct SequencedBatch<Waiter: Sendable>: Sendable {
    var baseSequence: UInt64
    /// Messages, at least 1.
    var count: Int
    /// The record batch as it is sent, each time the same.
    var bytes: [UInt8]
    /// Empty once their publishes gave up.
    var waiters: [Waiter]
    /// What the submissions counted.
    var submittedBytes: Int
    /// When the earliest of its publishes gives up.
    var deadlineNanos: Int64
    /// The request that it is on its way with; 0 when it waits to be sent.
    var requestID: UInt64 = 0
    /// It was sent and no definite answer came: the broker may hold it.
    var mayBeStored = false
    /// When it was first refused with a retry-after.
    var firstRefusedNanos: Int64?

    /// The sequence after its last; sequences never come near the end of 64 bits.
    var endSequence: UInt64 { baseSequence &+ UInt64(count) }
}

/// One topic of a producer: its sequences, what waits, and what is on its way.
struct ProducerLane<Waiter: Sendable>: Sendable {
    enum Phase: Hashable, Sendable {
        /// The broker knows nothing of the topic on this connection.
        case unbound
        case binding
        /// Batches flow.
        case flowing
        /// Something was refused: wait until all that is on its way is answered.
        case draining
        /// The gap that a refusal left is being skipped.
        case skipping(requestID: UInt64)
    }

    let topic: String
    /// The number that stands for the topic on this connection; another after each binding.
    var alias: UInt32 = 0
    var phase = Phase.unbound
    /// Nothing is sent before this moment, monotonic nanoseconds.
    var heldUntilNanos: Int64 = 0
    /// The topic's incarnation that the sequences belong to; nil before the first binding.
    var topicID: UInt64?
    /// The sequence that the next new batch begins with.
    var nextSequence: UInt64 = 0
    /// Sequences below this are known to be stored.
    var storedBelow: UInt64 = 0
    /// The broker waits for a sequence that will never be sent.
    var needsSkip = false
    /// The topic behind the alias is gone: bind again when nothing is on its way.
    var needsBinding = false
    /// Ascending by sequence. While flowing the first `onWire` of them are on their way.
    var batches: Deque<SequencedBatch<Waiter>> = []
    var onWire = 0
    var queue: Deque<QueuedSubmission<Waiter>> = []
    var queuedBytes = 0
    /// Whether it stands in the machine's list of lanes that may have something to send.
    var isListed = false

    init(topic: String) { self.topic = topic }

    var isIdle: Bool { batches.isEmpty && queue.isEmpty }

    /// Whether the queue's head fills a batch.
    func holdsFullBatch(_ limits: ProducerLimits) -> Bool {
        if queue.count >= limits.batchMessages || queuedBytes >= limits.batchBytes { return true }
        guard let first = queue.first else { return false }
        if case .batch = first.content { return true }
        return false
    }

    /// Makes the next batch of what waits, with the next sequences. Messages beyond the limits are
    /// left out and added to `rejected`; nil where nothing else waited.
    ///
    /// - Precondition: something waits.
    mutating func cutBatch(
        _ limits: ProducerLimits, _ encoder: inout BatchEncoder,
        rejected: inout [RejectedMessage<Waiter>]
    ) -> SequencedBatch<Waiter>? {
        precondition(!queue.isEmpty && encoder.count == 0, "nothing to cut")
        var waiters: [Waiter] = []
        var bytes = 0
        var deadline = Int64.max
        while let item = queue.first, encoder.count < limits.batchMessages {
            if !waiters.isEmpty, bytes + item.bytes > limits.batchBytes { break }
            guard case .message(let message) = item.content else {
                if waiters.isEmpty { return takeFinishedBatch() }
                break
            }
            if waiters.isEmpty { waiters.reserveCapacity(min(queue.count, limits.batchMessages)) }
            queue.removeFirst()
            queuedBytes -= item.bytes
            do throws(Failure) {
                try encoder.append(message)
            } catch {
                rejected.append(
                    RejectedMessage(waiter: item.waiter, bytes: item.bytes, failure: error))
                continue
            }
            waiters.append(item.waiter)
            bytes += item.bytes
            deadline = min(deadline, item.deadlineNanos)
        }
        assert(encoder.count == waiters.count)
        guard !waiters.isEmpty else { return nil }
        return sequenced(
            encoder.finish(), count: waiters.count, waiters: waiters, bytes: bytes,
            deadline: deadline)
    }

    private mutating func takeFinishedBatch() -> SequencedBatch<Waiter> {
        let item = queue.removeFirst()
        queuedBytes -= item.bytes
        guard case .batch(let bytes, let count) = item.content else {
            preconditionFailure("the caller looked")
        }
        return sequenced(
            bytes, count: count, waiters: [item.waiter], bytes: item.bytes,
            deadline: item.deadlineNanos)
    }

    private mutating func sequenced(
        _ encoded: [UInt8], count: Int, waiters: [Waiter], bytes: Int, deadline: Int64
    ) -> SequencedBatch<Waiter> {
        precondition(count > 0, "a batch has a message")
        let batch = SequencedBatch(
            baseSequence: nextSequence, count: count, bytes: encoded, waiters: waiters,
            submittedBytes: bytes, deadlineNanos: deadline)
        nextSequence = batch.endSequence
        return batch
    }

    /// The connection is gone: what was on its way waits to be sent again.
    mutating func connectionLost() {
        phase = .unbound
        needsBinding = false
        onWire = 0
        for index in batches.indices where batches[index].requestID != 0 {
            batches[index].requestID = 0
            batches[index].mayBeStored = true
        }
        dropAbandoned()
    }

    /// Forgets batches that nobody waits for and that are not on their way. Their sequences may
    /// or may not be stored: the broker is told to go on behind them.
    mutating func dropAbandoned() {
        let before = batches.count
        batches.removeAll { $0.requestID == 0 && $0.waiters.isEmpty }
        if batches.count != before { needsSkip = true }
    }

    /// Gives the waiting batches new sequences from `next` on: another incarnation of the topic
    /// counts from there.
    mutating func renumber(from next: UInt64) {
        precondition(onWire == 0, "sequences on their way stay as they are")
        nextSequence = next
        storedBelow = next
        needsSkip = false
        for index in batches.indices {
            batches[index].baseSequence = nextSequence
            nextSequence = batches[index].endSequence
        }
    }
}

/// A message that no batch takes.
struct RejectedMessage<Waiter: Sendable>: Sendable {
    var waiter: Waiter
    var bytes: Int
    var failure: Failure
}
