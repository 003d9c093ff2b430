import ChaskiMessages
import ChaskiModel

extension FailureReason: Error {}

extension RawClient {
    /// A topic with one subscription from its beginning.
    func createTopic(
        _ name: String, subscription: String, namespace: String = "default"
    )
        async throws
    {
        let _: Chaski_V1_CreateTopicResponse = try await call(
            "chaski.v1.Topics/Create", Chaski_V1_CreateTopicRequest.with { $0.name = name },
            namespace: namespace)
        let _: Chaski_V1_CreateSubscriptionResponse = try await call(
            "chaski.v1.Subscriptions/Create",
            Chaski_V1_CreateSubscriptionRequest.with {
                $0.name = subscription
                $0.topic = name
            }, namespace: namespace)
    }

    func describe(_ subscription: String) async throws -> Chaski_V1_Subscription {
        let answer: Chaski_V1_DescribeSubscriptionResponse = try await call(
            "chaski.v1.Subscriptions/Describe",
            Chaski_V1_DescribeSubscriptionRequest.with { $0.name = subscription })
        return answer.subscription
    }

    func describeTopic(_ topic: String) async throws -> Chaski_V1_Topic {
        let answer: Chaski_V1_DescribeTopicResponse = try await call(
            "chaski.v1.Topics/Describe",
            Chaski_V1_DescribeTopicRequest.with { $0.name = topic })
        return answer.topic
    }

    /// Calls a method that fails, and throws the reason.
    func reason(of method: String, namespace: String) async throws {
        try await Self.withReason {
            let _: Chaski_V1_ListTopicsResponse = try await self.call(
                method, Chaski_V1_ListTopicsRequest(), namespace: namespace)
        }
    }

    /// Throws the reason of the failure that `body` throws.
    static func withReason(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let failure as Failure {
            throw failure.reason
        }
    }
}
