/// Where a new subscription begins.
public enum StartPosition: Hashable, Sendable {
    /// The oldest message that the topic still holds.
    case earliest
    /// The next message published after the subscription was created.
    case latest
    /// A given offset; one below the oldest begins at the oldest, one past the end waits for it.
    case offset(Offset)
}

/// How failures are retried: exponential backoff with full jitter
/// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), then dead. After the
/// n-th failure the delay is random between 0 and minimum * multiplier^(n - 1), at most the maximum;
/// a delay that the consumer gives is taken as it is.
public struct RetryPolicy: Hashable, Sendable {
    /// Upper bound of the first delay, nanoseconds; 1 s unless told.
    public var minimumBackoffNanos: Int64
    /// Upper bound of any delay, nanoseconds; 10 min unless told.
    public var maximumBackoffNanos: Int64
    /// Failures after which a message is dead, at least 1; 10 unless told.
    public var maximumFailures: UInt32
    /// What each delay's upper bound is of the one before, in thousandths: 1,000 to 100,000; 2,000
    /// unless told.
    public var multiplierThousandths: UInt32
    /// A message that fails when its first failure is at least this long ago is dead, nanoseconds
    /// (at least 1 ms); nil for no limit. The first failure is that since it was published or
    /// redriven, as the broker's clock had it; hand-outs that end without a verdict are none.
    public var maximumAgeNanos: Int64?

    public init(
        minimumBackoffNanos: Int64 = 1_000_000_000,
        maximumBackoffNanos: Int64 = 600_000_000_000,
        maximumFailures: UInt32 = 10, multiplierThousandths: UInt32 = 2_000,
        maximumAgeNanos: Int64? = nil
    ) {
        self.minimumBackoffNanos = minimumBackoffNanos
        self.maximumBackoffNanos = maximumBackoffNanos
        self.maximumFailures = maximumFailures
        self.multiplierThousandths = multiplierThousandths
        self.maximumAgeNanos = maximumAgeNanos
    }
}

/// What is kept of messages that are dead for a subscription.
public struct DeadLetterPolicy: Hashable, Sendable {
    /// How many at most, 1 to 10,000,000; 100,000 unless told. Where there are as many, what should
    /// die waits instead, and is tried again after the maximum backoff: nothing is dropped.
    public var maximum: UInt32
    /// How long each is kept, nanoseconds, at least 1 s; 14 days unless told. Then it is removed for
    /// good, and counted.
    public var retentionNanos: Int64
    /// The topic that gets a copy of each message that dies, in the same atomic step; nil for none.
    /// While it does not take the copy, for it is full or gone, the message waits, and is not handed
    /// out. Never the subscription's own topic, nor one whose dead messages come back to it.
    public var forwardTo: String?

    public init(
        maximum: UInt32 = 100_000, retentionNanos: Int64 = 14 * 86_400_000_000_000,
        forwardTo: String? = nil
    ) {
        self.maximum = maximum
        self.retentionNanos = retentionNanos
        self.forwardTo = forwardTo
    }
}

/// How messages of one key follow each other on an ordered subscription: one consumer at a time has
/// a key, as a run of consecutive messages.
public struct OrderPolicy: Hashable, Sendable {
    /// What a dead message does to those behind it of its key.
    public enum AfterDeath: UInt8, Hashable, Sendable, CaseIterable {
        /// They go on.
        case goOn = 0
        /// They wait until it is redriven or purged.
        case hold = 1
    }

    /// Messages of a key that its consumer may have at once, 1 to 1,000; 16 unless told.
    public var runLength: UInt32
    public var afterDeath: AfterDeath

    public init(runLength: UInt32 = 16, afterDeath: AfterDeath = .goOn) {
        self.runLength = runLength
        self.afterDeath = afterDeath
    }
}

/// The settings of a subscription.
public struct SubscriptionSettings: Hashable, Sendable {
    public var start: StartPosition
    public var retry: RetryPolicy
    /// How long a delivery may stay without verdict, extension or heartbeat, nanoseconds; 30 s.
    public var leaseNanos: Int64
    /// Messages tracked at once (handed out, waiting, passed over); at the bound the cursor stops.
    public var maximumUnsettled: UInt32
    /// How often whoever holds a message alone may vanish (its process dies, or is cut off for
    /// longer than the lease) before the message is dead, at least 1; 3 unless told. A message that
    /// was held together with others is not counted: it is handed out again in ever smaller groups.
    public var maximumAbandoned: UInt32 = 3
    /// Messages handed out per second, at most, 1 to 10,000,000, in bursts of up to one second's
    /// worth; nil for no limit.
    public var rateLimit: UInt32?
    /// When hand-outs stop because handlers fail; nil for never.
    public var breaker: BreakerPolicy?
    /// Messages of one key are handed out in their order, one run at a time; nil for any order.
    /// Messages without a key have none.
    public var order: OrderPolicy?
    public var deadLetters = DeadLetterPolicy()

    public init(
        start: StartPosition = .earliest, retry: RetryPolicy = RetryPolicy(),
        leaseNanos: Int64 = 30_000_000_000, maximumUnsettled: UInt32 = 100_000
    ) {
        self.start = start
        self.retry = retry
        self.leaseNanos = leaseNanos
        self.maximumUnsettled = maximumUnsettled
    }
}

/// The settings of a topic.
public struct TopicSettings: Hashable, Sendable {
    /// Bytes that the topic's messages may take on disk; nil for the broker's default share.
    public var maximumBytes: UInt64?
    /// For how long the topic remembers the dedup ids of its messages, nanoseconds, 1 s to 24 h: a
    /// message with an id that it remembers is the one stored before. Nil: it does not look at
    /// them.
    public var dedupWindowNanos: Int64?

    public init(maximumBytes: UInt64? = nil, dedupWindowNanos: Int64? = nil) {
        self.maximumBytes = maximumBytes
        self.dedupWindowNanos = dedupWindowNanos
    }
}

/// What a consumer does with a delivery.
public enum Verb: UInt8, Sendable, CaseIterable {
    /// Done: never deliver it again on this subscription.
    case ack = 1
    /// Failed: spends an attempt, comes back after the backoff or the given delay.
    case retry = 2
    /// Failed for good: dead at once.
    case fail = 3
    /// Gives it back without spending anything.
    case release = 4
    /// Keeps it longer.
    case extend = 5
}
