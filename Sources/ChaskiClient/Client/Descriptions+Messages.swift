import ChaskiMessages
import ChaskiModel
import ChaskiWire

extension TopicInfo {
    init(_ topic: Chaski_V1_Topic) {
        self.init(
            name: topic.name, id: TopicID(rawValue: topic.id), incarnation: topic.incarnation,
            settings: TopicSettings(topic.settings),
            firstOffset: topic.firstOffset, nextOffset: topic.nextOffset,
            bytes: topic.bytes, subscriptions: topic.subscriptions,
            createdNanos: topic.createdUnixNanos)
    }
}

extension SubscriptionInfo {
    init(_ subscription: Chaski_V1_Subscription) {
        self.init(
            name: subscription.name, id: SubscriptionID(rawValue: subscription.id),
            topic: subscription.topic, settings: SubscriptionSettings(subscription.settings),
            settledBelow: subscription.settledBelow, cursor: subscription.cursor,
            leased: subscription.leased, waitingRetry: subscription.waitingRetry,
            pendingAgain: subscription.pendingAgain, dead: subscription.dead,
            consumers: subscription.consumers, backlog: subscription.backlog,
            createdNanos: subscription.createdUnixNanos, acked: subscription.acked,
            handedOut: subscription.handedOut, failed: subscription.failed,
            redriven: subscription.redriven, purged: subscription.purged,
            expired: subscription.expired, deadLettersFull: subscription.deadLettersFull,
            dying: subscription.dying,
            dyingBlockedBy: subscription.hasDyingBlockedBy
                ? subscription.dyingBlockedBy.failure.map { ChaskiError($0) } : nil,
            forwarded: subscription.forwarded, windowFull: subscription.windowFull,
            stalledBy: subscription.hasStalledBy
                ? subscription.stalledBy.failure.map { ChaskiError($0) } : nil,
            tracked: subscription.tracked,
            pause: subscription.hasPause ? PauseInfo(subscription.pause) : nil,
            breaker: subscription.hasBreaker ? BreakerInfo(subscription.breaker) : nil,
            rateTokens: subscription.hasRateTokens ? subscription.rateTokens : nil)
    }
}

extension DeadLetterInfo {
    init(_ letter: Chaski_V1_DeadLetter) {
        self.init(
            offset: letter.offset, diedNanos: letter.diedUnixNanos, cause: letter.cause,
            reason: letter.reason, failed: letter.failed, handedOut: letter.handedOut,
            code: letter.code, redriven: letter.redriven)
    }
}

extension BrokerStatus {
    init(_ status: Chaski_V1_BrokerStatusResponse) {
        self.init(
            software: status.software, startedNanos: status.startedUnixNanos,
            connections: status.connections, residentBytes: status.residentBytes,
            namespaces: status.namespaces.map { NamespaceStatus($0) })
    }
}

extension NamespaceStatus {
    init(_ status: Chaski_V1_NamespaceStatus) {
        self.init(
            name: status.name, topics: status.topics, subscriptions: status.subscriptions,
            syncs: status.syncs, bytesWritten: status.bytesWritten,
            messagesAppended: status.messagesAppended, journalBytes: status.journalBytes,
            journalEpoch: status.journalEpoch,
            publishingRefused: status.publishingRefused,
            allocations: status.allocations)
    }
}
