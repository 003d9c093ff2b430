import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiServer
import ChaskiWire
import Testing

/// The requests about dead letters, from outside.
@Suite(.timeLimit(.minutes(1)))
struct DeadLetterServerTests {
    /// A broker with messages of which some were failed for good.
    private func broker(
        dead: [String], forwardTo target: String? = nil, maximum: UInt32? = nil
    ) async throws -> (broker: TestBroker, client: RawClient) {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        if let target {
            try await client.createTopic(target, subscription: "undertaker")
            try await client.update { $0.deadLetter.forwardTo = target }
        }
        if let maximum { try await client.update { $0.deadLetter.maximum = maximum } }
        let publisher = try await RawPublisher.open(client, topic: "orders", producer: 1)
        _ = try await publisher.publish(dead, sequence: 0)
        let consumer = try await RawConsumer.open(client, subscription: "billing")
        let got = try await consumer.deliveries(atLeast: dead.count)
        let settled = try await consumer.settle(
            .fail, got.map(\.token), reason: "no such account", code: "account")
        #expect(settled.accepted == UInt32(dead.count))
        return (broker, client)
    }

    @Test("A reason and a code come back with the letter and its attempts")
    func show() async throws {
        let (broker, client) = try await broker(dead: ["a", "b", "c"])
        let list = try await client.deadLetters { $0.code = "account" }
        #expect(list.map(\.offset) == [0, 1, 2])
        #expect(list.allSatisfy { $0.reason == "no such account" && $0.code == "account" })
        #expect(try await client.deadLetters { $0.code = "other" }.isEmpty)
        let shown: Chaski_V1_ShowDeadLetterResponse = try await client.call(
            "chaski.v1.Subscriptions/ShowDeadLetter",
            Chaski_V1_ShowDeadLetterRequest.with {
                $0.subscription = "billing"
                $0.offset = 1
            })
        #expect(shown.message.payload == Array("b".utf8))
        #expect(shown.attempts.map(\.end) == ["fail"])
        #expect(shown.attempts.map(\.code) == ["account"])
        #expect(shown.attempts.first?.sessionID.count == 16)
        await #expect(throws: FailureReason.unknownDeadLetter) {
            try await RawClient.withReason {
                let _: Chaski_V1_ShowDeadLetterResponse = try await client.call(
                    "chaski.v1.Subscriptions/ShowDeadLetter",
                    Chaski_V1_ShowDeadLetterRequest.with {
                        $0.subscription = "billing"
                        $0.offset = 3
                    })
            }
        }
        try await broker.remove()
    }

    @Test("Redriven ones come again, purged ones do not")
    func redriveAndPurge() async throws {
        let (broker, client) = try await broker(dead: ["a", "b", "c"])
        let purged: Chaski_V1_PurgeDeadLettersResponse = try await client.call(
            "chaski.v1.Subscriptions/PurgeDeadLetters",
            Chaski_V1_PurgeDeadLettersRequest.with {
                $0.subscription = "billing"
                $0.ranges = [
                    .with {
                        $0.first = 0; $0.count = 1
                    }
                ]
            })
        #expect(purged.count == 1)
        let redriven: Chaski_V1_RedriveDeadLettersResponse = try await client.call(
            "chaski.v1.Subscriptions/RedriveDeadLetters",
            Chaski_V1_RedriveDeadLettersRequest.with {
                $0.subscription = "billing"
                $0.ranges = [
                    .with {
                        $0.first = 0; $0.count = 100
                    }
                ]
                $0.note = "mended"
            })
        #expect(redriven.count == 2)
        let other = try await RawClient.connect(port: broker.port)
        let consumer = try await RawConsumer.open(other, subscription: "billing")
        #expect(try await consumer.deliveries(atLeast: 2).map(\.token.first) == [1, 2])
        let info = try await client.describe("billing")
        #expect(info.redriven == 2)
        #expect(info.purged == 1)
        #expect(info.dead == 0)
        try await broker.remove()
    }

    @Test("An edited message takes the place of a dead one, once")
    func edit() async throws {
        let (broker, client) = try await broker(dead: ["a", "b"])
        let large = [UInt8](repeating: 7, count: 300 * 1024)
        let tooLarge = [UInt8](repeating: 7, count: Limits.payloadBytes + 1)
        let edited = try await client.redriveEdited(1, large)
        #expect(edited.offset == 2)
        #expect(try await client.deadLetters { _ in }.map(\.offset) == [0])
        for offset in [1, 2] as [UInt64] {
            await #expect(throws: FailureReason.unknownDeadLetter) {
                try await RawClient.withReason {
                    _ = try await client.redriveEdited(offset, [1])
                }
            }
        }
        await #expect(throws: FailureReason.tooLarge) {
            try await RawClient.withReason { _ = try await client.redriveEdited(0, tooLarge) }
        }
        #expect(try await client.describeTopic("orders").nextOffset == 3)
        try await broker.remove()
    }

    @Test("What dies is forwarded; while it cannot be it waits, and that is told")
    func forward() async throws {
        let (broker, client) = try await broker(dead: ["a", "b"], forwardTo: "orders-dead")
        let other = try await RawClient.connect(port: broker.port)
        let undertaker = try await RawConsumer.open(other, subscription: "undertaker")
        #expect(try await undertaker.deliveries(atLeast: 2).map(\.text) == ["a", "b"])
        var info = try await client.describe("billing")
        #expect(info.forwarded == 2)
        #expect(info.settings.deadLetter.forwardTo == "orders-dead")
        await #expect(throws: FailureReason.unknownTopic) {
            try await RawClient.withReason {
                try await client.update { $0.deadLetter.forwardTo = "nowhere" }
            }
        }
        await #expect(throws: FailureReason.invalidSetting) {
            try await RawClient.withReason {
                try await client.update { $0.deadLetter.forwardTo = "orders" }
            }
        }
        try await client.update { $0.deadLetter.forwardTo = "" }
        info = try await client.describe("billing")
        #expect(info.settings.deadLetter.forwardTo.isEmpty)
        try await broker.remove()
    }

    @Test("A full store keeps what should be forwarded, and says why")
    func fullStore() async throws {
        let (broker, client) = try await broker(
            dead: ["a", "b", "c"], forwardTo: "orders-dead", maximum: 2)
        var info = try await client.describe("billing")
        // The verdict is confirmed before they are forwarded.
        while info.dead < 2 || !info.hasDyingBlockedBy {
            info = try await client.describe("billing")
        }
        #expect(info.dead == 2)
        #expect(info.dying == 1)
        #expect(info.deadLettersFull)
        let told: Chaski_V1_ExplainResponse = try await client.call(
            "chaski.v1.Subscriptions/Explain",
            Chaski_V1_ExplainRequest.with {
                $0.subscription = "billing"
                $0.offset = 2
            })
        #expect(told.state == "dying")
        #expect(told.causes.first?.kind == "dying")
        try await client.update { $0.deadLetter.maximum = 10 }
        repeat {
            info = try await client.describe("billing")
        } while info.dying > 0
        #expect(info.dead == 3)
        #expect(info.forwarded == 3)
        try await broker.remove()
    }
}

extension RawClient {
    fileprivate func deadLetters(
        _ filter: (inout Chaski_V1_DeadLetterFilter) -> Void
    ) async throws -> [Chaski_V1_DeadLetter] {
        let answer: Chaski_V1_ListDeadLettersResponse = try await call(
            "chaski.v1.Subscriptions/ListDeadLetters",
            Chaski_V1_ListDeadLettersRequest.with {
                $0.subscription = "billing"
                filter(&$0.filter)
            })
        return answer.deadLetters
    }

    fileprivate func update(
        _ change: (inout Chaski_V1_SubscriptionSettings) -> Void
    ) async throws {
        let _: Chaski_V1_UpdateSubscriptionResponse = try await call(
            "chaski.v1.Subscriptions/Update",
            Chaski_V1_UpdateSubscriptionRequest.with {
                $0.name = "billing"
                change(&$0.settings)
            })
    }

    fileprivate func redriveEdited(
        _ offset: UInt64, _ payload: [UInt8]
    ) async throws -> Chaski_V1_RedriveEditedResponse {
        var batch = RecordBatchBuilder(limits: .maximum)
        try batch.append(message: Message(payload))
        return try await call(
            "chaski.v1.Subscriptions/RedriveEdited",
            Chaski_V1_RedriveEditedRequest.with {
                $0.subscription = "billing"
                $0.offset = offset
            }, attachment: batch.finish())
    }
}
