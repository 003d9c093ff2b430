import ChaskiClient
import ChaskiModel
import Synchronization
import Testing

/// The client over a real socket, against a broker in memory that breaks connections.
@Suite struct ChaskiClientTests {
    /// Runs `body` with a broker that follows `script`, and a client of it.
    private func withBroker(
        _ script: ScriptedBroker.Script = ScriptedBroker.Script(),
        _ body: (ScriptedBroker, ChaskiClient) async throws -> Void
    ) async throws {
        let broker = ScriptedBroker()
        broker.state.withLock { $0.script = script }
        let port = try await broker.start()
        var configuration = ClientConfiguration()
        configuration.minimumReconnectDelay = .milliseconds(1)
        configuration.maximumReconnectDelay = .milliseconds(5)
        let client = try await ChaskiClient.connect(port: port, configuration: configuration)
        try await body(broker, client)
        await client.close()
        try await broker.stop()
    }

    @Test func aCallIsAnswered() async throws {
        try await withBroker { _, client in
            let topic = try await client.createTopic("orders")
            #expect(topic.name == "orders")
            let error = await #expect(throws: ChaskiError.self) {
                try await client.status()
            }
            #expect(error?.reason == .unknownMethod)
            #expect(error?.isIndeterminate == false)
        }
    }

    @Test func nobodyThereIsUnreachable() async throws {
        var configuration = ClientConfiguration()
        configuration.connectTimeout = .milliseconds(50)
        let error = await #expect(throws: ChaskiError.self) {
            // Port 1 of the loopback interface: nothing listens.
            _ = try await ChaskiClient.connect(port: 1, configuration: configuration)
        }
        #expect(error?.reason == .unreachable)
    }

    @Test func manyTasksPublishAndEachHearsItsOwnOffset() async throws {
        try await withBroker { broker, client in
            let producer = client.producer()
            let offsets = try await withThrowingTaskGroup(of: Offset.self) { group in
                for number in 0..<500 {
                    group.addTask {
                        try await producer.publish(Message("m\(number)"), to: "orders").offset
                    }
                }
                return try await group.reduce(into: Set<Offset>()) { $0.insert($1) }
            }
            #expect(offsets == Set(0..<500))
            let batches = broker.state.withLock { $0.batches }
            #expect(batches < 500, "what waits shares a batch")
        }
    }

    @Test func aBatchHasConsecutiveOffsets() async throws {
        try await withBroker { _, client in
            let producer = client.producer()
            try await producer.publish(Message("first"), to: "orders")
            let receipt = try await producer.publish(
                batch: [Message("a"), Message("b"), Message("c")], to: "orders")
            #expect(receipt.offsets == 1..<4)
            #expect(!receipt.duplicate)
            let error = await #expect(throws: ChaskiError.self) {
                try await producer.publish(batch: [], to: "orders")
            }
            #expect(error?.reason == .invalidBatch)
        }
    }

    @Test func outcomesComeForAll() async throws {
        try await withBroker { _, client in
            let messages = (0..<2_000).map { Message("m\($0)") }
            var indices: Set<Int> = []
            for try await outcome in client.producer().publish(
                contentsOf: messages, to: "orders", window: 50)
            {
                let receipt = try outcome.result.get()
                #expect(receipt.offset < 2_000)
                indices.insert(outcome.index)
            }
            #expect(indices == Set(0..<2_000))
        }
    }

    @Test func abandonedOutcomesStopTheSender() async throws {
        try await withBroker { broker, client in
            let producer = client.producer()
            let endless = repeatElement(Message("m"), count: Int.max)
            var seen = 0
            for try await _ in producer.publish(contentsOf: endless, to: "orders", window: 10) {
                seen += 1
                if seen == 100 { break }
            }
            await producer.close()
            let stored = broker.state.withLock { $0.nextOffset }
            #expect(stored >= 100 && stored <= 120)
            let error = await #expect(throws: ChaskiError.self) {
                try await producer.publish(Message("late"), to: "orders")
            }
            #expect(error?.reason == .closed)
        }
    }

    @Test func aBrokenConnectionStoresNothingTwice() async throws {
        try await withBroker(ScriptedBroker.Script(breakAtBatch: 3)) { broker, client in
            let producer = client.producer()
            for number in 0..<10 {
                let receipt = try await producer.publish(Message("m\(number)"), to: "orders")
                #expect(receipt.offset == UInt64(number))
                #expect(receipt.duplicate == (number == 2))
            }
            let (stored, connections) = broker.state.withLock { ($0.stored.count, $0.connections) }
            #expect(stored == 10)
            #expect(connections == 2)
        }
    }

    @Test func aRefusalIsThrownAndTheNextMessageGoesOn() async throws {
        let failure = Failure(.invalidArgument, .tooLarge, "too large")
        let script = ScriptedBroker.Script(refuseBatch: (2, failure))
        try await withBroker(script) { broker, client in
            let producer = client.producer()
            let first = try await producer.publish(Message("a"), to: "orders")
            #expect(first.offset == 0)
            let error = await #expect(throws: ChaskiError.self) {
                try await producer.publish(Message("b"), to: "orders")
            }
            #expect(error?.reason == .tooLarge)
            let next = try await producer.publish(Message("c"), to: "orders")
            #expect(next.offset == 1)
            #expect(broker.state.withLock { $0.skips } == [2])
        }
    }

    @Test func deliveriesAreWhatWasPublished() async throws {
        try await withBroker { broker, client in
            let message = Message(
                "hello", key: "k", attributes: [Attribute("a", "1"), Attribute("b", "2")])
            try await client.producer().publish(message, to: "orders")
            let subscription = try await client.subscribe("billing")
            var iterator = subscription.makeAsyncIterator()
            let delivery = try #require(try await iterator.next())
            #expect(delivery.message == message)
            #expect(delivery.id == "default/orders@0")
            #expect(delivery.text == "hello")
            #expect(delivery.attribute("b") == "2")
            #expect(delivery.handout == 1 && delivery.failedBefore == 0)
            try await delivery.ack()
            let again = await #expect(throws: ChaskiError.self) { try await delivery.ack() }
            #expect(again?.reason == .stale)
            await subscription.close()
            #expect(broker.state.withLock { $0.acked } == [0])
            #expect(broker.state.withLock { $0.unsubscribed } == 1)
            let last = try await iterator.next()
            #expect(last == nil)
        }
    }

    @Test func anUnknownSubscriptionIsThrown() async throws {
        try await withBroker { _, client in
            let error = await #expect(throws: ChaskiError.self) {
                _ = try await client.subscribe("nobody")
            }
            #expect(error?.reason == .unknownSubscription)
        }
    }

    @Test func stallsAreToldAndEndWithTheConnection() async throws {
        let script = ScriptedBroker.Script(breakAtVerdict: true, stalls: true)
        try await withBroker(script) { _, client in
            try await client.producer().publish(Message("m"), to: "orders")
            let (stalls, told) = AsyncStream.makeStream(of: FailureReason?.self)
            var configuration = SubscriptionConfiguration()
            configuration.onStall = { told.yield($0?.reason) }
            let subscription = try await client.subscribe("billing", configuration)
            var changes = stalls.makeAsyncIterator()
            let first = try #require(await changes.next())
            #expect(first == .damaged)
            var deliveries = subscription.makeAsyncIterator()
            let delivery = try #require(try await deliveries.next())
            // Breaks the connection; the next one is not stalled.
            try await delivery.ack()
            let second = try #require(await changes.next())
            #expect(second == nil)
            await subscription.close()
        }
    }

    @Test func whatComesWithTheAnswerToAFailureIsNewerThanIt() async throws {
        try await withBroker(ScriptedBroker.Script(isOrdered: true)) { _, client in
            _ = try await client.producer().publish(
                batch: ["a", "a", "b"].map { Message("m", key: $0) }, to: "orders")
            let subscription = try await client.subscribe("billing")
            var deliveries = subscription.makeAsyncIterator()
            let first = try #require(try await deliveries.next())
            try await first.fail(reason: "bad")
            var next: [Offset] = []
            while next.last != 2, let delivery = try await deliveries.next() {
                if delivery.handout == 2 { next.append(delivery.offset) }
            }
            #expect(next == [1, 2], "of the failed key too")
            await subscription.close()
        }
    }

    @Test func verdictsSurviveABrokenConnection() async throws {
        try await withBroker(ScriptedBroker.Script(breakAtVerdict: true)) { broker, client in
            _ = try await client.producer().publish(
                batch: (0..<10).map { Message("m\($0)") }, to: "orders")
            let subscription = try await client.subscribe("billing")
            var deliveries: [Delivery] = []
            for try await delivery in subscription {
                deliveries.append(delivery)
                if deliveries.count == 10 { break }
            }
            try await subscription.acknowledge(deliveries.shuffled())
            await subscription.close()
            let (acked, claims) = broker.state.withLock { ($0.acked, $0.claims) }
            #expect(acked == Set(0..<10))
            #expect(claims.count == 2)
            #expect(claims.last?.map(\.count) == [10], "all were claimed")
        }
    }

    @Test func aHandlerAcksAndStopsInGoodOrder() async throws {
        try await withBroker { broker, client in
            _ = try await client.producer().publish(
                batch: (0..<100).map { Message("m\($0)") }, to: "orders")
            let handled = Mutex<Set<Offset>>([])
            let (all, allHandled) = AsyncStream.makeStream(of: Void.self)
            let consuming = Task {
                try await client.consume("billing", concurrency: 8) { delivery in
                    let count = handled.withLock { handled in
                        handled.insert(delivery.offset)
                        return handled.count
                    }
                    if count == 100 { allHandled.finish() }
                }
            }
            for await _ in all {}
            consuming.cancel()
            try await consuming.value
            #expect(handled.withLock { $0 } == Set(0..<100))
            #expect(broker.state.withLock { $0.acked } == Set(0..<100))
            #expect(broker.state.withLock { $0.unsubscribed } == 1)
        }
    }

    @Test func closingFailsWhatWaits() async throws {
        try await withBroker { _, client in
            let producer = client.producer()
            let subscription = try await client.subscribe("billing")
            let waiting = Task {
                var iterator = subscription.makeAsyncIterator()
                return try await iterator.next()
            }
            await client.close()
            let error = await #expect(throws: ChaskiError.self) { try await waiting.value }
            #expect(error?.reason == .closed)
            let late = await #expect(throws: ChaskiError.self) {
                try await producer.publish(Message("late"), to: "orders")
            }
            #expect(late?.reason == .closed)
            await #expect(throws: ChaskiError.self) { try await client.createTopic("late") }
        }
    }
}
