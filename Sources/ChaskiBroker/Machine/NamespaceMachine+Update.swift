import ChaskiModel

extension NamespaceMachine {
    /// Proposes the settings with the change, on top of the updates that are on their way.
    func updateSubscription(
        _ request: RequestID, _ name: String, _ change: SubscriptionChange,
        _ effects: inout [Effect]
    ) {
        guard let subscription = directory.subscription(named: name),
            !subscription.activity.isDeleting
        else {
            effects.append(.reply(request, .failure(.unknownSubscription(name))))
            return
        }
        let before = subscription.settingsToCome
        let settings = change.applied(to: before)
        if let failure = Self.check(settings, replacing: before, of: name)
            ?? checkForwarding(settings, from: subscription.topic, replacing: before)
        {
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let entry = StateEntry.subscriptionUpdated(subscription.id, settings)
        guard propose(.entry(entry), .done, request, &effects) else { return }
        subscription.activity.proposedSettings = settings
        subscription.activity.updatesInFlight += 1
    }

    /// Why settings cannot take the place of others.
    private static func check(
        _ settings: SubscriptionSettings, replacing before: SubscriptionSettings, of name: String
    ) -> Failure? {
        guard settings.start == before.start else {
            return invalid(
                "subscription \"\(name)\" has begun: its start cannot change; delete it and "
                    + "create it again to begin elsewhere")
        }
        guard (settings.order == nil) == (before.order == nil) else {
            return invalid(
                "subscription \"\(name)\" was created \(before.order == nil ? "un" : "")ordered: that "
                    + "cannot change; create another one beside it")
        }
        return check(settings)
    }

    /// What is decided with settings is decided with these from now on: the next backoff, the next
    /// death, the next lease. What was decided before stays: due times and leases that are given.
    func applyUpdate(_ id: SubscriptionID, _ settings: SubscriptionSettings) {
        guard let subscription = directory.subscriptions[id] else { return }
        let before = subscription.settings
        subscription.update(settings)
        flowSettingsChanged(subscription, from: before)
        guard isRunning else { return }
        if subscription.activity.updatesInFlight > 0 { subscription.activity.updatesInFlight -= 1 }
        if subscription.activity.updatesInFlight == 0 {
            subscription.activity.proposedSettings = nil
        }
        setDeadTimer(subscription)
        subscription.deaths.block = nil
        markDying(subscription)
        if before.order?.afterDeath == .hold, settings.order?.afterDeath == .goOn {
            freeKeys(subscription)
        }
        // A larger window may let it go on.
        markDirty(subscription)
    }
}
