import ChaskiBroker
import ChaskiModel

/// What the broker says of itself: why nothing is delivered, and how breakers stand.
extension BrokerHost {
    /// Nothing that could go out stays without a cause that `explain` names.
    func checkExplanations() {
        guard let machine, !hasFailed, effects.isEmpty, isIdle,
            machine.nextTimerNanos ?? .max > now.clock
        else { return }
        for info in machine.subscriptions() where info.backlog > 0 {
            guard let told = machine.explain(subscription: info.name, offset: nil, now: now) else {
                return oracle.violated("explain", "\(info.name) cannot be explained")
            }
            if told.causes.isEmpty {
                oracle.violated("explain", "\(info.name) stays without a cause")
            }
            let couldGo = info.pendingAgain > 0 || info.backlog > told.flow.tracked
            if couldGo, !told.tellsWhatHoldsBack {
                oracle.violated(
                    "explain",
                    "\(info.name) could hand out (cursor \(info.cursor), ceiling "
                        + "\(info.handoutCeiling), backlog \(info.backlog), tracked "
                        + "\(told.flow.tracked), again \(info.pendingAgain)); told: "
                        + told.causes.map { "\($0.kind.rawValue): \($0.text)" }
                        .joined(separator: "; "))
            }
        }
    }

    /// Why subscriptions stand, for a run that does not end.
    var explanations: String {
        guard let machine else { return "" }
        return machine.subscriptions().filter { $0.backlog > 0 }.prefix(3).map { info in
            let causes =
                machine.explain(subscription: info.name, offset: nil, now: now)?.causes ?? []
            return "\(info.name): " + causes.map(\.text).joined(separator: ", ")
        }.joined(separator: "; ")
    }

    /// Where a message stands for a subscription.
    func state(of offset: Offset, _ subscription: SubscriptionModel) -> MessageState? {
        guard let machine, machine.subscription(named: subscription.name)?.id == subscription.id
        else { return nil }
        return machine.messageState(subscription: subscription.name, offset: offset)
    }

    /// Tells the oracle how the breaker of what was just handed out stands.
    func noteBreaker(_ effect: Effect) {
        guard case .deliver(_, let id, let deliveries) = effect,
            let breaker = machine?.flow(of: id, now: now)?.breaker
        else { return }
        if breaker.state == .halfOpen { simulation.hit(.breaker) }
        oracle.breakerSeen(id, breaker, deliveries)
    }
}
