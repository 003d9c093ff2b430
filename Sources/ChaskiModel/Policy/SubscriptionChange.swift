/// Settings of a subscription that somebody names; the others stay as they are, or begin with
/// their defaults.
public struct SubscriptionChange: Hashable, Sendable {
    /// Only for a new subscription: the start of an existing one cannot change.
    public var start: StartPosition?
    /// Upper bound of the first delay, nanoseconds.
    public var minimumBackoffNanos: Int64?
    /// Upper bound of any delay, nanoseconds.
    public var maximumBackoffNanos: Int64?
    /// Failures after which a message is dead, at least 1.
    public var maximumFailures: UInt32?
    /// What each delay's upper bound is of the one before, in thousandths.
    public var multiplierThousandths: UInt32?
    /// A message that fails so long after its first failure is dead, nanoseconds; 0 for no limit.
    public var maximumAgeNanos: Int64?
    /// How long a delivery may stay without verdict, extension or heartbeat, nanoseconds.
    public var leaseNanos: Int64?
    /// Messages tracked at once.
    public var maximumUnsettled: UInt32?
    /// Messages handed out per second; 0 for no limit.
    public var rateLimit: UInt32?
    /// When hand-outs stop because handlers fail.
    public var breaker: BreakerChange?
    /// How often whoever holds a message alone may vanish before it is dead, at least 1.
    public var maximumAbandoned: UInt32?
    /// Only for a new subscription: whether messages of one key are handed out in their order.
    public var isOrdered: Bool?
    /// Of an ordered subscription: messages of a key that its consumer may have at once.
    public var runLength: UInt32?
    /// Of an ordered subscription: what a dead message does to those behind it of its key.
    public var afterDeath: OrderPolicy.AfterDeath?
    /// How many dead letters are kept, and for how long, nanoseconds.
    public var maximumDeadLetters: UInt32?
    public var deadLetterRetentionNanos: Int64?
    /// The topic that gets a copy of each message that dies; empty for none.
    public var forwardDeadTo: String?

    /// Names nothing.
    public init() {}

    /// Names every setting.
    public init(_ settings: SubscriptionSettings) {
        start = settings.start
        minimumBackoffNanos = settings.retry.minimumBackoffNanos
        maximumBackoffNanos = settings.retry.maximumBackoffNanos
        maximumFailures = settings.retry.maximumFailures
        multiplierThousandths = settings.retry.multiplierThousandths
        maximumAgeNanos = settings.retry.maximumAgeNanos ?? 0
        leaseNanos = settings.leaseNanos
        maximumUnsettled = settings.maximumUnsettled
        rateLimit = settings.rateLimit ?? 0
        breaker = settings.breaker.map { BreakerChange($0) } ?? .removal
        maximumAbandoned = settings.maximumAbandoned
        isOrdered = settings.order != nil
        runLength = settings.order?.runLength
        afterDeath = settings.order?.afterDeath
        maximumDeadLetters = settings.deadLetters.maximum
        deadLetterRetentionNanos = settings.deadLetters.retentionNanos
        forwardDeadTo = settings.deadLetters.forwardTo ?? ""
    }

    /// `settings` with what is named here.
    public func applied(to settings: SubscriptionSettings) -> SubscriptionSettings {
        var changed = settings
        if let start { changed.start = start }
        if let minimumBackoffNanos { changed.retry.minimumBackoffNanos = minimumBackoffNanos }
        if let maximumBackoffNanos { changed.retry.maximumBackoffNanos = maximumBackoffNanos }
        if let maximumFailures { changed.retry.maximumFailures = maximumFailures }
        if let multiplierThousandths { changed.retry.multiplierThousandths = multiplierThousandths }
        if let maximumAgeNanos {
            changed.retry.maximumAgeNanos = maximumAgeNanos == 0 ? nil : maximumAgeNanos
        }
        if let leaseNanos { changed.leaseNanos = leaseNanos }
        if let maximumUnsettled { changed.maximumUnsettled = maximumUnsettled }
        if let rateLimit { changed.rateLimit = rateLimit == 0 ? nil : rateLimit }
        if let breaker { changed.breaker = breaker.applied(to: settings.breaker) }
        if let maximumAbandoned { changed.maximumAbandoned = maximumAbandoned }
        if let isOrdered {
            changed.order = isOrdered ? changed.order ?? OrderPolicy() : nil
        } else if changed.order == nil, runLength != nil || afterDeath != nil {
            changed.order = OrderPolicy()
        }
        if let runLength { changed.order?.runLength = runLength }
        if let afterDeath { changed.order?.afterDeath = afterDeath }
        if let maximumDeadLetters { changed.deadLetters.maximum = maximumDeadLetters }
        if let deadLetterRetentionNanos {
            changed.deadLetters.retentionNanos = deadLetterRetentionNanos
        }
        if let forwardDeadTo {
            changed.deadLetters.forwardTo = forwardDeadTo.isEmpty ? nil : forwardDeadTo
        }
        return changed
    }
}
