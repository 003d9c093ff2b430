package import ChaskiModel
import DequeModule

/// One session's consuming of one subscription, without connection, clock or tasks.
///
/// It knows which deliveries are held and under which tokens. Verdicts that wait while others are
/// on their way are sorted and leave together as ranges. After a lost connection it claims what it
/// holds and repeats the verdicts that were not answered; what the broker no longer grants is
/// reported as lost. Events come in the past tense; what to send is pulled by `nextRequest`.
package struct ConsumerMachine<Waiter: Sendable> {
    enum Phase: Hashable, Sendable {
        case disconnected
        /// The stream is open; the subscription is not yet confirmed, or not even sent.
        case subscribing(isSent: Bool)
        case active
        /// All is settled; the broker's good-bye is awaited.
        case unsubscribing
        case ended(Failure?)
    }

    struct Held: Hashable, Sendable {
        var handout: UInt32
        var epoch: UInt32
    }

    struct SettleRequest: Sendable {
        var requestID: UInt64
        var verdict: Verdict
        /// Ascending by offset.
        var items: [SettleItem<Waiter>]
    }

    /// For messages to people.
    package let subscription: String
    /// Deliveries that may be held, at least 1.
    package let maximumMessages: UInt32
    var phase = Phase.disconnected
    var epoch: UInt32 = 0
    /// The subscription that handed out what is held; another one may have its name by now.
    var subscriptionID = SubscriptionID(rawValue: 0)
    var leaseNanos: Int64 = Limits.keepaliveNanos
    /// Deliveries without a verdict.
    var held: [Offset: Held] = [:]
    /// Deliveries whose verdict is part of an atomic request under way.
    var entrusted: [Offset: Entrusted] = [:]
    /// Verdicts not yet sent: acks apart, the others by verdict in order of arrival.
    var waitingAcks: [SettleItem<Waiter>] = []
    var waitingOthers: [(verdict: Verdict, items: [SettleItem<Waiter>])] = []
    var requests: Deque<SettleRequest> = []
    var completions = SettleCompletions<Waiter>()
    var lost: [LostLease] = []
    var heldUntilNanos: Int64 = 0
    var cutOffNanos: Int64?
    private var nextHeartbeatNanos: Int64?
    private var wantsHeartbeat = false
    private var isStopping = false
    private var limitSent = false
    private var mayFinish = false
    private var nextRequestID: UInt64 = 1

    /// Requests under way while fewer verdicts wait than make another one worth it, and at most.
    static var eagerRequests: Int { 2 }
    static var maximumRequests: Int { 8 }
    static var worthwhileItems: Int { 4_096 }

    package init(subscription: String, maximumMessages: UInt32) {
        self.subscription = subscription
        self.maximumMessages = min(max(1, maximumMessages), 100_000)
    }

    /// Whether it is over: nil while it goes on, else why, or no failure after a graceful stop.
    package var end: Failure?? {
        if case .ended(let failure) = phase { return .some(failure) }
        return nil
    }

    /// Verdicts that are not yet confirmed.
    package var unconfirmed: Int {
        requests.reduce(waitingAcks.count + entrusted.count) { $0 + $1.items.count }
            + waitingOthers.reduce(0) { $0 + $1.items.count }
    }

    package var heldCount: Int { held.count }

    // MARK: Deliveries and verdicts

    /// A run of consecutive messages was handed out. False where more came than may be held: the
    /// broker does not keep the protocol.
    package mutating func delivered(
        first: Offset, count: UInt32, handout: UInt32, epoch: UInt32
    ) -> Bool {
        let bound = UInt64(maximumMessages) * 2 + UInt64(Limits.batchMessagesMaximum)
        guard UInt64(held.count) + UInt64(count) <= bound,
            !first.addingReportingOverflow(UInt64(count)).overflow
        else { return false }
        for step in 0..<UInt64(count) {
            let offset = first &+ step
            if let older = held.updateValue(Held(handout: handout, epoch: epoch), forKey: offset) {
                lost.append(LostLease(offset: offset, handout: older.handout))
            }
        }
        return true
    }

    /// The application judged a delivery. Exactly one completion follows for a waiter.
    package mutating func settled(_ item: SettleItem<Waiter>, _ verdict: Verdict) {
        if case .ended(let failure) = phase {
            completions.fail(item.waiter, failure ?? Self.stopped(subscription))
            return
        }
        guard let token = held[item.offset], token.handout == item.handout else {
            if item.waiter != nil { completions.fail(item.waiter, notHeld(item)) }
            return
        }
        if verdict.verb != .extend { held.removeValue(forKey: item.offset) }
        var item = item
        item.epoch = token.epoch
        if verdict == .ack {
            waitingAcks.append(item)
        } else {
            wait(item, verdict)
        }
    }

    mutating func wait(_ item: SettleItem<Waiter>, _ verdict: Verdict) {
        if verdict == .ack {
            waitingAcks.append(item)
        } else if let at = waitingOthers.firstIndex(where: { $0.verdict == verdict }) {
            waitingOthers[at].items.append(item)
        } else {
            waitingOthers.append((verdict, [item]))
        }
    }

    func notHeld(_ item: SettleItem<Waiter>) -> Failure {
        let isUnderWay =
            entrusted[item.offset] != nil
            || waitingAcks.contains { $0.offset == item.offset }
            || requests.contains { $0.items.contains { $0.offset == item.offset } }
        if isUnderWay {
            return Failure(
                .failedPrecondition, .alreadySettled,
                "\(subscription)@\(item.offset) was given a verdict before")
        }
        return Failure(
            .failedPrecondition, .stale,
            "\(subscription)@\(item.offset) is not held: its lease is lost or it is settled")
    }

    static func stopped(_ subscription: String) -> Failure {
        Failure(.failedPrecondition, .closed, "the subscription \(subscription) was stopped")
    }

    // MARK: Stopping

    /// Takes no more: what comes from now on is released, and so is what the caller says.
    package mutating func stopRequested(releasing items: [LostLease]) {
        isStopping = true
        if phase == .disconnected, held.isEmpty, unconfirmed == 0 { finish(nil) }
        release(items)
    }

    /// Whether the stop was asked for.
    package var stops: Bool { isStopping }

    /// Gives deliveries back; nobody waits for the confirmation.
    package mutating func release(_ items: [LostLease]) {
        for item in items {
            guard held[item.offset]?.handout == item.handout else { continue }
            settled(
                SettleItem(offset: item.offset, handout: item.handout, waiter: nil),
                Verdict(.release))
        }
    }

    /// The application is done with its deliveries: unsubscribe once all verdicts are confirmed.
    package mutating func finishRequested() {
        isStopping = true
        mayFinish = true
        if phase == .disconnected { finish(nil) }
    }

    /// The subscription is over: what waits fails.
    mutating func finish(_ failure: Failure?) {
        if case .ended = phase { return }
        phase = .ended(failure)
        let why = failure ?? Self.stopped(subscription)
        for request in requests {
            for item in request.items { completions.fail(item.waiter, why.asIndeterminate()) }
        }
        failWaiting(why)
        requests.removeAll()
        loseAll()
    }

    /// Fails verdicts that wait; those that were sent before as indeterminate.
    mutating func failWaiting(_ failure: Failure) {
        for item in waitingAcks + waitingOthers.flatMap(\.items) {
            completions.fail(item.waiter, item.wasSent ? failure.asIndeterminate() : failure)
        }
        waitingAcks.removeAll()
        waitingOthers.removeAll()
    }

    mutating func loseAll() {
        for (offset, token) in held.sorted(by: { $0.key < $1.key }) {
            lost.append(LostLease(offset: offset, handout: token.handout))
        }
        held.removeAll()
    }

    // MARK: Requests

    /// What to send next; nil while there is nothing that may be sent.
    package mutating func nextRequest(now: Int64) -> ConsumerRequest? {
        switch phase {
        case .disconnected, .unsubscribing, .ended: return nil
        case .subscribing(isSent: true): return nil
        case .subscribing(isSent: false):
            phase = .subscribing(isSent: true)
            limitSent = isStopping
            return .subscribe(
                messages: isStopping ? 0 : maximumMessages, claims: claims(), claimsEpoch: epoch,
                claimsOf: subscriptionID)
        case .active: return activeRequest(now: now)
        }
    }

    private mutating func activeRequest(now: Int64) -> ConsumerRequest? {
        if isStopping, !limitSent {
            limitSent = true
            return .limit(messages: 0)
        }
        if wantsHeartbeat {
            wantsHeartbeat = false
            return .heartbeat
        }
        if heldUntilNanos <= now, let request = nextSettle() { return request }
        if mayFinish, unconfirmed == 0 {
            phase = .unsubscribing
            return .unsubscribe
        }
        return nil
    }

    private mutating func nextSettle() -> ConsumerRequest? {
        guard requests.count < Self.maximumRequests else { return nil }
        guard waitingOthers.isEmpty else { return nextOther() }
        let isEager = requests.count < Self.eagerRequests
        guard !waitingAcks.isEmpty, isEager || waitingAcks.count >= Self.worthwhileItems else {
            return nil
        }
        return nextAcks()
    }

    /// Acks first: those of earlier messages of a key, without which the broker refuses the rest.
    private mutating func nextOther() -> ConsumerRequest {
        guard waitingAcks.isEmpty else { return nextAcks() }
        var (verdict, items) = waitingOthers.removeFirst()
        let request = request(verdict, &items)
        if !items.isEmpty { waitingOthers.insert((verdict, items), at: 0) }
        return request
    }

    private mutating func nextAcks() -> ConsumerRequest {
        var items: [SettleItem<Waiter>] = []
        swap(&items, &waitingAcks)
        let request = request(.ack, &items)
        waitingAcks = items
        return request
    }

    /// A request for the first of `items`; leaves what did not fit.
    private mutating func request(
        _ verdict: Verdict, _ items: inout [SettleItem<Waiter>]
    ) -> ConsumerRequest {
        precondition(!items.isEmpty, "a verdict is about something")
        items.sort { ($0.epoch, $0.offset, $0.handout) < ($1.epoch, $1.offset, $1.handout) }
        let epoch = items[0].epoch
        let sameEpoch = items.prefix { $0.epoch == epoch }
        let (ranges, covered) = RangeCoalescer.coalesced(
            sameEpoch.lazy.map { ($0.offset, $0.handout) }, epoch: epoch)
        let requestID = nextRequestID
        nextRequestID &+= 1
        if covered == items.count {
            requests.append(SettleRequest(requestID: requestID, verdict: verdict, items: items))
            items = []
        } else {
            requests.append(
                SettleRequest(
                    requestID: requestID, verdict: verdict, items: Array(items.prefix(covered))))
            items.removeFirst(covered)
        }
        return .settle(requestID: requestID, verdict, epoch: epoch, ranges: ranges)
    }

    /// Ranges of all that is held or has a verdict that is not confirmed.
    private func claims() -> [TokenRange] {
        var tokens: [(offset: Offset, handout: UInt32)] = []
        tokens.reserveCapacity(held.count)
        for (offset, token) in held where token.epoch == epoch {
            tokens.append((offset, token.handout))
        }
        for (offset, one) in entrusted where one.token.epoch == epoch {
            tokens.append((offset, one.token.handout))
        }
        for item in waitingAcks where item.epoch == epoch {
            tokens.append((item.offset, item.handout))
        }
        for (_, items) in waitingOthers {
            for item in items where item.epoch == epoch {
                tokens.append((item.offset, item.handout))
            }
        }
        tokens.sort { $0 < $1 }
        return RangeCoalescer.coalesced(tokens, epoch: epoch).ranges
    }

    // MARK: Time

    /// Beats the heart when it is time, and gives up what was cut off too long; to be called a few
    /// times a second.
    package mutating func timerFired(now: Int64) {
        if phase == .active, let next = nextHeartbeatNanos, next <= now {
            nextHeartbeatNanos = now.advancedClamping(by: leaseNanos / 3)
            wantsHeartbeat = !held.isEmpty || !entrusted.isEmpty
        }
        guard phase == .disconnected, let cutOffNanos,
            cutOffNanos.advancedClamping(by: leaseNanos) <= now
        else { return }
        self.cutOffNanos = nil
        loseAll()
        renewEntrusted { _, _ in false }
        failWaiting(
            Failure(
                .unavailable, .unreachable,
                "the connection was lost for longer than the lease of \(subscription)"))
    }

    mutating func startHeart(now: Int64) {
        nextHeartbeatNanos = now.advancedClamping(by: leaseNanos / 3)
        wantsHeartbeat = false
    }
}
