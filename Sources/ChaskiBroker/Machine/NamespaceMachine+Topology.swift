import ChaskiModel
import DequeModule

extension NamespaceMachine {
    func createTopic(
        _ request: RequestID, _ name: String, _ settings: TopicSettings, _ now: Now,
        _ effects: inout [Effect]
    ) {
        if let failure = checkNewTopic(name, settings) {
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let id = TopicID(rawValue: directory.nextTopic)
        let last = directory.forgotten[name]?.incarnation ?? 0
        let created = TopicCreated(
            id: id, name: name, incarnation: last == .max ? last : last + 1, settings: settings,
            createdWallNanos: now.wall)
        guard propose(.entry(.topicCreated(created)), .topicCreated(id), request, &effects) else {
            return
        }
        directory.nextTopic += 1
        directory.pendingTopics.insert(name)
    }

    private func checkNewTopic(_ name: String, _ settings: TopicSettings) -> Failure? {
        if let failure = Self.checkName(name, of: "topic") { return failure }
        if let failure = Self.check(settings) { return failure }
        guard directory.topicNames[name] == nil, !directory.pendingTopics.contains(name) else {
            return Failure(.alreadyExists, .alreadyExists, "topic \"\(name)\" exists already")
        }
        guard directory.topics.count + directory.pendingTopics.count < configuration.maximumTopics
        else { return .tooMany("topics", limit: configuration.maximumTopics) }
        return nil
    }

    func deleteTopic(_ request: RequestID, _ name: String, _ effects: inout [Effect]) {
        guard let topic = directory.topic(named: name), !topic.isDeleting else {
            effects.append(.reply(request, .failure(.unknownTopic(name))))
            return
        }
        guard topic.subscriptions.isEmpty, topic.pendingSubscriptions == 0 else {
            let names = topic.subscriptions.prefix(3).map(\.created.name)
            let text = names.isEmpty ? "a new one" : names.joined(separator: ", ")
            let failure = Failure(
                .failedPrecondition, .topicInUse,
                "topic \"\(name)\" has subscriptions (\(text)): delete them first")
            effects.append(.reply(request, .failure(failure)))
            return
        }
        guard propose(.entry(.topicDeleted(topic.id)), .done, request, &effects) else { return }
        topic.isDeleting = true
        // What waits for this topic could only be written behind the deletion.
        dropQueuedPublishes(.unknownTopic(name), &effects) { $0 == topic.id }
    }

    func createSubscription(
        _ request: RequestID, _ name: String, _ topicName: String,
        _ settings: SubscriptionSettings, _ now: Now, _ effects: inout [Effect]
    ) {
        guard let topic = directory.topic(named: topicName), !topic.isDeleting else {
            effects.append(.reply(request, .failure(.unknownTopic(topicName))))
            return
        }
        if let failure = checkNewSubscription(name, settings)
            ?? checkForwarding(settings, from: topic, replacing: nil)
        {
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let id = SubscriptionID(rawValue: directory.nextSubscription)
        let created = SubscriptionCreated(
            id: id, name: name, topic: topic.id, settings: settings, startOffset: 0,
            createdWallNanos: now.wall)
        guard propose(.createSubscription(created), .subscriptionCreated(id), request, &effects)
        else { return }
        directory.nextSubscription += 1
        directory.pendingSubscriptions.insert(name)
        topic.pendingSubscriptions += 1
    }

    private func checkNewSubscription(
        _ name: String, _ settings: SubscriptionSettings
    ) -> Failure? {
        if let failure = Self.checkName(name, of: "subscription") { return failure }
        if let failure = Self.check(settings) { return failure }
        guard directory.subscriptionNames[name] == nil,
            !directory.pendingSubscriptions.contains(name)
        else {
            return Failure(
                .alreadyExists, .alreadyExists, "subscription \"\(name)\" exists already")
        }
        let count = directory.subscriptions.count + directory.pendingSubscriptions.count
        guard count < configuration.maximumSubscriptions else {
            return .tooMany("subscriptions", limit: configuration.maximumSubscriptions)
        }
        return nil
    }

    /// Whether dead messages can be forwarded where the settings say. What was so before stays.
    func checkForwarding(
        _ settings: SubscriptionSettings, from topic: TopicState,
        replacing before: SubscriptionSettings?
    ) -> Failure? {
        guard let target = settings.deadLetters.forwardTo,
            target != before?.deadLetters.forwardTo
        else { return nil }
        guard let known = directory.topic(named: target), !known.isDeleting else {
            return .unknownTopic(target)
        }
        // Where copies can get to from the target.
        var reached: Set<String> = [target]
        var open = [target]
        while let name = open.popLast() {
            if name == topic.name {
                return Self.invalid(
                    target == name
                        ? "dead messages of topic \"\(name)\" cannot be forwarded to it: they would "
                            + "come again and again"
                        : "dead messages forwarded to topic \"\(target)\" would come back to "
                            + "\"\(name)\": a subscription on the way forwards its own there")
            }
            for subscription in directory.topic(named: name)?.subscriptions ?? [] {
                let settings = subscription.settingsToCome
                guard let next = settings.deadLetters.forwardTo, reached.insert(next).inserted
                else { continue }
                open.append(next)
            }
        }
        return nil
    }

    func deleteSubscription(_ request: RequestID, _ name: String, _ effects: inout [Effect]) {
        guard let subscription = directory.subscription(named: name),
            !subscription.activity.isDeleting
        else {
            effects.append(.reply(request, .failure(.unknownSubscription(name))))
            return
        }
        guard propose(.deleteSubscription(subscription.id), .done, request, &effects) else {
            return
        }
        subscription.activity.isDeleting = true
    }

    /// Names have 1 to 255 bytes of UTF-8 without control characters, and no white space around
    /// them: a name that nobody can see or type again would be lost.
    static func checkName(_ name: String, of what: String) -> Failure? {
        let why: String
        if name.isEmpty {
            why = "it is empty"
        } else if name.utf8.count > Limits.nameBytes {
            why = "it has \(name.utf8.count) bytes, the maximum is \(Limits.nameBytes)"
        } else if name.unicodeScalars.contains(where: {
            $0.properties.generalCategory == .control
        }) {
            why = "it has a control character"
        } else if let first = name.unicodeScalars.first, let last = name.unicodeScalars.last,
            first.properties.isWhitespace || last.properties.isWhitespace
        {
            why = "it begins or ends with white space"
        } else {
            return nil
        }
        return Failure(
            .invalidArgument, .invalidName,
            "\"\(name.prefix(100))\" cannot be the name of a \(what): \(why)")
    }

    private static func check(_ settings: TopicSettings) -> Failure? {
        if let window = settings.dedupWindowNanos,
            window < Limits.dedupWindowNanosMinimum || window > Limits.dedupWindowNanosMaximum
        {
            return invalid("a topic remembers dedup ids for 1 s to 24 h")
        }
        guard settings.maximumBytes == 0 else { return nil }
        return invalid("with a maximum of 0 bytes a topic would refuse every message")
    }

    /// Messages of a key that one holder may have, at most.
    static var maximumRunLength: Int { 1_000 }

    static func check(_ settings: SubscriptionSettings) -> Failure? {
        if let failure = check(settings.deadLetters) { return failure }
        let retry = settings.retry
        guard retry.maximumBackoffNanos >= 0,
            (0...retry.maximumBackoffNanos).contains(retry.minimumBackoffNanos)
        else {
            return invalid(
                "a minimum backoff of \(retry.minimumBackoffNanos) ns is below 0 or above the "
                    + "maximum of \(retry.maximumBackoffNanos) ns: change both")
        }
        guard (1_000...100_000).contains(retry.multiplierThousandths) else {
            return invalid("the multiplier of the backoff is 1 to 100")
        }
        if let age = retry.maximumAgeNanos, age < 1_000_000 {
            return invalid("a maximum age is at least 1 ms, or left out")
        }
        if retry.maximumBackoffNanos > 366 * 86_400_000_000_000 {
            return invalid("a backoff is at most 366 days")
        }
        if retry.maximumFailures < 1 { return invalid("the maximum of failures is at least 1") }
        if settings.leaseNanos < 1_000_000 || settings.leaseNanos > 7 * 86_400_000_000_000 {
            return invalid("a lease lasts between 1 ms and 7 days")
        }
        if settings.maximumUnsettled < 1 || settings.maximumUnsettled > 10_000_000 {
            return invalid("the maximum of unsettled messages is 1 to 10,000,000")
        }
        if !(1...255).contains(settings.maximumAbandoned) {
            return invalid("the maximum of abandonments is 1 to 255")
        }
        if let order = settings.order, !(1...UInt32(maximumRunLength)).contains(order.runLength) {
            return invalid("a run of messages of one key has 1 to 1,000")
        }
        if let text = checkFlow(settings) { return invalid(text) }
        if case .offset(let offset) = settings.start, offset > Offset(Int64.max) {
            return invalid("no topic reaches offset \(offset)")
        }
        return nil
    }

    private static func check(_ policy: DeadLetterPolicy) -> Failure? {
        guard (1...10_000_000).contains(policy.maximum) else {
            return invalid("the maximum of dead letters is 1 to 10,000,000")
        }
        guard policy.retentionNanos >= 1_000_000_000 else {
            return invalid("dead letters are kept for at least 1 s")
        }
        return nil
    }

    static func invalid(_ text: String) -> Failure {
        Failure(.invalidArgument, .invalidSetting, text)
    }
}
