package import ChaskiModel

/// Chosen by the host, echoed in the reply to a command. Never reused within a process.
package struct RequestID: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// One consumer: a session's interest in one subscription over one connection. Chosen by the host,
/// never reused within a process.
package struct ConsumerID: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// How much a consumer may hold without a verdict. Absolute, freed by any verdict.
package struct ConsumerLimit: Hashable, Sendable {
    package var messages: UInt32
    package var bytes: UInt64

    package init(messages: UInt32, bytes: UInt64) {
        self.messages = messages
        self.bytes = bytes
    }
}

/// One request to append one batch to one topic.
package struct PublishCommand: Sendable {
    package var topic: TopicID
    package var producer: ProducerID
    /// A higher epoch fences the older.
    package var producerEpoch: UInt32
    /// The sequence number of the batch's first message, from 0; the others follow densely.
    package var baseSequence: UInt64
    /// A record batch with a zeroed broker header, already checked by `RecordBatchView`.
    package var batch: Bytes
    /// Messages in it, at least 1.
    package var count: UInt32

    package init(
        topic: TopicID, producer: ProducerID, producerEpoch: UInt32, baseSequence: UInt64,
        batch: Bytes, count: UInt32
    ) {
        self.topic = topic
        self.producer = producer
        self.producerEpoch = producerEpoch
        self.baseSequence = baseSequence
        self.batch = batch
        self.count = count
    }
}

/// A verdict on deliveries of one subscription by one consumer.
package struct SettleCommand: Sendable {
    package var consumer: ConsumerID
    package var verb: Verb
    /// Ascending by offset, no overlap, at most `Limits.settleRanges`.
    package var ranges: [TokenRange]
    /// `retry`: the delay that wins over the backoff; `extend`: the new lease from now.
    package var delayNanos: Int64?
    /// Kept with a failure: a short text, at most 1 KiB, and a word or number for programs, at most
    /// 64 bytes (longer is cut).
    package var reason: String
    package var code: String

    package init(
        consumer: ConsumerID, verb: Verb, ranges: [TokenRange], delayNanos: Int64? = nil,
        reason: String = "", code: String = ""
    ) {
        self.consumer = consumer
        self.verb = verb
        self.ranges = ranges
        self.delayNanos = delayNanos
        self.reason = reason
        self.code = code
    }
}

/// What a host asks of a namespace. Every command with a request id gets exactly one reply, as an
/// effect, at once or when its entry is durable.
package enum Command: Sendable {
    case createTopic(RequestID, name: String, TopicSettings)
    case deleteTopic(RequestID, name: String)
    case createSubscription(RequestID, name: String, topic: String, SubscriptionSettings)
    /// Changes what the change names, on top of updates that are on their way.
    case updateSubscription(RequestID, name: String, SubscriptionChange)
    case deleteSubscription(RequestID, name: String)
    /// Gives the dead letters in the ranges (ascending, without overlap) to consumers again, each
    /// as if it had never failed; at most 10,000 at once. The note is kept with each.
    case redrive(RequestID, subscription: String, [Range<Offset>], note: String)
    /// Publishes an edited message in the place of a dead one.
    case redriveEdited(RequestID, EditedRedrive)
    /// Removes the dead letters in the ranges for good; at most 10,000 at once.
    case purge(RequestID, subscription: String, [Range<Offset>])
    /// Reads the batches of these messages of the subscription's topic, at most 1,000.
    case fetch(RequestID, subscription: String, [Offset])
    /// Nothing of it is handed out any more, for so long (nanoseconds) or until it is resumed.
    /// What is out stays out. Pausing again replaces the end.
    case pauseSubscription(RequestID, name: String, forNanos: Int64?)
    /// Ends a pause; does nothing where there is none.
    case resumeSubscription(RequestID, name: String)
    /// Sets the breaker by hand, or back to following the verdicts.
    case setBreaker(RequestID, name: String, BreakerSwitch)
    case publish(RequestID, PublishCommand)
    case atomic(RequestID, AtomicCommand)
    /// Says that a producer (re)connected with this epoch; the reply tells its last durable
    /// sequence on the topic.
    case openProducer(RequestID, topic: TopicID, ProducerID, epoch: UInt32)
    /// After a refusal, gives up the sequences below `next` that were never stored.
    case skipSequences(RequestID, topic: TopicID, ProducerID, epoch: UInt32, next: UInt64)
    /// A session begins or comes back with what it claims to hold of this subscription; the reply
    /// tells which claims still hold. A consumer of the same session and subscription on an older
    /// connection is replaced.
    case openConsumer(
        RequestID, ConsumerID, session: SessionID, subscription: String, ConsumerLimit,
        claims: SessionClaims)
    case setLimit(ConsumerID, ConsumerLimit)
    case settle(RequestID, SettleCommand)
    /// Extends all that the session holds by the subscription's lease, on every subscription.
    case heartbeat(SessionID)
    /// A graceful end: what it still holds is released.
    case closeConsumer(RequestID, ConsumerID)
    /// The connection is gone: what it holds waits `resumeGrace` for its session.
    case disconnected(ConsumerID)
}

/// What a session says it holds.
package struct SessionClaims: Hashable, Sendable {
    package static let none = SessionClaims(of: SubscriptionID(rawValue: 0), [])

    /// The subscription that handed them out. Another one of the same name knows nothing of them.
    package var subscription: SubscriptionID
    /// Ascending, without overlap.
    package var ranges: [TokenRange]

    package init(of subscription: SubscriptionID, _ ranges: [TokenRange]) {
        self.subscription = subscription
        self.ranges = ranges
    }
}
