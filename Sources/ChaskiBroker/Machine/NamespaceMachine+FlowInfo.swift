package import ChaskiModel

extension NamespaceMachine {
    /// What may hold a subscription back; nil without such a subscription.
    package func flow(of id: SubscriptionID, now: Now) -> FlowInfo? {
        directory.subscriptions[id].map { flow(of: $0, now) }
    }

    func flow(of subscription: SubscriptionState, _ now: Now) -> FlowInfo {
        var info = FlowInfo(tracked: subscription.counts.tracked)
        if let pause = subscription.flow.pause, pause.isInForce(now.clock) {
            info.pause = FlowInfo.PauseInfo(
                sinceWallNanos: pause.sinceWall,
                untilWallNanos: pause.until.map { now.wallNanos(of: $0) })
        }
        if let policy = subscription.settings.breaker {
            info.breaker = breakerInfo(subscription, policy, now)
        }
        if let rate = subscription.settings.rateLimit {
            var bucket = subscription.flow.bucket
            bucket.fill(rate, now.clock)
            info.tokens = bucket.messages
        }
        return info
    }

    private func breakerInfo(
        _ subscription: SubscriptionState, _ policy: BreakerPolicy, _ now: Now
    ) -> FlowInfo.BreakerInfo {
        let breaker = subscription.flow.breaker
        let position = subscription.flow.breakerSwitch
        var counts = breaker.openedBy
        var info = FlowInfo.BreakerInfo(
            position: position, state: .closed, acked: 0, failed: 0, failureThousandths: 0)
        switch breaker.state {
        case .closed:
            counts = breaker.window.counts(policy.windowNanos, now.clock)
            if position == .open { info.state = .open }
        case .open(let since, let until):
            info.state = until <= now.clock ? .halfOpen : .open
            info.sinceWallNanos = now.wallNanos(of: info.state == .open ? since : until)
            if info.state == .open { info.probeWallNanos = now.wallNanos(of: until) }
        case .halfOpen(let since):
            info.state = .halfOpen
            info.sinceWallNanos = now.wallNanos(of: since)
            info.probe = breaker.probe
        }
        info.acked = counts.acked
        info.failed = counts.failed
        info.failureThousandths = counts.failureThousandths
        return info
    }
}

extension Now {
    /// The wall clock when the broker clock shows this.
    package func wallNanos(of clockNanos: Int64) -> Int64 {
        let ahead = clockNanos.subtractingReportingOverflow(clock)
        guard !ahead.overflow else { return clockNanos > clock ? .max : .min }
        return wall.addingSaturating(ahead.partialValue)
    }
}
