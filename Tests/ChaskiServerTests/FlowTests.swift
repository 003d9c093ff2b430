import ChaskiMessages
import ChaskiModel
import ChaskiServer
import ChaskiWire
import Testing

/// Many loops, slow readers, small peers, and the way out.
@Suite(.timeLimit(.minutes(1)))
struct FlowTests {
    @Test("Connections and shards on different loops")
    func manyLoops() async throws {
        let names = ["default", "a", "b", "c"]
        let broker = try await TestBroker.start {
            $0.eventLoopThreads = 3
            $0.namespaces = names
        }
        for name in names {
            let client = try await RawClient.connect(port: broker.port)
            try await client.createTopic("orders", subscription: "billing", namespace: name)
        }
        try await withThrowingTaskGroup { group in
            for number in 0..<8 as Range<UInt8> {
                group.addTask {
                    let namespace = names[Int(number) % names.count]
                    let client = try await RawClient.connect(port: broker.port)
                    let publisher = try await RawPublisher.open(
                        client, topic: "orders", producer: number + 1, namespace: namespace)
                    for sequence in 0..<20 as Range<UInt64> {
                        let result = try await publisher.publish(["m"], sequence: sequence)
                        #expect(!result.hasStatus)
                    }
                }
            }
            try await group.waitForAll()
        }
        for name in names {
            let client = try await RawClient.connect(port: broker.port)
            let consumer = try await RawConsumer.open(
                client, subscription: "billing", namespace: name)
            let got = try await consumer.deliveries(atLeast: 40)
            #expect(got.map(\.token.first) == Array(0..<40))
            let settled = try await consumer.settle(.ack, got.map(\.token))
            #expect(settled.accepted == 40)
        }
        try await broker.remove()
    }

    @Test("A consumer that does not read holds a bounded part; another gets the rest")
    func slowConsumer() async throws {
        let broker = try await TestBroker.start {
            $0.flow.pauseBytes = 128 << 10
            $0.flow.resumeBytes = 32 << 10
            $0.flow.readBytes = 128 << 10
            // The one that does not read is given up soon.
            $0.drainNanos = 50_000_000
        }
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        var limits = PeerLimits()
        limits.unitBytes = 64 << 10
        limits.streamWindowBytes = 256 << 10
        let slow = try await RawClient.connect(
            port: broker.port, limits: limits, grantsWindow: false)
        let stuck = try await RawConsumer.open(
            slow, subscription: "billing", session: 1, messages: 100_000, bytes: 1 << 30)
        let publisher = try await RawPublisher.open(client, topic: "orders")
        let text = String(repeating: "x", count: 8 << 10)
        for sequence in 0..<500 as Range<UInt64> {
            let result = try await publisher.publish([text], sequence: sequence)
            #expect(!result.hasStatus)
        }
        let info = try await client.describe("billing")
        #expect(info.leased < 250, "4 MB were published; the slow one holds \(info.leased)")
        let consumer = try await RawConsumer.open(
            client, subscription: "billing", session: 2, messages: 10_000, bytes: 1 << 30)
        let got = try await consumer.deliveries(atLeast: 500 - Int(info.leased))
        #expect(got.count >= 500 - Int(info.leased))
        _ = stuck
        try await broker.remove()
    }

    @Test("A batch larger than its consumer takes comes in parts")
    func smallPeer() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        let texts = (0..<400).map { "\($0) " + String(repeating: "x", count: 1_000) }
        _ = try await publisher.publish(texts, sequence: 0)
        // A message comes with its block of up to 64 KiB.
        var limits = PeerLimits()
        limits.unitBytes = 150 << 10
        let small = try await RawClient.connect(port: broker.port, limits: limits)
        let consumer = try await RawConsumer.open(small, subscription: "billing")
        let got = try await consumer.deliveries(atLeast: 400)
        #expect(got.map(\.text) == texts)
        try await broker.remove()
    }

    @Test("A message larger than its consumer takes ends that consumer, and loses nothing")
    func tooLargeForConsumer() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        let text = String(repeating: "x", count: 20_000)
        _ = try await publisher.publish([text], sequence: 0)
        var limits = PeerLimits()
        limits.unitBytes = 8 << 10
        let small = try await RawClient.connect(port: broker.port, limits: limits)
        let consumer = try await RawConsumer.open(small, subscription: "billing", session: 1)
        let (answer, _) = try await small.message(
            Chaski_V1_ConsumeResponse.self, on: consumer.stream)
        guard case .ended(let ended) = answer.kind else {
            Issue.record("not ended: \(answer)")
            return
        }
        #expect(ended.status.reason == "too-large")
        let large = try await RawConsumer.open(client, subscription: "billing", session: 2)
        let got = try await large.deliveries(atLeast: 1)
        #expect(got.map(\.text) == [text] && got.map(\.failed) == [0])
        try await broker.remove()
    }

    @Test("A drain answers what is in flight, and refuses the rest")
    func drain() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        for sequence in 0..<100 as Range<UInt64> {
            try await publisher.send(["m"], sequence: sequence, request: sequence)
        }
        async let stopped: Void = broker.stop()
        var stored: UInt64 = 0
        var answered = 0
        do {
            while answered < 100 {
                for result in try await publisher.results() {
                    #expect(result.requestID == UInt64(answered))
                    answered += 1
                    if !result.hasStatus { stored += 1 }
                }
            }
        } catch {
            // The connection ended; what was not answered is in doubt, and below it must agree.
        }
        try await stopped
        let again = try await TestBroker.start(directory: broker.directory)
        let back = try await RawClient.connect(port: again.port)
        let next = try await RawPublisher.open(back, topic: "orders")
        #expect(next.bound.nextSequence >= stored)
        try await again.remove()
    }

    @Test("Verdicts sent before the end of a stream are answered")
    func settleAndEnd() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        _ = try await publisher.publish(["a", "b"], sequence: 0)
        let consumer = try await RawConsumer.open(client, subscription: "billing")
        let got = try await consumer.deliveries(atLeast: 2)
        var settle = Chaski_V1_ConsumeRequest()
        settle.settle.requestID = 9
        settle.settle.alias = 1
        settle.settle.verb = .ack
        settle.settle.epoch = got[0].token.epoch
        var attachment: [UInt8] = []
        TokenRanges.encode([got[0].token], to: &attachment)
        try await client.send(settle, attachment: attachment, on: consumer.stream, end: true)
        let (answer, _) = try await client.message(
            Chaski_V1_ConsumeResponse.self, on: consumer.stream)
        #expect(answer.settled.accepted == 1)
        guard case .closed(nil) = try await client.next(consumer.stream) else {
            Issue.record("the stream does not end well")
            return
        }
        let info = try await client.describe("billing")
        #expect(info.acked == 1 && info.leased == 0)
        try await broker.remove()
    }
}
