import ChaskiBroker
import ChaskiModel

/// A request that holds a subscription back, or sets it free.
enum FlowRequest {
    case pause(String, until: Int64)
    case resume(String)
    case setBreaker(String, BreakerSwitch)

    var subscription: String {
        switch self {
        case .pause(let name, _), .resume(let name), .setBreaker(let name, _): name
        }
    }
}

/// Pause, rate limit and breaker hold back what they say, and nothing beyond.
extension Oracle {
    private func subject(_ request: FlowRequest) -> SubscriptionModel? {
        guard case .present(let id)? = subscriptionNames[request.subscription] else { return nil }
        return subscriptions[id]
    }

    func flowReplied(_ request: FlowRequest, _ result: Result<Reply, Failure>) {
        guard case .success = result else {
            if case .failure(let failure) = result, failure.isIndeterminate {
                flowInDoubt(request)
            }
            return
        }
        guard let subscription = subject(request) else { return }
        switch request {
        case .pause(_, let until): subscription.flow.pausedUntil = until
        case .resume: subscription.flow.pausedUntil = .min
        case .setBreaker(let name, let position):
            // One may have gone out as a probe while this was on its way.
            breakerMayChange(name)
            subscription.flow.isOpenByHand = position == .open
        }
    }

    /// It may have taken effect, or not.
    func flowInDoubt(_ request: FlowRequest) {
        guard let subscription = subject(request) else { return }
        switch request {
        case .pause, .resume: subscription.flow.pausedUntil = .min
        case .setBreaker: subscription.flow.isOpenByHand = false
        }
    }

    /// So many messages of a subscription are handed out at `now`.
    func checkFlow(_ subscription: SubscriptionModel, _ count: UInt64, now: Now) {
        if now.clock < subscription.flow.pausedUntil {
            violated("pause", "\(subscription.name) hands out although it is paused")
        }
        if subscription.flow.isOpenByHand, subscription.settings.breaker != nil {
            violated("breaker", "\(subscription.name) hands out; its breaker is open by hand")
        }
        guard let rate = subscription.settings.rateLimit else { return }
        if !subscription.flow.rate.take(count, rate: rate, clock: now.clock) {
            violated(
                "rate", "\(subscription.name) hands out \(count) more than its \(rate) a second")
        }
        if subscription.flow.rate.isSpent(rate) { tookEffect(.rateLimit) }
    }

    // MARK: - Breakers

    /// What the broker says of a breaker after it handed out these messages.
    func breakerSeen(
        _ id: SubscriptionID, _ breaker: FlowInfo.BreakerInfo, _ deliveries: [Delivery]
    ) {
        guard let subscription = subscriptions[id], breaker.position == .auto else { return }
        let offsets = deliveries.flatMap { $0.runs.map { ($0.first, $0.count) } }
        switch breaker.state {
        case .closed: break
        case .open: violated("breaker", "\(subscription.name) hands out; its breaker is open")
        case .halfOpen:
            guard let probe = breaker.probe, offsets.count == 1, offsets[0] == (probe, 1) else {
                return violated(
                    "breaker", "\(subscription.name) hands out more than its breaker's probe")
            }
            subscription.withRecord(probe) { $0.probe = .yes }
        }
    }

    /// The breaker may begin anew: what is out as a probe may be one no more.
    func breakerMayChange(_ name: String) {
        guard case .present(let id)? = subscriptionNames[name], let subscription = subscriptions[id]
        else { return }
        for index in subscription.window where subscription.messages[index].probe == .yes {
            subscription.messages[index].probe = .perhaps
        }
    }

    /// How long a retry waits at least.
    func retryDelay(
        _ settle: PendingSettle, _ record: MessageRecord, _ subscription: SubscriptionModel
    ) -> Int64 {
        let given = settle.command.delayNanos ?? 0
        let open = settle.openNanos
        switch record.probe {
        case .no: return given
        case .perhaps: return min(given, open)
        case .yes: return open
        }
    }
}

/// Whether a hand-out is a breaker's probe.
enum Probe: UInt8 {
    case no, perhaps, yes
}

/// What the reference model knows of what holds a subscription back.
struct FlowModel {
    /// Nothing is handed out before this moment of the broker clock.
    var pausedUntil = Int64.min
    /// Its breaker was set open, and nobody set it otherwise.
    var isOpenByHand = false
    var rate = RateModel()
}

/// No interval sees more messages than the rate times its length, and one second's worth: so much
/// could be taken at once after a pause, and no more.
struct RateModel {
    /// What was taken, in messages times nanoseconds, less what the time since gave back.
    private var debt: UInt64 = 0
    private var clock = Int64.min

    /// Whether not one more may go in this moment.
    func isSpent(_ rate: UInt32) -> Bool {
        debt + 1_000_000_000 > UInt64(rate) * 1_000_000_000
    }

    /// Another rate from now on: what could go at once still may, up to a second's worth of the new
    /// one. A limit that is new begins with nothing.
    mutating func changed(from before: UInt32?, to rate: UInt32, clock: Int64) {
        let most = UInt64(rate) * 1_000_000_000
        guard let before else {
            debt = most
            self.clock = max(self.clock, clock)
            return
        }
        let old = UInt64(before) * 1_000_000_000
        // The time since the last hand-out counts at either rate, and at most as a second.
        let nanos = UInt64(min(max(0, clock - max(self.clock, 0)), 1_000_000_000))
        let level = old - min(old, debt) + nanos * UInt64(max(before, rate))
        debt = most - min(most, level)
        self.clock = max(self.clock, clock)
    }

    mutating func take(_ count: UInt64, rate: UInt32, clock: Int64) -> Bool {
        if self.clock != .min, clock > self.clock {
            let nanos = UInt64(clock - self.clock)
            let given = nanos.multipliedReportingOverflow(by: UInt64(rate))
            debt = given.overflow ? 0 : debt - min(debt, given.partialValue)
        }
        self.clock = max(self.clock, clock)
        debt += count * 1_000_000_000
        return debt <= UInt64(rate) * 1_000_000_000
    }

    /// After a restart the broker clock may stand before what was seen last.
    mutating func clockGoesOn(from clock: Int64) {
        self.clock = min(self.clock, clock)
    }
}
