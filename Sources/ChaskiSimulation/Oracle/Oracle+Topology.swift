import ChaskiBroker
import ChaskiModel

/// Topics and subscriptions: made once, found again, gone for good.
extension Oracle {
    func topicKey(_ name: String) -> String { "topic " + name }
    func subscriptionKey(_ name: String) -> String { "subscription " + name }

    func change(of key: String, by step: Int) {
        namesUnderWay[key] = (namesUnderWay[key] ?? 0) + step
    }

    /// Whether a subscription of this name is being made or deleted in this moment.
    func isChanging(_ subscription: String) -> Bool {
        (namesUnderWay[subscriptionKey(subscription)] ?? 0) > 0
    }

    /// Whether the change that was just answered was the only one under way for its name.
    private func concluded(_ key: String) -> Bool {
        change(of: key, by: -1)
        return namesUnderWay[key] == 0
    }

    func startLow(_ topic: String, _ settings: SubscriptionSettings) -> Offset {
        guard case .present(let id) = topicNames[topic], let model = topics[id] else { return 0 }
        switch settings.start {
        case .earliest: return 0
        case .latest: return model.end
        case .offset(let offset): return offset
        }
    }

    /// The highest offset that may be the first that a new subscription delivers.
    private func startHigh(
        _ topic: TopicModel, _ settings: SubscriptionSettings, low: Offset
    ) -> Offset {
        switch settings.start {
        case .earliest: topic.releasedMaximum
        case .latest: topic.end
        case .offset(let offset): max(offset, topic.releasedMaximum)
        }
    }

    func topologyReplied(_ request: Pending, _ result: Result<Reply, Failure>) {
        switch request {
        case .createTopic(let name): topicCreated(name, result)
        case .deleteTopic(let name): topicDeleted(name, result)
        case .createSubscription(let name, let topic, let settings, let low):
            subscriptionCreated(name, topic, settings, low, result)
        case .deleteSubscription(let name): subscriptionDeleted(name, result)
        default: preconditionFailure("not a change of topology")
        }
    }

    private func topicCreated(_ name: String, _ result: Result<Reply, Failure>) {
        let alone = concluded(topicKey(name))
        let before = topicNames[name] ?? .absent
        switch result {
        case .success(.topicCreated(let id)):
            if alone, case .present(let earlier) = before {
                violated(
                    "N1", "topic \(name) was created as \(id.rawValue) beside \(earlier.rawValue)")
            }
            if topics[id] != nil { violated("N1", "topic id \(id.rawValue) was used before") }
            addTopic(id, name)
        case .success(let other): violated("one reply", "a new topic was answered with \(other)")
        case .failure(let failure):
            if failure.isIndeterminate { topicNames[name] = .unknown }
            if alone, failure.reason == .alreadyExists, case .absent = before {
                violated("N1", "topic \(name) is said to exist")
            }
        }
    }

    private func addTopic(_ id: TopicID, _ name: String) {
        let topic = TopicModel(id: id, name: name)
        topics[id] = topic
        topicOrder.append(topic)
        topicNames[name] = .present(id)
    }

    private func topicDeleted(_ name: String, _ result: Result<Reply, Failure>) {
        let alone = concluded(topicKey(name))
        let before = topicNames[name] ?? .absent
        switch result {
        case .success:
            if case .present(let id) = before { topics[id]?.removed = true }
            topicNames[name] = .absent
        case .failure(let failure):
            if failure.isIndeterminate { topicNames[name] = .unknown }
            if alone, failure.reason == .unknownTopic, case .present = before {
                violated("N1", "topic \(name) is said not to exist")
            }
        }
    }

    private func subscriptionCreated(
        _ name: String, _ topicName: String, _ settings: SubscriptionSettings, _ low: Offset,
        _ result: Result<Reply, Failure>
    ) {
        let alone = concluded(subscriptionKey(name))
        let before = subscriptionNames[name] ?? .absent
        switch result {
        case .success(.subscriptionCreated(let id)):
            if alone, case .present = before {
                violated("N1", "subscription \(name) was created twice")
            }
            if subscriptions[id] != nil {
                violated("N1", "subscription id \(id.rawValue) was used before")
            }
            guard case .present(let topicID) = topicNames[topicName], let topic = topics[topicID]
            else {
                return violated("N1", "subscription \(name) was created on no topic")
            }
            addSubscription(id, name, topic, settings, low)
        case .success(let other):
            violated("one reply", "a new subscription was answered with \(other)")
        case .failure(let failure):
            if failure.isIndeterminate { creationInDoubt(name, low) }
            if alone, failure.reason == .alreadyExists, case .absent = before {
                violated("N1", "subscription \(name) is said to exist")
            }
        }
    }

    /// Nobody knows whether a subscription was made, and with which of several starts.
    func creationInDoubt(_ name: String, _ low: Offset) {
        if case .unknown = subscriptionNames[name], let before = creationLow[name] {
            creationLow[name] = min(before, low)
        } else {
            creationLow[name] = low
        }
        subscriptionNames[name] = .unknown
    }

    private func addSubscription(
        _ id: SubscriptionID, _ name: String, _ topic: TopicModel, _ settings: SubscriptionSettings,
        _ low: Offset
    ) {
        let high = max(low, startHigh(topic, settings, low: low))
        let subscription = SubscriptionModel(
            id: id, name: name, topic: topic, settings: settings, startLow: low, startHigh: high)
        subscriptions[id] = subscription
        subscriptionOrder.append(subscription)
        topic.subscriptions.append(subscription)
        subscriptionNames[name] = .present(id)
    }

    private func subscriptionDeleted(_ name: String, _ result: Result<Reply, Failure>) {
        let alone = concluded(subscriptionKey(name))
        let before = subscriptionNames[name] ?? .absent
        switch result {
        case .success:
            if case .present(let id) = before { subscriptions[id]?.removed = true }
            subscriptionNames[name] = .absent
        case .failure(let failure):
            if failure.isIndeterminate { subscriptionNames[name] = .unknown }
            if alone, failure.reason == .unknownSubscription, case .present = before {
                violated("N1", "subscription \(name) is said not to exist")
            }
        }
    }

    // MARK: - Recovery

    /// What is found after recovery must be what was confirmed; what was in doubt is learned.
    func reconcileTopics(_ found: [(id: TopicID, name: String, end: Offset)]) {
        for topic in topicOrder where !topic.removed {
            guard let match = found.first(where: { $0.id == topic.id }) else {
                if case .present = topicNames[topic.name] {
                    violated("P1", "topic \(topic.name) is gone after recovery")
                }
                topic.removed = true
                topicNames[topic.name] = .absent
                continue
            }
            if match.end != topic.end {
                violated(
                    "P1", "\(topic.name) ended at \(topic.end), and at \(match.end) after recovery")
            }
        }
        for item in found {
            if let known = topics[item.id] {
                if known.removed { violated("N1", "topic \(item.name) is back after its deletion") }
            } else if case .absent = topicNames[item.name] ?? .absent {
                violated("N1", "topic \(item.name) appears after recovery")
            } else {
                addTopic(item.id, item.name)
            }
            topicNames[item.name] = .present(item.id)
        }
        for (name, presence) in topicNames {
            if case .unknown = presence { topicNames[name] = .absent }
        }
    }

    func reconcileSubscriptions(
        _ found: [(id: SubscriptionID, name: String, topic: TopicID, SubscriptionSettings)]
    ) {
        for subscription in subscriptionOrder where !subscription.removed {
            guard found.contains(where: { $0.id == subscription.id }) else {
                if case .present = subscriptionNames[subscription.name] {
                    violated("A1", "subscription \(subscription.name) is gone after recovery")
                }
                subscription.removed = true
                subscriptionNames[subscription.name] = .absent
                continue
            }
        }
        for (id, name, topicID, settings) in found {
            if let known = subscriptions[id] {
                if known.removed {
                    violated("N1", "subscription \(name) is back after its deletion")
                }
                settingsFound(settings, known)
            } else if case .absent = subscriptionNames[name] ?? .absent {
                violated("N1", "subscription \(name) appears after recovery")
            } else if let topic = topics[topicID] {
                var low = creationLow[name] ?? 0
                if case .offset(let offset) = settings.start { low = offset }
                addSubscription(id, name, topic, settings, low)
            }
            subscriptionNames[name] = .present(id)
        }
        for (name, presence) in subscriptionNames {
            if case .unknown = presence { subscriptionNames[name] = .absent }
        }
        creationLow.removeAll()
    }
}
