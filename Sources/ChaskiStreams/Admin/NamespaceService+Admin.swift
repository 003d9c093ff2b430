import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiWire

extension NamespaceService {
    /// Starts a unary request; the answer follows as `answered`, at once for queries.
    func take(_ admin: AdminRequest, request: RequestID) -> Command? {
        if let command = takeDeadLetters(admin, request: request) { return command }
        guard !admin.isAboutDeadLetters else { return nil }
        guard let command = command(for: admin, request) else {
            reply(.answered(request, answer(admin)), request)
            return nil
        }
        followUps[request] = .admin(admin)
        return command
    }

    /// What a request asks of the core; nil for a query.
    private func command(for admin: AdminRequest, _ request: RequestID) -> Command? {
        switch admin {
        case .createTopic(let message):
            return .createTopic(request, name: message.name, TopicSettings(message.settings))
        case .deleteTopic(let message):
            return .deleteTopic(request, name: message.name)
        case .createSubscription(let message):
            return .createSubscription(
                request, name: message.name, topic: message.topic,
                SubscriptionChange(message.settings).applied(to: SubscriptionSettings()))
        case .updateSubscription(let message):
            return .updateSubscription(
                request, name: message.name, SubscriptionChange(message.settings))
        case .pauseSubscription(let message):
            return .pauseSubscription(
                request, name: message.name,
                forNanos: message.hasForNanos ? Int64(clamping: message.forNanos) : nil)
        case .resumeSubscription(let message):
            return .resumeSubscription(request, name: message.name)
        case .setBreaker(let message):
            guard let position = BreakerSwitch(message.switch) else { return nil }
            return .setBreaker(request, name: message.name, position)
        case .deleteSubscription(let message):
            return .deleteSubscription(request, name: message.name)
        case .describeTopic, .listTopics, .describeSubscription, .listSubscriptions,
            .listDeadLetters, .showDeadLetter, .redriveDeadLetters, .redriveEdited,
            .purgeDeadLetters, .explain:
            return nil
        }
    }

    /// The answer once the command, where there was one, is on disk.
    func answer(_ admin: AdminRequest) -> Result<[UInt8], Failure> {
        do throws(Failure) {
            return .success(try message(answering: admin))
        } catch {
            return .failure(error)
        }
    }

    private func message(answering admin: AdminRequest) throws(Failure) -> [UInt8] {
        switch admin {
        case .createTopic(let message):
            return try Chaski_V1_CreateTopicResponse.with {
                if let info = machine.topic(named: message.name) { $0.topic = describe(info) }
            }.bytes()
        case .deleteTopic:
            return try Chaski_V1_DeleteTopicResponse().bytes()
        case .createSubscription(let message):
            return try Chaski_V1_CreateSubscriptionResponse.with {
                if let info = machine.subscription(named: message.name) {
                    $0.subscription = describe(info)
                }
            }.bytes()
        case .updateSubscription(let message):
            return try Chaski_V1_UpdateSubscriptionResponse.with {
                if let info = machine.subscription(named: message.name) {
                    $0.subscription = describe(info)
                }
            }.bytes()
        case .pauseSubscription(let message):
            return try Chaski_V1_PauseSubscriptionResponse.with {
                $0.subscription = describe(message.name)
            }.bytes()
        case .resumeSubscription(let message):
            return try Chaski_V1_ResumeSubscriptionResponse.with {
                $0.subscription = describe(message.name)
            }.bytes()
        case .setBreaker(let message):
            guard BreakerSwitch(message.switch) != nil else { throw .unknownBreakerSwitch }
            return try Chaski_V1_SetBreakerResponse.with {
                $0.subscription = describe(message.name)
            }.bytes()
        case .explain(let message):
            return try explain(message).bytes()
        case .deleteSubscription:
            return try Chaski_V1_DeleteSubscriptionResponse().bytes()
        case .describeTopic(let message):
            guard let info = machine.topic(named: message.name) else {
                throw .unknownTopic(message.name)
            }
            return try Chaski_V1_DescribeTopicResponse.with { $0.topic = describe(info) }.bytes()
        case .describeSubscription(let message):
            guard let info = machine.subscription(named: message.name) else {
                throw .unknownSubscription(message.name)
            }
            return try Chaski_V1_DescribeSubscriptionResponse.with {
                $0.subscription = describe(info)
            }.bytes()
        case .listTopics(let message):
            return try list(message).bytes()
        case .listSubscriptions(let message):
            return try list(message).bytes()
        case .listDeadLetters, .showDeadLetter, .redriveDeadLetters, .redriveEdited,
            .purgeDeadLetters:
            throw .unexpectedReply
        }
    }

    // MARK: Lists

    private func list(_ message: Chaski_V1_ListTopicsRequest) -> Chaski_V1_ListTopicsResponse {
        let limit = Page.limit(message.limit)
        let page = machine.topics(after: message.after, limit: limit + 1)
        return .with {
            $0.topics = page.prefix(limit).map(describe)
            $0.more = page.count > limit
        }
    }

    private func list(
        _ message: Chaski_V1_ListSubscriptionsRequest
    )
        -> Chaski_V1_ListSubscriptionsResponse
    {
        let limit = Page.limit(message.limit)
        let page = machine.subscriptions(
            after: message.after, of: message.topic.isEmpty ? nil : message.topic,
            limit: limit + 1)
        return .with {
            $0.subscriptions = page.prefix(limit).map(describe)
            $0.more = page.count > limit
        }
    }

    // MARK: Descriptions

    private func describe(_ info: TopicInfo) -> Chaski_V1_Topic {
        .with {
            $0.name = info.name
            $0.id = info.id.rawValue
            $0.incarnation = info.incarnation
            $0.settings = Chaski_V1_TopicSettings(info.settings)
            $0.firstOffset = info.firstOffset
            $0.nextOffset = info.nextOffset
            $0.bytes = info.bytes
            $0.subscriptions = Array(info.subscriptions.prefix(1_000))
            $0.createdUnixNanos = info.createdWallNanos
        }
    }

    func describe(_ info: SubscriptionInfo) -> Chaski_V1_Subscription {
        .with {
            $0.name = info.name
            $0.id = info.id.rawValue
            $0.topic = info.topicName
            $0.settings = Chaski_V1_SubscriptionSettings(info.settings)
            $0.settledBelow = info.settledBelow
            $0.cursor = info.cursor
            $0.leased = info.leased
            $0.waitingRetry = info.waitingRetry
            $0.pendingAgain = info.pendingAgain &+ info.awaitingResume
            $0.dead = info.dead
            $0.consumers = info.consumers
            $0.backlog = info.backlog
            $0.createdUnixNanos = info.createdWallNanos
            $0.acked = info.acked
            $0.handedOut = info.handedOut
            $0.failed = info.failed
            $0.windowFull = info.isWindowFull
            $0.redriven = info.redriven
            $0.purged = info.purged
            $0.expired = info.expired
            $0.deadLettersFull = info.isDeadStoreFull
            $0.dying = info.dying
            if let failure = info.dyingBlockedBy { $0.dyingBlockedBy = Chaski_V1_Status(failure) }
            $0.forwarded = info.forwarded
            if let failure = info.blockedBy { $0.stalledBy = Chaski_V1_Status(failure) }
            if let flow = machine.flow(of: info.id, now: now) { $0.set(flow) }
        }
    }
}

/// Sizes of the pages of lists.
enum Page {
    static let maximum = 1_000

    /// Items of the page that was asked for; 0 asks for the most.
    static func limit(_ asked: UInt32) -> Int {
        asked == 0 ? maximum : min(Int(asked), maximum)
    }
}
