package import ChaskiModel

/// One batch of an atomic request.
package struct AtomicPublish: Sendable {
    /// The topic's name.
    package var topic: String
    /// A record batch with a zeroed broker header, already checked by `RecordBatchView`.
    package var batch: Bytes
    /// Messages in it, at least 1.
    package var count: UInt32

    package init(topic: String, batch: Bytes, count: UInt32) {
        self.topic = topic
        self.batch = batch
        self.count = count
    }
}

/// Verdicts of an atomic request on what one session holds of one subscription.
package struct AtomicSettlement: Sendable {
    /// The subscription's name.
    package var subscription: String
    package var session: SessionID
    /// Any but `extend`.
    package var verb: Verb
    /// Ascending by offset, no overlap, at most `Limits.settleRanges`; not empty.
    package var ranges: [TokenRange]
    /// `retry`: the delay that wins over the backoff.
    package var delayNanos: Int64?
    /// Kept with a failure: a short text, at most 1 KiB, and a word or number for programs, at most
    /// 64 bytes (longer is cut).
    package var reason: String
    package var code: String

    package init(
        subscription: String, session: SessionID, verb: Verb, ranges: [TokenRange],
        delayNanos: Int64? = nil, reason: String = "", code: String = ""
    ) {
        self.subscription = subscription
        self.session = session
        self.verb = verb
        self.ranges = ranges
        self.delayNanos = delayNanos
        self.reason = reason
        self.code = code
    }
}

/// Batches for topics and verdicts on deliveries of one namespace: all take effect, or none.
package struct AtomicCommand: Sendable {
    /// A request with an id that is remembered is answered as the first one was, and not done
    /// again.
    package var transaction: TransactionID
    package var publishes: [AtomicPublish]
    package var settlements: [AtomicSettlement]

    package init(
        transaction: TransactionID, publishes: [AtomicPublish] = [],
        settlements: [AtomicSettlement] = []
    ) {
        self.transaction = transaction
        self.publishes = publishes
        self.settlements = settlements
    }
}

/// Where a batch of an atomic request is. The members not named in `duplicates` have the offsets
/// from `baseOffset` on.
package struct AtomicPublished: Hashable, Sendable {
    package var topic: TopicID
    package var baseOffset: Offset
    /// Members, duplicates included.
    package var count: UInt32
    package var appendTimeNanos: Int64
    package var duplicates: [DuplicateMember]
}
