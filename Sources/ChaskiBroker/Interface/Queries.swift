package import ChaskiModel

/// A topic as it stands (durably).
package struct TopicInfo: Hashable, Sendable {
    package var id: TopicID
    package var name: String
    /// 1 for the first topic of this name, 2 for the one created after it was deleted, ...
    package var incarnation: UInt32
    package var settings: TopicSettings
    /// Everything below this offset is given up, for no subscription needs it; and the next offset
    /// to be given.
    package var firstOffset: Offset
    package var nextOffset: Offset
    /// Where a new subscription from the earliest begins: everything from here on is held, what lies
    /// before may be gone.
    package var earliestStart: Offset
    /// Bytes of the batches still needed, about.
    package var bytes: UInt64
    /// Names, ascending.
    package var subscriptions: [String]
    package var createdWallNanos: Int64
    package var lastAppendNanos: Int64
}

/// A subscription as it stands.
package struct SubscriptionInfo: Hashable, Sendable {
    package var id: SubscriptionID
    package var name: String
    package var topic: TopicID
    package var topicName: String
    package var topicIncarnation: UInt32
    package var settings: SubscriptionSettings
    /// Where it began.
    package var startOffset: Offset
    /// Everything below is settled.
    package var settledBelow: Offset
    /// The next offset to be looked at for the first time.
    package var cursor: Offset
    /// Nothing at or above it is handed out before it is raised durably.
    package var handoutCeiling: Offset
    /// Messages handed out; waiting for a retry; waiting to be handed out again; and those that
    /// wait after a restart for the session that may hold them.
    package var leased: UInt64
    package var waitingRetry: UInt64
    package var pendingAgain: UInt64
    package var awaitingResume: UInt64
    package var dead: UInt64
    /// Messages that failed for good and wait to be forwarded, and then dead; and why they cannot be
    /// at the moment.
    package var dying: UInt64
    package var dyingBlockedBy: Failure?
    package var consumers: UInt64
    /// Messages of the topic neither settled nor dead.
    package var backlog: UInt64
    /// Counters since creation; a crash may lose the last moments of `handedOut`.
    package var acked: UInt64
    package var handedOut: UInt64
    package var failed: UInt64
    /// Dead letters that were redriven, purged, and removed by age, since creation.
    package var redriven: UInt64
    package var purged: UInt64
    package var expired: UInt64
    /// Messages of which a copy was forwarded as they died, since creation.
    package var forwarded: UInt64
    /// The dead store takes no more: what should die waits.
    package var isDeadStoreFull: Bool
    package var createdWallNanos: Int64
    /// The cursor waits because the maximum of unsettled messages is reached.
    package var isWindowFull: Bool
    /// Why its messages cannot be read at the moment.
    package var blockedBy: Failure?
}

/// Why a message is dead.
package enum DeathCause: UInt8, Hashable, Sendable, CaseIterable {
    /// A consumer said so.
    case failedOnPurpose = 1
    /// It failed as often as the retry policy allows.
    case maximumFailures = 2
    /// Whoever held it alone vanished, as often as the subscription allows.
    case abandoned = 3
    /// It failed when its first failure was longer ago than the retry policy allows.
    case maximumAge = 4
}

/// A message that is dead for a subscription.
package struct DeadLetter: Hashable, Sendable {
    package var offset: Offset
    package var cause: DeathCause
    /// What the consumer said at the last failure: a text, and a short word for programs.
    package var reason: String
    package var code: String
    /// Failures since it was published, or redriven last, and all hand-outs.
    package var failed: UInt32
    package var handedOut: UInt32
    package var session: SessionID
    /// When it died.
    package var clockNanos: Int64
    package var wallNanos: Int64
    /// How often it was redriven before.
    package var redriven: UInt32
}

/// Where a message stands for a subscription.
package enum MessageState: Hashable, Sendable {
    /// The topic does not hold it yet.
    case notPublished
    case beforeStart
    case pending
    /// Handed out, with this hand-out number, until `deadlineNanos` of the broker clock at least.
    case leased(SessionID, handout: UInt32, failed: UInt32, deadlineNanos: Int64)
    /// Was handed out before, and will be again.
    case pendingAgain(failed: UInt32)
    case waiting(failed: UInt32, dueNanos: Int64)
    /// After a restart: may be held by a session that has not come back yet.
    case awaitingResume(failed: UInt32)
    case acked
    /// Failed for good; is dead once it can be forwarded.
    case dying(DeathCause, failed: UInt32)
    case dead(DeadLetter)
}
