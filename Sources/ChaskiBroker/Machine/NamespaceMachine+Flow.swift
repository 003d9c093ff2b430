import ChaskiModel
import DequeModule

// Pause, resume, and the breaker set by hand: asked for, written, applied.
extension NamespaceMachine {
    /// The longest pause with an end, nanoseconds.
    static var maximumPauseNanos: Int64 { 366 * 86_400_000_000_000 }

    func pauseSubscription(
        _ request: RequestID, _ name: String, _ forNanos: Int64?, _ now: Now,
        _ effects: inout [Effect]
    ) {
        guard let subscription = flowSubject(request, name, &effects) else { return }
        if let forNanos, forNanos < 1 || forNanos > Self.maximumPauseNanos {
            let failure = Failure(
                .invalidArgument, .invalidSetting, "a pause lasts between 1 ns and 366 days")
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let until = forNanos.map { now.clock.addingSaturating($0) }
        let paused = StateEntry.subscriptionPaused(subscription.id, .pause(until: until))
        _ = propose(.entry(paused), .done, request, &effects)
    }

    func resumeSubscription(_ request: RequestID, _ name: String, _ effects: inout [Effect]) {
        guard let subscription = flowSubject(request, name, &effects) else { return }
        let resumed = StateEntry.subscriptionPaused(subscription.id, .resume)
        _ = propose(.entry(resumed), .done, request, &effects)
    }

    func setBreaker(
        _ request: RequestID, _ name: String, _ position: BreakerSwitch,
        _ effects: inout [Effect]
    ) {
        guard let subscription = flowSubject(request, name, &effects) else { return }
        guard subscription.settingsToCome.breaker != nil else {
            let failure = Failure(
                .failedPrecondition, .invalidSetting,
                "the subscription \"\(name)\" has no breaker to set; give it one, or pause it")
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let entry = StateEntry.breakerSwitched(subscription.id, position)
        _ = propose(.entry(entry), .done, request, &effects)
    }

    private func flowSubject(
        _ request: RequestID, _ name: String, _ effects: inout [Effect]
    ) -> SubscriptionState? {
        guard let subscription = directory.subscription(named: name),
            !subscription.activity.isDeleting
        else {
            effects.append(.reply(request, .failure(.unknownSubscription(name))))
            return nil
        }
        return subscription
    }

    // MARK: applied

    func apply(_ change: PauseChange, to id: SubscriptionID, _ time: Now) {
        guard let subscription = directory.subscriptions[id] else { return }
        switch change {
        case .pause(let until):
            subscription.flow.pause = Pause(
                until: until, sinceClock: time.clock, sinceWall: time.wall)
        case .resume: subscription.flow.pause = nil
        }
        if isRunning { markDirty(subscription) }
    }

    /// The breaker begins anew, whichever way it was set.
    func apply(_ position: BreakerSwitch, toBreakerOf id: SubscriptionID) {
        guard let subscription = directory.subscriptions[id] else { return }
        subscription.flow.breakerSwitch = position
        subscription.flow.breaker.reset()
        if isRunning { markDirty(subscription) }
    }

    /// Settings are others from now on: limits hold at once, the breaker begins anew where its
    /// own changed.
    func flowSettingsChanged(
        _ subscription: SubscriptionState, from before: SubscriptionSettings
    ) {
        if subscription.settings.breaker != before.breaker {
            subscription.flow.breaker.reset()
            if subscription.settings.breaker == nil { subscription.flow.breakerSwitch = .auto }
        }
        if subscription.settings.rateLimit == nil { subscription.flow.bucket = TokenBucket() }
        if isRunning { markDirty(subscription) }
    }

    static func checkFlow(_ settings: SubscriptionSettings) -> String? {
        if let rate = settings.rateLimit, rate < 1 || rate > TokenBucket.maximumRate {
            return "a rate limit is 1 to \(TokenBucket.maximumRate) messages per second"
        }
        guard let breaker = settings.breaker else { return nil }
        let day: Int64 = 86_400_000_000_000
        if breaker.failureThousandths < 1 || breaker.failureThousandths > 1_000 {
            return "a breaker opens at a share of failures between 0.001 and 1"
        }
        if breaker.windowNanos < 100_000_000 || breaker.windowNanos > day {
            return "a breaker's window lasts between 100 ms and 24 h"
        }
        if breaker.minimumVerdicts < 1 || breaker.minimumVerdicts > 1_000_000 {
            return "a breaker's minimum of verdicts is 1 to 1,000,000"
        }
        if breaker.openNanos < 1_000_000 || breaker.openNanos > day {
            return "a breaker stays open between 1 ms and 24 h"
        }
        return nil
    }
}
