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
    /// How long a delivery may stay without verdict, extension or heartbeat, nanoseconds.
    public var leaseNanos: Int64?
    /// Messages tracked at once.
    public var maximumUnsettled: UInt32?
    /// Messages handed out per second; 0 for no limit.
    public var rateLimit: UInt32?
    /// When hand-outs stop because handlers fail.
    public var breaker: BreakerChange?

    /// Names nothing.
    public init() {}

    /// Names every setting.
    public init(_ settings: SubscriptionSettings) {
        start = settings.start
        minimumBackoffNanos = settings.retry.minimumBackoffNanos
        maximumBackoffNanos = settings.retry.maximumBackoffNanos
        maximumFailures = settings.retry.maximumFailures
        leaseNanos = settings.leaseNanos
        maximumUnsettled = settings.maximumUnsettled
        rateLimit = settings.rateLimit ?? 0
        breaker = settings.breaker.map { BreakerChange($0) } ?? .removal
    }

    /// `settings` with what is named here.
    public func applied(to settings: SubscriptionSettings) -> SubscriptionSettings {
        var changed = settings
        if let start { changed.start = start }
        if let minimumBackoffNanos { changed.retry.minimumBackoffNanos = minimumBackoffNanos }
        if let maximumBackoffNanos { changed.retry.maximumBackoffNanos = maximumBackoffNanos }
        if let maximumFailures { changed.retry.maximumFailures = maximumFailures }
        if let leaseNanos { changed.leaseNanos = leaseNanos }
        if let maximumUnsettled { changed.maximumUnsettled = maximumUnsettled }
        if let rateLimit { changed.rateLimit = rateLimit == 0 ? nil : rateLimit }
        if let breaker { changed.breaker = breaker.applied(to: settings.breaker) }
        return changed
    }
}
