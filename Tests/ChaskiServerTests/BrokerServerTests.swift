import ChaskiMessages
import ChaskiModel
import ChaskiServer
import Testing

/// A real broker over TCP, driven by a client without the SDK.
@Suite(.timeLimit(.minutes(1)))
struct BrokerServerTests {
    @Test("What was published is delivered, and after its ack never again, also across a restart")
    func publishAckRestart() async throws {
        var broker = try await TestBroker.start()
        var client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        #expect(publisher.bound.nextSequence == 0)
        let first = try await publisher.publish(["a", "b", "c"], sequence: 0)
        #expect(first.baseOffset == 0 && !first.hasStatus)
        let second = try await publisher.publish(["d"], sequence: 3)
        #expect(second.baseOffset == 3)

        let consumer = try await RawConsumer.open(client, subscription: "billing")
        let got = try await consumer.deliveries(atLeast: 4)
        #expect(got.map(\.text) == ["a", "b", "c", "d"])
        #expect(got.map(\.token.first) == [0, 1, 2, 3])
        let settled = try await consumer.settle(.ack, [got[0].token, got[2].token])
        #expect(settled.accepted == 2 && !settled.hasStatus)

        try await broker.stop()
        broker = try await TestBroker.start(directory: broker.directory)
        client = try await RawClient.connect(port: broker.port)
        let again = try await RawConsumer.open(
            client, subscription: "billing", claims: [got[1].token, got[3].token],
            claimsOf: consumer.subscribed.subscriptionID)
        #expect(again.held.map(\.first) == [1, 3])
        let info = try await client.describe("billing")
        #expect(info.acked == 2 && info.backlog == 2)
        let resumed = try await RawPublisher.open(client, topic: "orders")
        #expect(resumed.bound.nextSequence == 4)
        let repeated = try await resumed.publish(["d"], sequence: 3)
        #expect(repeated.duplicate && repeated.baseOffset == 3)
        try await broker.remove()
    }

    @Test("A message that is not acknowledged is handed out again")
    func redelivery() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        _ = try await publisher.publish(["a", "b"], sequence: 0)
        let consumer = try await RawConsumer.open(client, subscription: "billing")
        let got = try await consumer.deliveries(atLeast: 2)
        _ = try await consumer.settle(.retry, [got[0].token], delayNanos: 1)
        let again = try await consumer.deliveries(atLeast: 1)
        #expect(again.map(\.text) == ["a"])
        #expect(again.map(\.failed) == [1])
        #expect(again.map(\.token.handout) == [2])
        let stale = try await consumer.settle(.ack, [got[0].token])
        #expect(stale.accepted == 0)
        try await broker.remove()
    }

    @Test("Unknown methods, namespaces, topics and subscriptions are refused by their reasons")
    func unknownNames() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        await #expect(throws: FailureReason.unknownMethod) {
            try await client.reason(of: "chaski.v1.Nobody/Home", namespace: "default")
        }
        await #expect(throws: FailureReason.unknownNamespace) {
            try await client.reason(of: "chaski.v1.Topics/List", namespace: "elsewhere")
        }
        let publisher = try await RawPublisher.open(client, topic: "nothing")
        #expect(publisher.bound.status.reason == "unknown-topic")
        #expect(publisher.bound.status.message == "there is no topic \"nothing\"")
        do {
            _ = try await RawConsumer.open(client, subscription: "nobody")
            Issue.record("subscribed to nothing")
        } catch let failure as Failure {
            #expect(failure.reason == .unknownSubscription)
            #expect(failure.message == "there is no subscription \"nobody\"")
        }
        try await broker.remove()
    }

    @Test("Settings beyond all bounds are refused")
    func invalidSettings() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        var settings = Chaski_V1_SubscriptionSettings()
        settings.leaseNanos = .max
        for change in 0..<3 {
            if change == 1 { settings = .with { $0.retry.maximumBackoffNanos = .max } }
            if change == 2 { settings = .with { $0.retry.minimumBackoffNanos = .max } }
            await #expect(throws: FailureReason.invalidSetting) {
                try await RawClient.withReason {
                    let _: Chaski_V1_CreateSubscriptionResponse = try await client.call(
                        "chaski.v1.Subscriptions/Create",
                        Chaski_V1_CreateSubscriptionRequest.with {
                            $0.name = "other"
                            $0.topic = "orders"
                            $0.settings = settings
                        })
                }
            }
        }
        try await broker.remove()
    }

    @Test("A batch that is not one is refused, and the stream goes on")
    func invalidBatch() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        try await publisher.send(batch: [UInt8](repeating: 7, count: 200), sequence: 0, request: 1)
        let refused = try #require(try await publisher.results().first)
        #expect(refused.requestID == 1 && refused.hasStatus)
        let stored = try await publisher.publish(["a"], sequence: 0)
        #expect(!stored.hasStatus && stored.baseOffset == 0)
        try await broker.remove()
    }

    @Test("Results come in the order of the requests")
    func resultsInOrder() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        for request in 0..<50 as Range<UInt64> {
            if request % 7 == 3 {
                try await publisher.send(batch: [1, 2, 3], sequence: 0, request: request)
            } else {
                try await publisher.send(["\(request)"], sequence: request, request: request)
            }
        }
        var seen: [UInt64] = []
        while seen.count < 50 { seen += try await publisher.results().map(\.requestID) }
        #expect(seen == Array(0..<50))
        try await broker.remove()
    }

    @Test("A consumer that vanished may come back and keep what it held")
    func resumption() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        _ = try await publisher.publish(["a", "b"], sequence: 0)
        let second = try await RawClient.connect(port: broker.port)
        let consumer = try await RawConsumer.open(second, subscription: "billing")
        let got = try await consumer.deliveries(atLeast: 2)
        try await second.cut()
        let third = try await RawClient.connect(port: broker.port)
        let back = try await RawConsumer.open(
            third, subscription: "billing", claims: got.map(\.token),
            claimsOf: consumer.subscribed.subscriptionID)
        #expect(back.held.reduce(0) { $0 + Int($1.count) } == 2)
        let settled = try await back.settle(.ack, got.map(\.token))
        #expect(settled.accepted == 2)
        try await broker.remove()
    }

    @Test("Status tells of connections, namespaces and memory")
    func status() async throws {
        let broker = try await TestBroker.start { $0.namespaces = ["other"] }
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        _ = try await publisher.publish(["a", "b"], sequence: 0)
        let status: Chaski_V1_BrokerStatusResponse = try await client.call(
            "chaski.v1.Broker/Status", Chaski_V1_BrokerStatusRequest())
        #expect(status.connections == 1)
        #expect(status.residentBytes > 1 << 20)
        #expect(status.namespaces.map(\.name) == ["default", "other"])
        let namespace = try #require(status.namespaces.first)
        #expect(namespace.topics == 1 && namespace.subscriptions == 1)
        #expect(namespace.messagesAppended == 2)
        #expect(namespace.syncs >= 3 && namespace.publishingRefused.isEmpty)
        try await broker.remove()
    }
}
