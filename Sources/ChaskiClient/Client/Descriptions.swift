public import ChaskiModel

/// A topic as the broker describes it.
public struct TopicInfo: Hashable, Sendable {
    /// Unique in its namespace at a time.
    public var name: String
    /// Never reused.
    public var id: TopicID
    /// 1 for the first topic of this name, 2 for the one created after it was deleted, ...
    public var incarnation: UInt32
    /// What it was created with.
    public var settings: TopicSettings
    /// The oldest offset still held.
    public var firstOffset: Offset
    /// The next offset to be given.
    public var nextOffset: Offset
    /// Bytes of its batches still held.
    public var bytes: UInt64
    /// Names of its subscriptions.
    public var subscriptions: [String]
    /// Nanoseconds since 1970.
    public var createdNanos: Int64
}

/// A subscription as the broker describes it.
public struct SubscriptionInfo: Hashable, Sendable {
    /// Unique in its namespace at a time.
    public var name: String
    /// Never reused.
    public var id: SubscriptionID
    /// The name of its topic.
    public var topic: String
    /// As they are now.
    public var settings: SubscriptionSettings
    /// Everything below is settled.
    public var settledBelow: Offset
    /// The next offset to be looked at for the first time.
    public var cursor: Offset
    /// Messages handed out.
    public var leased: UInt64
    /// Messages that wait for a retry.
    public var waitingRetry: UInt64
    /// Messages released or lapsed that wait to be handed out again.
    public var pendingAgain: UInt64
    /// Dead letters.
    public var dead: UInt64
    /// Consumers connected now.
    public var consumers: UInt64
    /// Messages not yet settled, the dead not counted.
    public var backlog: UInt64
    /// Nanoseconds since 1970.
    public var createdNanos: Int64
    /// Acks since its creation.
    public var acked: UInt64
    /// Hand-outs since its creation.
    public var handedOut: UInt64
    /// Failed attempts since its creation.
    public var failed: UInt64
    /// Dead letters that were given to consumers again, since its creation.
    public var redriven: UInt64
    /// Dead letters that were purged, since its creation.
    public var purged: UInt64
    /// Dead letters that were removed by age, since its creation.
    public var expired: UInt64
    /// Whether there are as many dead letters as may be: what should die waits.
    public var deadLettersFull: Bool
    /// Messages that failed for good and wait to be forwarded, and then dead.
    public var dying: UInt64
    /// Why they cannot be at the moment.
    public var dyingBlockedBy: ChaskiError?
    /// Messages of which a copy was forwarded as they died, since its creation.
    public var forwarded: UInt64
    /// Whether nothing new is handed out because `maximumUnsettled` messages are tracked.
    public var windowFull: Bool
    /// Why the next messages cannot be read from the broker's disk at the moment.
    public var stalledBy: ChaskiError?
    /// Messages out or waiting, of `settings.maximumUnsettled`.
    public var tracked: UInt64 = 0
    /// nil while it is not paused.
    public var pause: PauseInfo?
    /// nil without a breaker.
    public var breaker: BreakerInfo?
    /// Messages that the rate limit allows at once now; nil without one.
    public var rateTokens: UInt64?
}

/// A message that is dead for a subscription.
public struct DeadLetterInfo: Hashable, Sendable {
    /// The message's position in the subscription's topic.
    public var offset: Offset
    /// When it died, nanoseconds since 1970.
    public var diedNanos: Int64
    /// `failed-on-purpose`, `maximum-failures` or `abandoned`.
    public var cause: String
    /// What the consumer said at the last failure.
    public var reason: String
    /// Attempts that failed.
    public var failed: UInt32
    /// Times that it was handed out.
    public var handedOut: UInt32
    /// A word or number for programs that came with the reason.
    public var code: String
    /// How often it was redriven before.
    public var redriven: UInt32
}

/// The state of a namespace on a broker. Counters begin with the broker's start.
public struct NamespaceStatus: Hashable, Sendable {
    /// The namespace's name.
    public var name: String
    /// Topics that it has.
    public var topics: UInt64
    /// Subscriptions that it has.
    public var subscriptions: UInt64
    /// Groups synced.
    public var syncs: UInt64
    /// Bytes written to its journal.
    public var bytesWritten: UInt64
    /// Messages appended to its topics.
    public var messagesAppended: UInt64
    /// Bytes of its journal on disk.
    public var journalBytes: UInt64
    /// Raised at each recovery.
    public var journalEpoch: UInt32
    /// Why nothing can be published; empty when it can.
    public var publishingRefused: String
    /// Heap allocations of the process, where it counts them; else 0.
    public var allocations: UInt64
}

/// The state of a broker.
public struct BrokerStatus: Hashable, Sendable {
    /// Name and version of its software.
    public var software: String
    /// Nanoseconds since 1970.
    public var startedNanos: Int64
    /// Connections open now.
    public var connections: UInt64
    /// Bytes of memory that its process holds.
    public var residentBytes: UInt64
    /// In order of name.
    public var namespaces: [NamespaceStatus]
}
