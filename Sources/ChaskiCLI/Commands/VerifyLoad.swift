import ChaskiClient
import ChaskiModel

/// The load of `bench verify`, and its records.
struct VerifyLoad: RecordedLoad {
    let connection: ConnectionOptions
    let writer: HistoryWriter
    let content: VerifyContent

    private var topic: String { "verify-" + content.run }
    private var subscription: String { "verify-" + content.run }
    private var audit: String { "audit-" + content.run }
    /// How long the consumers may take to catch up, and the log to be read.
    private static let patienceNanos: Int64 = 60_000_000_000

    func run(producers: Int, consumers: Int, rate: Double, seconds: Int64?) async throws {
        let client = try await connection.connect(name: "verify")
        _ = try await client.createTopic(topic)
        // Made first, so that it keeps everything until the end.
        _ = try await client.createSubscription(audit, topic: topic)
        _ = try await client.createSubscription(
            subscription, topic: topic,
            settings: SubscriptionSettings(
                retry: RetryPolicy(
                    minimumBackoffNanos: 50_000_000, maximumBackoffNanos: 1_000_000_000,
                    maximumFailures: 1_000_000)))
        writer.mark("start")
        let ticking = Task { await tick() }
        let consuming = Task { try await consumeAll(consumers) }
        try await publishAll(producers, rate: rate, seconds: seconds)
        writer.mark("published")
        let next = try await waitUntilDrained(client)
        consuming.cancel()
        try await consuming.value
        try await readLog(client, upTo: next)
        ticking.cancel()
        try endHistory()
        try? await client.deleteTopic(topic)
        await client.close()
    }

    // MARK: Publishing

    func publish(_ number: UInt32, rate: Double, until end: Int64) async throws {
        let client = try await connection.connect(name: "verify-producer-\(number)")
        let producer = client.producer(.impatient)
        let messages = RecordedMessages(
            producer: number, rate: rate, endNanos: end, content: content
        ) { [writer] value in writer.append(.sending(value)) }
        for try await outcome in producer.publish(contentsOf: messages, to: topic, window: 2_000) {
            let value = VerifyValue(producer: number, number: UInt64(outcome.index))
            switch outcome.result {
            case .success(let receipt):
                writer.append(.stored(value, offset: receipt.offset))
            case .failure(let error) where error.isIndeterminate:
                writer.append(.indeterminate(value))
            case .failure(let error):
                writer.append(.failed(value, reason: error.reason.rawValue))
            }
        }
        await client.close()
    }

    // MARK: Consuming

    /// Receives, and acks in shuffled order; of a hundred messages one is retried and one given back.
    func consume(_ number: Int) async throws {
        let client = try await connection.connect(name: "verify-consumer-\(number)")
        let deliveries = try await client.subscribe(
            subscription, SubscriptionConfiguration(maximumMessages: 500))
        var random = SplitMix(seed: UInt64(number))
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            while let delivery = await next(of: deliveries) {
                record(delivery)
                let choice = UInt64.random(in: 0..<100, using: &random)
                let pause = UInt64.random(in: 0..<5_000_000, using: &random)
                // Each waits a little of its own: that shuffles the acks.
                group.addTask {
                    try? await Task.sleep(nanoseconds: pause)
                    await settle(delivery, choice)
                }
                running += 1
                while running > 400 {
                    _ = await group.next()
                    running -= 1
                }
            }
            await group.waitForAll()
        }
        await deliveries.stop()
        await client.close()
    }

    private func token(_ delivery: Delivery) -> HandoutToken {
        HandoutToken(epoch: delivery.epoch, handout: delivery.handout)
    }

    private func record(_ delivery: Delivery) {
        let (value, isIntact) = judge(delivery)
        writer.append(
            .delivered(offset: delivery.offset, token(delivery), value, intact: isIntact))
    }

    private func judge(_ delivery: Delivery) -> (VerifyValue?, Bool) {
        guard let value = content.value(in: delivery.payload) else { return (nil, false) }
        let isIntact = content.isIntact(
            value, payload: Array(delivery.payload), key: delivery.key.map { Array($0) },
            attribute: delivery.attribute(VerifyContent.attributeName))
        return (value, isIntact)
    }

    private func settle(_ delivery: Delivery, _ choice: UInt64) async {
        let token = token(delivery)
        do {
            switch choice {
            case 0: try await delivery.retry(after: .milliseconds(50), reason: "on purpose")
            case 1: try await delivery.release()
            default:
                try await delivery.ack()
                writer.append(.acked(offset: delivery.offset, token))
            }
        } catch {
            let reason = (error as? ChaskiError)?.reason.rawValue ?? "unexpected"
            writer.append(.ackLost(offset: delivery.offset, token, reason: reason))
        }
    }

    // MARK: The end

    /// Waits until everything is acked; the offset after the last message.
    private func waitUntilDrained(_ client: ChaskiClient) async throws -> UInt64 {
        let deadline = Clock.nanos() + Self.patienceNanos
        while Clock.nanos() < deadline {
            if await isGone(client) {
                // A topic that was confirmed and is not there: its log is empty.
                Terminal.note("chaski: the topic of this run is gone")
                return 0
            }
            if let info = try? await client.subscription(subscription),
                let log = try? await client.topic(topic), info.settledBelow >= log.nextOffset
            {
                writer.mark("drained")
                return log.nextOffset
            }
            try await Task.sleep(nanoseconds: 100_000_000)
        }
        Terminal.note("chaski: the consumers did not catch up in time")
        return try await client.topic(topic).nextOffset
    }

    private func isGone(_ client: ChaskiClient) async -> Bool {
        do {
            _ = try await client.topic(topic)
            return false
        } catch {
            return (error as? ChaskiError)?.reason == .unknownTopic
        }
    }

    private func readLog(_ client: ChaskiClient, upTo next: UInt64) async throws {
        guard next > 0 else {
            writer.mark("audited")
            return
        }
        let deliveries = try await client.subscribe(
            audit, SubscriptionConfiguration(maximumMessages: 5_000))
        let reading = Task { try await read(deliveries, count: next) }
        let limit = Task {
            try await Task.sleep(nanoseconds: UInt64(Self.patienceNanos))
            reading.cancel()
        }
        let isComplete = try await reading.value
        limit.cancel()
        if isComplete {
            writer.mark("audited")
        } else {
            Terminal.note("chaski: the log could not be read to its end")
        }
        await deliveries.stop()
    }

    /// Reads as many messages as the log must hold, and then a little longer for what it must not.
    private func read(_ deliveries: Subscription, count: UInt64) async throws -> Bool {
        var iterator = deliveries.makeAsyncIterator()
        var held: [Delivery] = []
        var seen: UInt64 = 0
        while seen < count {
            guard let delivery = try await iterator.next() else { return false }
            let (value, isIntact) = judge(delivery)
            writer.append(.logged(offset: delivery.offset, value, intact: isIntact))
            seen += 1
            held.append(delivery)
            if held.count >= 1_000 || seen == count {
                try await deliveries.acknowledge(held)
                held = []
            }
        }
        return true
    }
}
