import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiServer
import ChaskiWire
import Testing

/// Dedup ids and atomic requests over TCP, without the SDK.
@Suite(.timeLimit(.minutes(1)))
struct AtomicServerTests {
    private func batch(_ messages: [(text: String, id: String?)]) throws -> [UInt8] {
        var builder = RecordBatchBuilder()
        for (text, id) in messages {
            try builder.append(
                message: Message(Array(text.utf8), dedupID: id.map { Array($0.utf8) }))
        }
        return builder.finish()
    }

    private func createTopic(
        _ client: RawClient, _ name: String, windowNanos: UInt64?
    ) async throws {
        var request = Chaski_V1_CreateTopicRequest()
        request.name = name
        if let windowNanos { request.settings.dedupWindowNanos = windowNanos }
        let _: Chaski_V1_CreateTopicResponse = try await client.call(
            "chaski.v1.Topics/Create", request)
    }

    @Test("Duplicates are named with their original offsets; a conflict fails the batch")
    func dedup() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await createTopic(client, "orders", windowNanos: 60_000_000_000)
        let publisher = try await RawPublisher.open(client, topic: "orders")
        try await publisher.send(
            batch: try batch([("a", "1"), ("b", "2")]), sequence: 0, request: 1)
        let first = try await publisher.results()
        #expect(first.map(\.baseOffset) == [0] && first[0].duplicates == [])
        try await publisher.send(
            batch: try batch([("c", "3"), ("b", "2"), ("d", nil)]), sequence: 2, request: 2)
        let mixed = try #require(try await publisher.results().first)
        #expect(mixed.baseOffset == 2 && !mixed.duplicate && !mixed.hasStatus)
        #expect(
            try DuplicateMembers.decode(mixed.duplicates) == [DuplicateMember(index: 1, offset: 1)])
        try await publisher.send(
            batch: try batch([("e", "4"), ("x", "1")]), sequence: 5, request: 3)
        let conflict = try #require(try await publisher.results().first)
        #expect(conflict.status.reason == "dedup-conflict")
        let settings = try await client.describeTopic("orders").settings
        #expect(settings.dedupWindowNanos == 60_000_000_000)
        try await broker.remove()
    }

    @Test("Consume, transform, produce in one request; what is malformed is refused whole")
    func atomic() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("in", subscription: "work")
        try await createTopic(client, "out", windowNanos: nil)
        let publisher = try await RawPublisher.open(client, topic: "in")
        _ = try await publisher.publish(["a", "b"], sequence: 0)
        let consumer = try await RawConsumer.open(client, subscription: "work")
        let got = try await consumer.deliveries(atLeast: 2)
        var request = Chaski_V1_AtomicRequest()
        request.transactionID = [UInt8](repeating: 9, count: 16)
        var attachment: [UInt8] = []
        for text in ["A", "B"] {
            let bytes = try batch([(text, nil)])
            request.batches.append(
                .with {
                    $0.topic = "out"
                    $0.batchBytes = UInt32(bytes.count)
                })
            attachment += bytes
        }
        request.verdicts.append(
            .with {
                $0.subscription = "work"
                $0.sessionID = [UInt8](repeating: 1, count: 16)
                $0.verb = .ack
                $0.epoch = got[0].token.epoch
                $0.ranges = 1
            })
        TokenRanges.encode([got[0].token], to: &attachment)
        let answer: Chaski_V1_AtomicResponse = try await client.call(
            "chaski.v1.Publisher/PublishAtomically", request, attachment: attachment)
        #expect(answer.batches.map(\.baseOffset) == [0, 1] && !answer.duplicate)
        let again: Chaski_V1_AtomicResponse = try await client.call(
            "chaski.v1.Publisher/PublishAtomically", request, attachment: attachment)
        #expect(again.batches.map(\.baseOffset) == [0, 1] && again.duplicate)
        #expect(try await client.describe("work").acked == 1)
        // Another transaction with the same token; parts that pass the end; bytes left over.
        var bad = request
        bad.transactionID = [UInt8](repeating: 8, count: 16)
        for (change, reason) in [(0, "stale"), (-1, "protocol-error"), (1, "protocol-error")] {
            var bytes = attachment
            if change < 0 { bytes.removeLast() }
            if change > 0 { bytes.append(0) }
            do {
                let _: Chaski_V1_AtomicResponse = try await client.call(
                    "chaski.v1.Publisher/PublishAtomically", bad, attachment: bytes)
                Issue.record("taken with \(change)")
            } catch let failure as Failure {
                #expect([reason, "already-settled"].contains(failure.reason.rawValue))
            }
        }
        #expect(try await client.describeTopic("out").nextOffset == 2)
        try await broker.remove()
    }
}
