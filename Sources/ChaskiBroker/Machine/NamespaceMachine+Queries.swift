package import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// All topics, by name.
    package func topics() -> [TopicInfo] {
        directory.topics.values.map(info).sorted { $0.name < $1.name }
    }

    package var topicCount: Int { directory.topics.count }
    package var subscriptionCount: Int { directory.subscriptions.count }

    /// At most `limit` topics whose names come after `name`, in order of name.
    package func topics(after name: String, limit: Int) -> [TopicInfo] {
        var page: [TopicInfo] = []
        directory.topicNames.forEach(after: name) { _, id in
            guard page.count < limit else { return false }
            if let topic = directory.topics[id] { page.append(info(topic)) }
            return true
        }
        return page
    }

    /// At most `limit` subscriptions whose names come after `name`, in order of name; of one topic
    /// where it is named.
    package func subscriptions(
        after name: String, of topic: String? = nil, limit: Int
    )
        -> [SubscriptionInfo]
    {
        if let topic {
            guard let topic = directory.topic(named: topic) else { return [] }
            if topic.subscriptions.count <= 1_000 {
                return topic.subscriptions.filter { $0.created.name > name }
                    .sorted { $0.created.name < $1.created.name }.prefix(limit).map(info)
            }
        }
        var page: [SubscriptionInfo] = []
        directory.subscriptionNames.forEach(after: name) { _, id in
            guard page.count < limit else { return false }
            if let subscription = directory.subscriptions[id],
                topic == nil || subscription.topic.name == topic
            {
                page.append(info(subscription))
            }
            return true
        }
        return page
    }

    package func topic(named name: String) -> TopicInfo? {
        directory.topic(named: name).map(info)
    }

    package func topic(_ id: TopicID) -> TopicInfo? { directory.topics[id].map(info) }

    /// All subscriptions, by name.
    package func subscriptions() -> [SubscriptionInfo] {
        directory.subscriptions.values.map(info).sorted { $0.name < $1.name }
    }

    package func subscription(named name: String) -> SubscriptionInfo? {
        directory.subscription(named: name).map(info)
    }

    package func subscription(_ id: SubscriptionID) -> SubscriptionInfo? {
        directory.subscriptions[id].map(info)
    }

    /// At most `limit` dead letters from an offset on, ascending; nil without such a subscription.
    package func deadLetters(
        subscription name: String, from offset: Offset, limit: Int
    )
        -> [DeadLetter]?
    {
        directory.subscription(named: name)?.dead.list(from: offset, limit: limit).map(\.letter)
    }

    /// Where a message stands for a subscription; nil without such a subscription.
    package func messageState(subscription name: String, offset: Offset) -> MessageState? {
        guard let subscription = directory.subscription(named: name) else { return nil }
        guard offset < subscription.topic.nextOffset else { return .notPublished }
        guard offset >= subscription.created.startOffset else { return .beforeStart }
        guard offset < subscription.window.end else { return .pending }
        if let record = subscription.dead[offset] { return .dead(record.letter) }
        guard let slot = subscription.window.slot(offset)?.pointee else { return .acked }
        switch slot.state {
        case .unseen, .passed: return .pending
        case .leased: return leased(slot, subscription)
        case .returned: return .pendingAgain(failed: slot.failed)
        case .waiting: return .waiting(failed: slot.failed, dueNanos: slot.due)
        case .unresolved: return .awaitingResume(failed: slot.failed)
        case .acked, .dead: return .acked
        case .dying:
            let cause = subscription.deaths.cause(of: offset) ?? .failedOnPurpose
            return .dying(cause, failed: slot.failed)
        }
    }

    private func leased(_ slot: Slot, _ subscription: SubscriptionState) -> MessageState {
        let group = subscription.leases.groups[Int(slot.a)]
        guard let holder = subscription.leases.holder(group.holder) else {
            preconditionFailure("a lease has its holder")
        }
        let deadline =
            holder.consumer == nil ? holder.graceUntil : max(group.deadline, holder.leaseFloor)
        return .leased(
            holder.session.id, handout: slot.handout, failed: slot.failed, deadlineNanos: deadline)
    }

    private func info(_ topic: TopicState) -> TopicInfo {
        let pinned = topic.subscriptions.map(\.pinnedFrom).min()
        return TopicInfo(
            id: topic.id, name: topic.name, incarnation: topic.incarnation,
            settings: topic.settings,
            firstOffset: min(pinned ?? .max, topic.releasedEnd),
            nextOffset: topic.nextOffset, earliestStart: topic.releasedEnd,
            bytes: topic.marks.bytes,
            subscriptions: topic.subscriptions.map(\.created.name).sorted(),
            createdWallNanos: topic.createdWallNanos, lastAppendNanos: topic.lastAppendNanos)
    }

    private func info(_ subscription: SubscriptionState) -> SubscriptionInfo {
        SubscriptionInfo(
            id: subscription.id, name: subscription.created.name, topic: subscription.topic.id,
            topicName: subscription.topic.name,
            topicIncarnation: subscription.topic.incarnation, settings: subscription.settings,
            startOffset: subscription.created.startOffset,
            settledBelow: subscription.window.firstOpen, cursor: subscription.window.end,
            handoutCeiling: subscription.ceiling.value, leased: subscription.counts.leased,
            waitingRetry: subscription.counts.waiting, pendingAgain: subscription.counts.returned,
            awaitingResume: subscription.counts.unresolved,
            dead: UInt64(subscription.dead.count), dying: subscription.counts.dying,
            dyingBlockedBy: subscription.deaths.block?.failure,
            consumers: UInt64(subscription.activity.consumers), backlog: subscription.backlog,
            acked: subscription.totals.acked, handedOut: subscription.totals.handedOut,
            failed: subscription.totals.failed, redriven: subscription.totals.redriven,
            purged: subscription.totals.purged, expired: subscription.totals.expired,
            forwarded: subscription.totals.forwarded,
            isDeadStoreFull: subscription.isDeadStoreFull
                || directory.deadLetters >= configuration.maximumDeadLetters,
            createdWallNanos: subscription.created.createdWallNanos,
            isWindowFull: subscription.isWindowFull
                && subscription.topic.nextOffset > subscription.window.end,
            blockedBy: subscription.supply.failure)
    }
}
