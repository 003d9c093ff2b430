import ChaskiMessages
public import ChaskiModel

/// A pause in force.
public struct PauseInfo: Hashable, Sendable {
    /// Nanoseconds since 1970.
    public var sinceNanos: Int64
    /// Nanoseconds since 1970; nil until it is resumed.
    public var untilNanos: Int64?
}

/// A subscription's circuit breaker as it stands.
public struct BreakerInfo: Hashable, Sendable {
    /// How it was set by hand.
    public var position: BreakerSwitch
    /// `closed`, `open` or `half-open`.
    public var state: String
    /// Verdicts of the window, or those that opened it; none where a failed probe did.
    public var acked: UInt64
    /// Failures among them.
    public var failed: UInt64
    /// Their share in thousandths.
    public var failureThousandths: UInt32
    /// Since when it is open or half-open, nanoseconds since 1970.
    public var sinceNanos: Int64?
    /// Open: when the first probe may go out, nanoseconds since 1970.
    public var probeNanos: Int64?
    /// Half-open: the offset of the message that is out.
    public var probe: Offset?
}

/// Why messages of a subscription, or one message, are not being delivered at a moment.
public struct ExplanationInfo: Hashable, Sendable {
    /// The subscription.
    public var subscription: SubscriptionInfo
    /// Where the message stands, as `pending` or `leased`; nil where the subscription was asked for.
    public var state: String?
    /// The decisive one first; empty where what waits goes out at the next opportunity.
    public var causes: [CauseInfo]
    /// When the broker looked, by its clock, nanoseconds since 1970.
    public var nowNanos: Int64
}

/// One cause, with the figures that prove it.
public struct CauseInfo: Hashable, Sendable {
    /// As `no-consumer`, `paused`, `credit`.
    public var kind: String
    /// One sentence with the figures, without times.
    public var text: String
    /// Since when, nanoseconds since 1970.
    public var sinceNanos: Int64?
    /// When it ends or is looked at again, nanoseconds since 1970.
    public var untilNanos: Int64?
    /// The offset that it is about.
    public var offset: Offset?
    /// The consumer session that it is about.
    public var session: SessionID?
    /// How many there are.
    public var count: UInt64?
    /// How many there may be.
    public var limit: UInt64?
    /// Bytes likewise.
    public var bytes: UInt64?
    /// Bytes that there may be.
    public var byteLimit: UInt64?
    /// The failure behind it.
    public var failure: ChaskiError?
}

extension PauseInfo {
    init(_ pause: Chaski_V1_Pause) {
        self.init(
            sinceNanos: pause.sinceUnixNanos,
            untilNanos: pause.hasUntilUnixNanos ? pause.untilUnixNanos : nil)
    }
}

extension BreakerInfo {
    init(_ breaker: Chaski_V1_Breaker) {
        let position: BreakerSwitch =
            switch breaker.switch {
            case .open: .open
            case .closed: .closed
            default: .auto
            }
        self.init(
            position: position, state: breaker.state, acked: breaker.acked, failed: breaker.failed,
            failureThousandths: breaker.failureThousandths,
            sinceNanos: breaker.hasSinceUnixNanos ? breaker.sinceUnixNanos : nil,
            probeNanos: breaker.hasProbeUnixNanos ? breaker.probeUnixNanos : nil,
            probe: breaker.hasProbe ? breaker.probe : nil)
    }
}

extension Chaski_V1_BreakerSwitch {
    init(_ position: BreakerSwitch) {
        switch position {
        case .auto: self = .auto
        case .open: self = .open
        case .closed: self = .closed
        }
    }
}

extension ExplanationInfo {
    init(_ response: Chaski_V1_ExplainResponse) {
        self.init(
            subscription: SubscriptionInfo(response.subscription),
            state: response.state.isEmpty ? nil : response.state,
            causes: response.causes.map { CauseInfo($0) }, nowNanos: response.nowUnixNanos)
    }
}

extension CauseInfo {
    init(_ cause: Chaski_V1_Cause) {
        self.init(
            kind: cause.kind, text: cause.text,
            sinceNanos: cause.hasSinceUnixNanos ? cause.sinceUnixNanos : nil,
            untilNanos: cause.hasUntilUnixNanos ? cause.untilUnixNanos : nil,
            offset: cause.hasOffset ? cause.offset : nil,
            session: cause.session.count == 16 ? SessionID(littleEndian: cause.session) : nil,
            count: cause.hasCount ? cause.count : nil, limit: cause.hasLimit ? cause.limit : nil,
            bytes: cause.hasBytes ? cause.bytes : nil,
            byteLimit: cause.hasByteLimit ? cause.byteLimit : nil,
            failure: cause.hasFailure ? cause.failure.failure.map { ChaskiError($0) } : nil)
    }
}

extension SessionID {
    fileprivate init(littleEndian bytes: [UInt8]) {
        self.init(rawValue: bytes.reversed().reduce(0) { $0 << 8 | UInt128($1) })
    }
}
