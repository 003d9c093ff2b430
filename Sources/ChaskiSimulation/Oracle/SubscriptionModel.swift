import ChaskiBroker
import ChaskiModel

/// What the reference model knows of one message for one subscription.
struct MessageRecord {
    enum State: UInt8 {
        /// Never handed out, or given back.
        case pending
        case leased
        /// A confirmed failure, waiting for its due time.
        case waiting
        case acked, dead
        /// Dead once, and removed for good.
        case purged
    }

    var state = State.pending
    /// A verdict that was under way when the broker died may have taken effect.
    var mayBeSettled = false
    /// Verdicts that the broker took and has not answered, by verb: bit `1 << rawValue`.
    var underWay: UInt8 = 0
    /// How many verdicts those are.
    var underWayCount: UInt8 = 0
    /// The verb that ended the last hand-out; nil while none did.
    var endedBy: Verb?
    /// The token of the last hand-out, and the epoch in which it was handed out: a claim that was
    /// honoured renews the epoch, and both name it.
    var epoch: UInt32 = 0
    var firstEpoch: UInt32 = 0
    var handout: UInt32 = 0
    /// The consumer that holds it or held it last; -1 for none.
    var consumer: Int32 = -1
    /// Hand-outs during which its consumer held nothing else; whether the last is one.
    var alone: UInt32 = 0
    var wasAlone = false
    /// Whether its last hand-out was a breaker's probe.
    var probe = Probe.no
    /// Bounds of the attempts spent.
    var failedLow: UInt32 = 0
    var failedHigh: UInt32 = 0
    /// It was dead, and was not handed out since.
    var isRedriven = false
    /// An earlier message of its key came back since it was handed out.
    var isSuperseded = false
    /// Bounds of the moment of its first failure, broker clock; `max` for none.
    var firstFailureLow = Int64.max
    var firstFailureHigh = Int64.max
    /// Leased: nobody else may have it before this moment of the broker clock.
    var leaseUntil: Int64 = 0
    /// A confirmed extension of the last hand-out ends here; it holds across a restart.
    var extendedUntil = Int64.min
    /// Waiting: not to be handed out before.
    var dueFrom: Int64 = 0

    var isSettled: Bool { state == .acked || state == .dead || state == .purged }

    /// Whether a token names the last hand-out.
    func isNamed(by token: TokenRange) -> Bool {
        handout != 0 && handout == token.handout && firstEpoch <= token.epoch
            && token.epoch <= epoch
    }
}

/// What the reference model knows of one incarnation of a subscription.
final class SubscriptionModel {
    let id: SubscriptionID
    let name: String
    unowned let topic: TopicModel
    private(set) var settings: SubscriptionSettings
    /// Updates that are on their way, or in doubt: each with all settings that it leads to.
    var proposals: [(request: RequestID, settings: SubscriptionSettings)] = []
    /// The fewest failures of which a message could ever die.
    private(set) var leastFailuresEver: UInt32
    /// Bounds of the first offset that it delivers.
    let startLow: Offset
    let startHigh: Offset
    var removed = false
    var flow = FlowModel()
    /// Per offset; grows with what is handed out.
    var messages: [MessageRecord] = []
    /// All messages below are settled or before the start.
    private(set) var floor: Int
    /// Acked on disk by an atomic request that is not answered: for the broker the ack is under way.
    var unanswered: Set<Offset> = []
    /// Per key, how many of its messages at the front are through.
    var keyFloors: [[UInt8]: Int] = [:]

    init(
        id: SubscriptionID, name: String, topic: TopicModel, settings: SubscriptionSettings,
        startLow: Offset, startHigh: Offset
    ) {
        self.id = id
        self.name = name
        self.topic = topic
        self.settings = settings
        leastFailuresEver = settings.retry.maximumFailures
        self.startLow = startLow
        self.startHigh = startHigh
        floor = Int(startLow)
    }

    /// Settings are others from now on.
    func take(_ settings: SubscriptionSettings, clock: Int64) {
        let before = self.settings
        self.settings = settings
        leastFailuresEver = min(leastFailuresEver, settings.retry.maximumFailures)
        if let rate = settings.rateLimit, rate != before.rateLimit {
            flow.rate.changed(from: before.rateLimit, to: rate, clock: clock)
        }
        if settings.breaker == nil { flow.isOpenByHand = false }
    }

    /// The record of an offset that the topic has.
    @inline(__always)
    func withRecord<T>(_ offset: Offset, _ body: (inout MessageRecord) -> T) -> T {
        let index = Int(offset)
        while messages.count <= index { messages.append(MessageRecord()) }
        return body(&messages[index])
    }

    /// A dead message is delivered again, as if it had never failed.
    func reopen(_ offset: Offset) {
        withRecord(offset) {
            $0.state = .pending
            $0.mayBeSettled = false
            $0.endedBy = nil
            $0.alone = 0
            $0.failedLow = 0
            $0.failedHigh = 0
            $0.firstFailureLow = .max
            $0.firstFailureHigh = .max
            $0.isSuperseded = false
            $0.isRedriven = true
        }
        floor = min(floor, Int(offset))
        keyFloors.removeAll()
    }

    /// The offsets that may be leased, waiting or given back.
    var window: Range<Int> {
        while floor < messages.count, messages[floor].isSettled || floor < Int(startLow) {
            floor += 1
        }
        return min(floor, messages.count)..<messages.count
    }

    /// Whether a message has reached its end on this subscription, as far as clients can know.
    func mayBeOver(_ offset: Offset) -> Bool {
        guard offset >= startHigh else { return true }
        guard offset < Offset(messages.count) else { return false }
        let record = messages[Int(offset)]
        return record.isSettled || record.mayBeSettled
    }
}

/// What the reference model knows of one consumer of the broker.
struct ConsumerModel {
    let id: ConsumerID
    var session: SessionID
    var subscription: SubscriptionModel?
    var subscriptionName: String
    var limit: ConsumerLimit
    /// Deliveries without a verdict under way.
    var outstanding = 0
    /// The last heartbeat of its session, and the first of the unbroken row that it ends; broker
    /// clock. A row breaks when a whole lease passes without one.
    var heartbeat = Int64.min
    var heartbeatsSince = Int64.max
    /// How long its leases lasted at that heartbeat, and as it was told.
    var heartbeatLease: Int64 = 0
    var toldLeaseNanos: Int64 = 0
    var open = false
    /// The broker has not been told that its connection is gone.
    var connected = true
}
