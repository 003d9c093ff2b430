import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiWire

// What holds a subscription back, as it is said on the wire.
extension NamespaceService {
    /// The subscription of this name as it stands; empty where it is gone.
    func describe(_ name: String) -> Chaski_V1_Subscription {
        machine.subscription(named: name).map { describe($0) } ?? Chaski_V1_Subscription()
    }

    func explain(_ message: Chaski_V1_ExplainRequest) throws(Failure) -> Chaski_V1_ExplainResponse {
        let offset = message.hasOffset ? message.offset : nil
        guard
            let explanation = machine.explain(
                subscription: message.subscription, offset: offset, now: now)
        else { throw .unknownSubscription(message.subscription) }
        return .with {
            $0.subscription = describe(explanation.subscription)
            $0.state = explanation.state?.name ?? ""
            $0.causes = explanation.causes.map { Chaski_V1_Cause($0, now) }
            $0.nowUnixNanos = now.wall
        }
    }
}

extension Chaski_V1_Subscription {
    mutating func set(_ flow: FlowInfo) {
        tracked = flow.tracked
        if let held = flow.pause {
            pause = .with {
                $0.sinceUnixNanos = held.sinceWallNanos
                if let until = held.untilWallNanos { $0.untilUnixNanos = until }
            }
        }
        if let info = flow.breaker { breaker = Chaski_V1_Breaker(info) }
        if let tokens = flow.tokens { rateTokens = tokens }
    }
}

extension Chaski_V1_Breaker {
    init(_ info: FlowInfo.BreakerInfo) {
        self.init()
        switch info.position {
        case .auto: self.switch = .auto
        case .open: self.switch = .open
        case .closed: self.switch = .closed
        }
        state = info.state.rawValue
        acked = info.acked
        failed = info.failed
        failureThousandths = info.failureThousandths
        if let since = info.sinceWallNanos { sinceUnixNanos = since }
        if let at = info.probeWallNanos { probeUnixNanos = at }
        if let offset = info.probe { probe = offset }
    }
}

extension Chaski_V1_Cause {
    init(_ cause: Explanation.Cause, _ now: Now) {
        self.init()
        kind = cause.kind.rawValue
        text = cause.text
        if let since = cause.sinceNanos { sinceUnixNanos = now.wallNanos(of: since) }
        if let until = cause.untilNanos { untilUnixNanos = now.wallNanos(of: until) }
        if let value = cause.offset { offset = value }
        if let id = cause.session {
            session = (0..<16).map { UInt8(truncatingIfNeeded: id.rawValue >> UInt128(8 * $0)) }
        }
        if let value = cause.count { count = value }
        if let value = cause.limit { limit = value }
        if let value = cause.bytes { bytes = value }
        if let value = cause.byteLimit { byteLimit = value }
        if let value = cause.failure { failure = Chaski_V1_Status(value) }
    }
}

extension BreakerSwitch {
    /// nil for one that is not known.
    init?(_ position: Chaski_V1_BreakerSwitch) {
        switch position {
        case .auto: self = .auto
        case .open: self = .open
        case .closed: self = .closed
        default: return nil
        }
    }
}

extension MessageState {
    /// As it is said on the wire.
    var name: String {
        switch self {
        case .notPublished: "not-published"
        case .beforeStart: "before-start"
        case .pending: "pending"
        case .leased: "leased"
        case .pendingAgain: "pending-again"
        case .waiting: "waiting"
        case .awaitingResume: "awaiting-resume"
        case .acked: "acked"
        case .dying: "dying"
        case .dead: "dead"
        }
    }
}

extension Failure {
    static let unknownBreakerSwitch = Failure(
        .invalidArgument, .invalidSetting, "a breaker is set auto, open or closed")
}
