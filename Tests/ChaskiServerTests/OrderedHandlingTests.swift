import ChaskiClient
import ChaskiModel
import Synchronization
import Testing

/// The client and a real broker: messages of one key are handled one after the other.
@Suite(.timeLimit(.minutes(1)))
struct OrderedHandlingTests {
    private func withOrders(
        _ count: Int, bytes: Int = 0, _ order: OrderPolicy = OrderPolicy(),
        _ body: (ChaskiClient) async throws -> Void
    ) async throws {
        let broker = try await TestBroker.start()
        let client = try await ChaskiClient.connect(port: broker.port)
        _ = try await client.createTopic("orders")
        var settings = SubscriptionSettings()
        settings.order = order
        _ = try await client.createSubscription("billing", topic: "orders", settings: settings)
        let filling = String(repeating: ".", count: bytes)
        let messages = (0..<count).map { Message("\($0)\(filling)", key: "key-\($0 % 3)") }
        let producer = client.producer()
        if bytes > 0 {
            // Batches of their own: the broker sends them one by one.
            for message in messages { try await producer.publish(message, to: "orders") }
        } else {
            _ = try await producer.publish(batch: messages, to: "orders")
        }
        try await body(client)
        await client.close()
        try await broker.remove()
    }

    @Test("A delivery that failed comes again before the next of its key")
    func failureComesAgain() async throws {
        try await withOrders(9) { client in
            let deliveries = try await client.subscribe("billing")
            deliveries.keepKeysApart()
            var iterator = deliveries.makeAsyncIterator()
            var first: [Delivery] = []
            for _ in 0..<3 { first.append(try #require(try await iterator.next())) }
            #expect(first.map(\.offset) == [0, 1, 2], "one of each key")
            try await first[1].retry(after: .zero, reason: "not yet")
            let again = try #require(try await iterator.next())
            #expect(again.offset == 1 && again.handout == 2)
            try await again.ack()
            deliveries.ackEnded(again, isAcked: true)
            let next = try #require(try await iterator.next())
            #expect(next.offset == 4)
        }
    }

    @Test("What waits at the broker behind a full window comes before the answer to the failure")
    func failureBehindWindow() async throws {
        try await withOrders(48, bytes: 512 << 10, OrderPolicy(runLength: 16)) { client in
            let deliveries = try await client.subscribe("billing")
            var iterator = deliveries.makeAsyncIterator()
            let first = try #require(try await iterator.next())
            #expect(first.offset == 0)
            try await first.retry(after: .zero, reason: "not yet")
            while let next = try await iterator.next() {
                guard next.offset % 3 == 0 else { continue }
                #expect(next.offset == 0 && next.handout == 2, "the first of its key")
                break
            }
        }
    }

    private struct Log: Sendable {
        var running: Set<String> = []
        var handled: [String: [Offset]] = [:]
        var overlaps = 0
        var failures = 0
        var count = 0
    }

    @Test("Handlers of one key do not overlap, and go in its order")
    func handlersOfOneKey() async throws {
        try await withOrders(60) { client in
            let log = Mutex(Log())
            let (done, finish) = AsyncStream.makeStream(of: Void.self)
            let work = Task {
                try await client.consume("billing", concurrency: 16) { delivery in
                    let key = String(decoding: delivery.key ?? [], as: UTF8.self)
                    let fails = log.withLock { log in
                        log.overlaps += log.running.insert(key).inserted ? 0 : 1
                        return delivery.failedBefore == 0 && delivery.offset % 7 == 3
                    }
                    await Task.yield()
                    log.withLock { log in
                        log.running.remove(key)
                        guard !fails else { return log.failures += 1 }
                        log.handled[key, default: []].append(delivery.offset)
                        log.count += 1
                        if log.count == 60 { finish.finish() }
                    }
                    if fails { throw RetryError(after: .zero) }
                }
            }
            for await _ in done {}
            work.cancel()
            _ = await work.result
            let end = log.withLock { $0 }
            #expect(end.overlaps == 0 && end.failures == 9)
            for (number, key) in ["key-0", "key-1", "key-2"].enumerated() {
                #expect(end.handled[key] == (0..<20).map { Offset($0 * 3 + number) })
            }
        }
    }
}
