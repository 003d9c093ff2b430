import ChaskiBroker
import ChaskiModel

/// Settings of a subscription in use: the model decides with the old ones until the update is
/// durable, and with the new ones from then on.
extension Oracle {
    func takenUpdate(_ id: RequestID, _ name: String, _ change: SubscriptionChange) {
        begin(id, .updateSubscription(name))
        guard let subscription = present(name) else { return }
        let base = subscription.proposals.last?.settings ?? subscription.settings
        subscription.proposals.append((id, change.applied(to: base)))
        breakerMayChange(name)
    }

    func updateReplied(
        _ id: RequestID, _ name: String, _ result: Result<Reply, Failure>, now: Now
    ) {
        guard let subscription = present(name),
            let place = subscription.proposals.firstIndex(where: { $0.request == id })
        else { return }
        switch result {
        case .success:
            // Under the old settings, or the new ones: all in this moment.
            learnDeaths()
            breakerMayChange(name)
            subscription.take(
                subscription.proposals.remove(at: place).settings, clock: now.clock)
            tookEffect(.settingsUpdate)
        case .failure(let failure) where failure.isIndeterminate: break
        case .failure: subscription.proposals.remove(at: place)
        }
    }

    private func present(_ name: String) -> SubscriptionModel? {
        guard case .present(let id)? = subscriptionNames[name] else { return nil }
        return subscriptions[id]
    }

    /// What a recovery found must be what was confirmed, or an update that was in doubt.
    func settingsFound(_ settings: SubscriptionSettings, _ subscription: SubscriptionModel) {
        let known = [subscription.settings] + subscription.proposals.map(\.settings)
        if !known.contains(settings) {
            violated(
                "settings",
                "\(subscription.name) has settings after recovery that nobody gave it: \(settings)")
        }
        if settings != subscription.settings { learnDeaths() }
        subscription.take(settings, clock: lastGroupClock)
        subscription.proposals.removeAll()
    }

    func checkSettings(_ settings: SubscriptionSettings, of id: SubscriptionID) {
        guard let subscription = subscriptions[id], !subscription.removed,
            settings != subscription.settings
        else { return }
        violated(
            "settings",
            "\(subscription.name) has \(settings), and was given \(subscription.settings)")
    }

    /// How long what a consumer gets now is its own: what it was told, or more.
    func leaseNanos(of consumer: Int, _ subscription: SubscriptionModel) -> Int64 {
        max(consumers[consumer].toldLeaseNanos, subscription.settings.leaseNanos)
    }
}

extension SubscriptionModel {
    /// Settings that may be in force: an update may have become durable.
    var possible: [SubscriptionSettings] { [settings] + proposals.map(\.settings) }

    /// The failures of which a message may have died.
    var leastFailures: UInt32 {
        possible.map(\.retry.maximumFailures).min() ?? settings.retry.maximumFailures
    }

    var leastAbandoned: UInt32 {
        possible.map(\.maximumAbandoned).min() ?? settings.maximumAbandoned
    }
}
