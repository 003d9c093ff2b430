/// When a subscription stops handing out because its handlers fail: a circuit breaker
/// (https://martinfowler.com/bliki/CircuitBreaker.html). Over a sliding window of verdicts it
/// watches the share of failures (retry and fail, of those and acks); from a threshold on it opens,
/// and nothing is handed out. After a while single messages go out as probes: one that is acked
/// closes it, one that fails opens it again, without spending an attempt of that message.
public struct BreakerPolicy: Hashable, Sendable {
    /// Failures among the window's verdicts that open it, in thousandths, 1 to 1,000; 500 unless
    /// told.
    public var failureThousandths: UInt32
    /// How far back verdicts count, nanoseconds, 100 ms to 24 h; 30 s unless told.
    public var windowNanos: Int64
    /// With fewer verdicts in the window it stays closed, 1 to 1,000,000; 20 unless told.
    public var minimumVerdicts: UInt32
    /// How long it stays open before the first probe, nanoseconds, 1 ms to 24 h; 30 s unless told.
    public var openNanos: Int64

    public init(
        failureThousandths: UInt32 = 500, windowNanos: Int64 = 30_000_000_000,
        minimumVerdicts: UInt32 = 20, openNanos: Int64 = 30_000_000_000
    ) {
        self.failureThousandths = failureThousandths
        self.windowNanos = windowNanos
        self.minimumVerdicts = minimumVerdicts
        self.openNanos = openNanos
    }
}

/// How somebody set a breaker by hand.
public enum BreakerSwitch: UInt8, Hashable, Sendable, CaseIterable {
    /// Not: it follows the verdicts.
    case auto = 0
    /// Nothing is handed out.
    case open = 1
    /// Everything is handed out, whatever fails.
    case closed = 2
}

/// What somebody names of a breaker; the rest stays as it is, or begins with its default.
public struct BreakerChange: Hashable, Sendable {
    /// Failures among the window's verdicts that open it, in thousandths.
    public var failureThousandths: UInt32?
    /// How far back verdicts count, nanoseconds.
    public var windowNanos: Int64?
    /// With fewer verdicts in the window it stays closed.
    public var minimumVerdicts: UInt32?
    /// How long it stays open before the first probe, nanoseconds.
    public var openNanos: Int64?
    /// There is to be no breaker, whatever else is named.
    public var isRemoval = false

    /// Names nothing: a breaker with the defaults, where there was none.
    public init() {}

    /// Names all of a policy.
    public init(_ policy: BreakerPolicy) {
        failureThousandths = policy.failureThousandths
        windowNanos = policy.windowNanos
        minimumVerdicts = policy.minimumVerdicts
        openNanos = policy.openNanos
    }

    /// No breaker.
    public static var removal: BreakerChange {
        var change = BreakerChange()
        change.isRemoval = true
        return change
    }

    /// The policy with what is named here.
    public func applied(to policy: BreakerPolicy?) -> BreakerPolicy? {
        guard !isRemoval else { return nil }
        var changed = policy ?? BreakerPolicy()
        if let failureThousandths { changed.failureThousandths = failureThousandths }
        if let windowNanos { changed.windowNanos = windowNanos }
        if let minimumVerdicts { changed.minimumVerdicts = minimumVerdicts }
        if let openNanos { changed.openNanos = openNanos }
        return changed
    }
}
