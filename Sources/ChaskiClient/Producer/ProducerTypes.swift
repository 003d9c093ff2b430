package import ChaskiModel

/// One thing to publish, with whoever waits for its outcome.
package struct PublishSubmission<Waiter: Sendable>: Sendable {
    package enum Content: Sendable {
        /// A message that may share a batch with others.
        case message(Message)
        /// A finished batch of so many messages, stored whole or not at all.
        case batch([UInt8], count: Int)
    }

    package var topic: String
    package var content: Content
    /// About how many bytes it takes in a batch.
    package var bytes: Int
    package var waiter: Waiter
    /// When it was handed over, monotonic nanoseconds; nil: when the machine takes it.
    package var submittedNanos: Int64?

    package init(
        topic: String, content: Content, bytes: Int, waiter: Waiter, submittedNanos: Int64? = nil
    ) {
        self.submittedNanos = submittedNanos
        self.topic = topic
        self.content = content
        self.bytes = bytes
        self.waiter = waiter
    }
}

/// The outcome of consecutive submissions that shared a batch, in order of their sequences.
package struct PublishCompletion<Waiter: Sendable>: Sendable {
    package var topic: String
    package var waiters: [Waiter]
    /// Of a finished batch (one waiter) all its messages, else the number of waiters.
    package var messages: Int
    /// The sum of the submissions' bytes.
    package var bytes: Int
    package var outcome: Result<StoredAt, Failure>
}

/// Where a batch was stored.
package struct StoredAt: Hashable, Sendable {
    package var baseOffset: Offset
    /// Wall nanoseconds since 1970.
    package var appendTimeNanos: Int64
    /// The batch had been stored before; the offset is the original one.
    package var duplicate: Bool
    /// Members that are messages stored before by their dedup ids, ascending; the others have the
    /// offsets from `baseOffset` on.
    package var duplicates: [DuplicateMember]

    package init(
        baseOffset: Offset, appendTimeNanos: Int64, duplicate: Bool,
        duplicates: [DuplicateMember] = []
    ) {
        self.baseOffset = baseOffset
        self.appendTimeNanos = appendTimeNanos
        self.duplicate = duplicate
        self.duplicates = duplicates
    }
}

/// What to send next on the publish stream.
package enum ProducerRequest: Hashable, Sendable {
    case bind(alias: UInt32, topic: String)
    case skip(requestID: UInt64, alias: UInt32, next: UInt64)
    case batch(requestID: UInt64, alias: UInt32, baseSequence: UInt64, bytes: [UInt8])
}

/// What the broker said of a topic that was bound.
package struct BoundTopic: Hashable, Sendable {
    package var topicID: UInt64
    /// The sequence that it expects next of this producer.
    package var nextSequence: UInt64

    package init(topicID: UInt64, nextSequence: UInt64) {
        self.topicID = topicID
        self.nextSequence = nextSequence
    }
}

/// The bounds that a `ProducerMachine` keeps; brought into sense at `init`.
package struct ProducerLimits: Hashable, Sendable {
    package let batchMessages: Int
    package let batchBytes: Int
    package let batchesInFlight: Int
    package let eagerBatches: Int
    /// Topics that one producer may use.
    package let topics: Int
    package let giveUpNanos: Int64
    package let retryRefusalsNanos: Int64

    package init(
        batchMessages: Int = 1_000, batchBytes: Int = 256 * 1024, batchesInFlight: Int = 16,
        eagerBatches: Int = 2, topics: Int = 4_000, giveUpNanos: Int64 = 60_000_000_000,
        retryRefusalsNanos: Int64 = 5_000_000_000
    ) {
        self.batchMessages = min(max(1, batchMessages), Limits.batchMessagesMaximum)
        self.batchBytes = min(max(1, batchBytes), Limits.unitBytes / 2)
        self.batchesInFlight = min(max(1, batchesInFlight), 1_000)
        self.eagerBatches = min(max(1, eagerBatches), self.batchesInFlight)
        self.topics = max(1, topics)
        self.giveUpNanos = max(0, giveUpNanos)
        self.retryRefusalsNanos = max(0, retryRefusalsNanos)
    }
}
