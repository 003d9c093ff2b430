import ChaskiMessages
public import ChaskiModel
import ChaskiProtobuf
import ChaskiWire

extension ChaskiClient {
    func call<Response: ChaskiProtobuf.Message>(
        _ method: String, _ request: some ChaskiProtobuf.Message, isRepeatable: Bool = false
    ) async throws -> Response {
        do {
            let bytes = try await call(
                "chaski.v1." + method, Coding.encode(request), isRepeatable: isRepeatable)
            return try Coding.decode(bytes)
        } catch let failure as Failure {
            throw ChaskiError(failure)
        }
    }

    // MARK: Topics

    /// Creates a topic.
    ///
    /// - Throws: `ChaskiError`, as `already-exists`, `invalid-name`, `invalid-setting`.
    @discardableResult
    public func createTopic(
        _ name: String, settings: TopicSettings = TopicSettings()
    ) async throws -> TopicInfo {
        let response: Chaski_V1_CreateTopicResponse = try await call(
            "Topics/Create",
            Chaski_V1_CreateTopicRequest.with {
                $0.name = name
                $0.settings = Chaski_V1_TopicSettings(settings)
            })
        return TopicInfo(response.topic)
    }

    /// Describes a topic.
    ///
    /// - Throws: `ChaskiError`, as `unknown-topic`.
    public func topic(_ name: String) async throws -> TopicInfo {
        let response: Chaski_V1_DescribeTopicResponse = try await call(
            "Topics/Describe", Chaski_V1_DescribeTopicRequest.with { $0.name = name },
            isRepeatable: true)
        return TopicInfo(response.topic)
    }

    /// All topics of the namespace, in order of name.
    public func topics() async throws -> [TopicInfo] {
        var all: [TopicInfo] = []
        while true {
            let after = all.last?.name ?? ""
            let response: Chaski_V1_ListTopicsResponse = try await call(
                "Topics/List", Chaski_V1_ListTopicsRequest.with { $0.after = after },
                isRepeatable: true)
            all += response.topics.map { TopicInfo($0) }
            if !response.more || response.topics.isEmpty { return all }
        }
    }

    /// Deletes a topic with all its messages.
    ///
    /// - Throws: `ChaskiError`, as `unknown-topic`, or `topic-in-use` while it has subscriptions.
    public func deleteTopic(_ name: String) async throws {
        let _: Chaski_V1_DeleteTopicResponse = try await call(
            "Topics/Delete", Chaski_V1_DeleteTopicRequest.with { $0.name = name })
    }

    // MARK: Subscriptions

    /// Creates a subscription on a topic.
    ///
    /// - Throws: `ChaskiError`, as `already-exists`, `unknown-topic`, `invalid-setting`.
    @discardableResult
    public func createSubscription(
        _ name: String, topic: String, settings: SubscriptionSettings = SubscriptionSettings()
    ) async throws -> SubscriptionInfo {
        let response: Chaski_V1_CreateSubscriptionResponse = try await call(
            "Subscriptions/Create",
            Chaski_V1_CreateSubscriptionRequest.with {
                $0.name = name
                $0.topic = topic
                $0.settings = Chaski_V1_SubscriptionSettings(settings)
            })
        return SubscriptionInfo(response.subscription)
    }

    /// Describes a subscription.
    ///
    /// - Throws: `ChaskiError`, as `unknown-subscription`.
    public func subscription(_ name: String) async throws -> SubscriptionInfo {
        let response: Chaski_V1_DescribeSubscriptionResponse = try await call(
            "Subscriptions/Describe",
            Chaski_V1_DescribeSubscriptionRequest.with { $0.name = name }, isRepeatable: true)
        return SubscriptionInfo(response.subscription)
    }

    /// All subscriptions of the namespace, or of one of its topics, in order of name.
    public func subscriptions(
        topic: String? = nil
    ) async throws -> [SubscriptionInfo] {
        var all: [SubscriptionInfo] = []
        while true {
            let after = all.last?.name ?? ""
            let response: Chaski_V1_ListSubscriptionsResponse = try await call(
                "Subscriptions/List",
                Chaski_V1_ListSubscriptionsRequest.with {
                    $0.after = after
                    $0.topic = topic ?? ""
                }, isRepeatable: true)
            all += response.subscriptions.map { SubscriptionInfo($0) }
            if !response.more || response.subscriptions.isEmpty { return all }
        }
    }

    /// Changes the settings that `change` names; the others stay as they are.
    ///
    /// They count for what is decided from then on: retries that wait keep their due time. A
    /// shorter lease holds for the consumers that subscribe from then on.
    ///
    /// - Returns: the subscription with all its settings.
    /// - Throws: `ChaskiError`, as `unknown-subscription`, `invalid-setting`.
    @discardableResult
    public func updateSubscription(
        _ name: String, _ change: SubscriptionChange
    ) async throws -> SubscriptionInfo {
        let response: Chaski_V1_UpdateSubscriptionResponse = try await call(
            "Subscriptions/Update",
            Chaski_V1_UpdateSubscriptionRequest.with {
                $0.name = name
                $0.settings = Chaski_V1_SubscriptionSettings(change)
            }, isRepeatable: true)
        return SubscriptionInfo(response.subscription)
    }

    /// Deletes a subscription with its state; the topic's messages stay.
    ///
    /// - Throws: `ChaskiError`, as `unknown-subscription`.
    public func deleteSubscription(_ name: String) async throws {
        let _: Chaski_V1_DeleteSubscriptionResponse = try await call(
            "Subscriptions/Delete",
            Chaski_V1_DeleteSubscriptionRequest.with { $0.name = name })
    }

    /// Messages that are dead for a subscription, in order of offset. For the next page ask from the
    /// last offset + 1 on.
    ///
    /// - Parameters:
    ///   - from: the first offset to look at.
    ///   - limit: at most this many, and at most 1,000.
    /// - Throws: `ChaskiError`, as `unknown-subscription`.
    public func deadLetters(
        subscription: String, from: Offset = 0, limit: UInt32 = 1_000
    ) async throws -> [DeadLetterInfo] {
        let response: Chaski_V1_ListDeadLettersResponse = try await call(
            "Subscriptions/ListDeadLetters",
            Chaski_V1_ListDeadLettersRequest.with {
                $0.subscription = subscription
                $0.fromOffset = from
                $0.limit = min(max(1, limit), 1_000)
            }, isRepeatable: true)
        return response.deadLetters.map { DeadLetterInfo($0) }
    }

    // MARK: Broker

    /// The state of the broker.
    public func status() async throws -> BrokerStatus {
        let response: Chaski_V1_BrokerStatusResponse = try await call(
            "Broker/Status", Chaski_V1_BrokerStatusRequest(), isRepeatable: true)
        return BrokerStatus(response)
    }
}
