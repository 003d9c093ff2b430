package import ChaskiModel

/// Members of one stored batch handed out to one consumer.
package struct DeliveryRun: Hashable, Sendable {
    /// First offset, and number of consecutive offsets.
    package var first: Offset
    package var count: UInt32
    /// The hand-out number that these deliveries carry, from 1.
    package var handout: UInt32
    /// Attempts spent before, the same for all of the run.
    package var failed: UInt32

    package init(first: Offset, count: UInt32, handout: UInt32, failed: UInt32) {
        self.first = first
        self.count = count
        self.handout = handout
        self.failed = failed
    }
}

/// One batch, or part of it, for one consumer.
package struct Delivery: Sendable {
    package var batch: StoredBatch
    /// Ascending; all offsets lie in the batch.
    package var runs: [DeliveryRun]

    package init(batch: StoredBatch, runs: [DeliveryRun]) {
        self.batch = batch
        self.runs = runs
    }
}

/// Names a read that the core asked for.
package struct ReadID: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// The host shall read batches of `topic` that hold offsets from `from` on: at least one batch if
/// there is one, then more up to about `maximumBytes`; and call `loaded` with them.
package struct ReadRequest: Hashable, Sendable {
    package var id: ReadID
    package var topic: TopicID
    package var from: Offset
    package var maximumBytes: Int

    package init(id: ReadID, topic: TopicID, from: Offset, maximumBytes: Int) {
        self.id = id
        self.topic = topic
        self.from = from
        self.maximumBytes = maximumBytes
    }
}

/// An offset that a verdict named in vain, and why.
package struct SettleRejection: Hashable, Sendable {
    package var offset: Offset
    package var handout: UInt32
    package var reason: FailureReason

    package init(offset: Offset, handout: UInt32, reason: FailureReason) {
        self.offset = offset
        self.handout = handout
        self.reason = reason
    }
}

/// Batches that hold messages which somebody asked for.
package struct FetchedMessages: Sendable {
    /// Ascending.
    package var batches: [StoredBatch]
    /// Messages that cannot be read, and why the first of them cannot.
    package var unreadable: [Offset]
    package var failure: Failure?
    /// The first that was not looked at, for there were too many bytes; nil where all were.
    package var rest: Offset?
}

/// The good end of a command.
package enum Reply: Sendable {
    case done
    case topicCreated(TopicID)
    case subscriptionCreated(SubscriptionID)
    /// The members not named in `duplicates` have the offsets from `baseOffset` on; these are
    /// messages stored before, by their dedup ids. `duplicate`: the whole batch, by its sequences,
    /// had been stored before.
    case published(
        baseOffset: Offset, appendTimeNanos: Int64, duplicate: Bool, duplicates: [DuplicateMember])
    /// All of an atomic request is done, its batches in order; `isRepeat`: it had been before.
    case atomic(published: [AtomicPublished], isRepeat: Bool)
    /// The sequence that comes next (last durable + 1), 0 for a producer not known.
    case producerOpened(nextSequence: UInt64)
    /// What of the claims still holds, and the epoch of tokens from now on.
    case consumerOpened(SubscriptionID, epoch: UInt32, leaseNanos: Int64, held: [TokenRange])
    /// Accepted offsets, and those refused, each with its reason.
    case settled(accepted: UInt32, rejected: [SettleRejection])
    /// So many dead letters were redriven or purged. Where there were more than one request takes:
    /// the offset to go on from.
    case lettersTaken(count: UInt64, next: Offset?)
    case fetched(FetchedMessages)
    /// The edited message has this offset.
    case redrivenEdited(offset: Offset)
}

/// What the core wants done. Hosts carry effects out in order, in one exhaustive switch.
package enum Effect: Sendable {
    case reply(RequestID, Result<Reply, Failure>)
    case deliver(ConsumerID, SubscriptionID, [Delivery])
    case read(ReadRequest)
    /// No subscription needs these offsets any more: storage may forget them.
    case released(TopicID, Range<Offset>)
    /// The topic is gone with all its messages.
    case topicRemoved(TopicID)
    /// The consumer is over (replaced, subscription deleted, session lapsed); the host ends its
    /// stream with this.
    case consumerEnded(ConsumerID, Failure)
    /// Messages of the subscription cannot be read, for what reason; or, with none, they can
    /// again. What can be read is delivered meanwhile.
    case stalled(SubscriptionID, [ConsumerID], Failure?)
    /// Messages of the subscription failed for good and cannot be dead letters yet, for what reason;
    /// or, with none, nothing is held back so any more.
    case deathsHeld(SubscriptionID, Failure?)
}
