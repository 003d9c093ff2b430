import ChaskiClient
import ChaskiModel

/// The load of `bench delivery`, and its records, one line an event:
///
/// | line | meaning |
/// |---|---|
/// | `s P N FATE DETOUR` | producer P is about to publish number N, and what is to become of it |
/// | `o P N OFFSET`, `f P N REASON`, `i P N` | OK, FAIL, INDETERMINATE |
/// | `d OFFSET EPOCH HANDOUT P N FAILED NANOS` | delivered (P N are `- -` where it is none of ours) |
/// | `v VERB OFFSET EPOCH HANDOUT DELAY SENT NANOS` | a verdict was confirmed: ack, atomic, retry, fail or release; DELAY -1 for none |
/// | `x VERB OFFSET EPOCH HANDOUT REASON` | a verdict was refused, or nobody knows |
/// | `l TOPIC OFFSET P N INTACT SOURCE` | read at the end: in, out or dead; SOURCE is the offset in `in` |
/// | `L OFFSET CAUSE FAILED` | a dead letter at the end |
/// | `t NANOS WHAT` | a mark, nanoseconds since boot |
struct DeliveryLoad: Sendable {
    let connection: ConnectionOptions
    let writer: HistoryWriter
    let content: VerifyContent

    private static let patienceNanos: Int64 = 120_000_000_000
    static let sourceName = "source"

    func name(_ what: String) -> String { "delivery-\(what)-\(content.run)" }

    /// Whether everything was handled and read again.
    func run(producers: Int, consumers: Int, rate: Double, seconds: Int64?) async throws -> Bool {
        let client = try await connection.connect(name: "delivery")
        try await makeTopics(client)
        writer.mark("start")
        let ticking = Task { await tick() }
        let consuming = Task { try await consumeAll(consumers) }
        try await publishAll(producers, rate: rate, seconds: seconds)
        writer.mark("published")
        let isDrained = try await waitUntilDrained(client)
        consuming.cancel()
        try await consuming.value
        var isComplete = isDrained
        for topic in ["in", "out", "dead"] {
            isComplete =
                try await DeliveryAudit(load: self, topic: topic).read(client) && isComplete
        }
        try await listDeadLetters(client)
        ticking.cancel()
        writer.mark("end")
        guard writer.flush() else {
            throw Failure(
                .dataLoss, FileProblem.ioFailed,
                "the history could not be written; choose another disk for --history")
        }
        await client.close()
        return isComplete
    }

    private func makeTopics(_ client: ChaskiClient) async throws {
        for topic in ["in", "out", "dead"] {
            _ = try await client.createTopic(name(topic))
            // Made first, so that it keeps everything until the end.
            _ = try await client.createSubscription(name("audit-\(topic)"), topic: name(topic))
        }
        var settings = SubscriptionSettings(
            retry: RetryPolicy(
                minimumBackoffNanos: 50_000_000, maximumBackoffNanos: 1_000_000_000,
                maximumFailures: DeliveryPlan.maximumFailures))
        settings.order = OrderPolicy()
        settings.deadLetters.forwardTo = name("dead")
        _ = try await client.createSubscription(name("work"), topic: name("in"), settings: settings)
    }

    private func tick() async {
        while (try? await Task.sleep(nanoseconds: 20_000_000)) != nil { writer.mark("tick") }
    }

    // MARK: Publishing

    private func publishAll(_ producers: Int, rate: Double, seconds: Int64?) async throws {
        let end = seconds.map { Clock.nanos() + $0 } ?? .max
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<producers {
                group.addTask {
                    try await publish(UInt32(number), rate: rate / Double(producers), until: end)
                }
            }
            try await group.waitForAll()
        }
    }

    private func publish(_ number: UInt32, rate: Double, until end: Int64) async throws {
        let client = try await connection.connect(name: "delivery-producer-\(number)")
        var settings = ProducerConfiguration()
        // Short, so that outages end as INDETERMINATE and not all as a late OK.
        settings.giveUpAfter = .milliseconds(500)
        settings.retryRefusalsFor = .milliseconds(200)
        let producer = client.producer(settings)
        let messages = DeliveryMessages(
            producer: number, rate: rate, endNanos: end, content: content, writer: writer)
        let outcomes = producer.publish(contentsOf: messages, to: name("in"), window: 2_000)
        for try await outcome in outcomes {
            switch outcome.result {
            case .success(let receipt):
                writer.append(line: "o \(number) \(outcome.index) \(receipt.offset)")
            case .failure(let error) where error.isIndeterminate:
                writer.append(line: "i \(number) \(outcome.index)")
            case .failure(let error):
                writer.append(line: "f \(number) \(outcome.index) \(error.reason.rawValue)")
            }
        }
        await client.close()
    }

    // MARK: Consuming

    private func consumeAll(_ consumers: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<consumers {
                group.addTask { try await consume(number) }
            }
            try await group.waitForAll()
        }
    }

    /// Messages of one key are handled one after the other.
    private func consume(_ number: Int) async throws {
        let client = try await connection.connect(name: "delivery-consumer-\(number)")
        let deliveries = try await client.subscribe(
            name("work"), SubscriptionConfiguration(maximumMessages: 1_000))
        let lanes = (0..<8).map { _ in
            DeliveryLane(load: self, client: client, deliveries: deliveries)
        }
        while let delivery = await next(of: deliveries) {
            let value = content.value(in: delivery.payload)
            let names = value.map { "\($0.producer) \($0.number)" } ?? "- -"
            writer.append(
                line: "d \(delivery.offset) \(delivery.epoch) \(delivery.handout) \(names) "
                    + "\(delivery.failedBefore) \(Clock.nanos())")
            guard let value else { continue }
            await lanes[Int(value.number % DeliveryPlan.keys) % lanes.count].take(delivery, value)
        }
        await deliveries.stop()
        await client.close()
    }

    private func next(of deliveries: Subscription) async -> Delivery? {
        if Task.isCancelled { return nil }
        var iterator = deliveries.makeAsyncIterator()
        do {
            return try await iterator.next()
        } catch {
            Terminal.note("chaski: a consumer was ended: \(error)")
            return nil
        }
    }

    // MARK: The end

    /// Waits until every message is acknowledged or dead.
    private func waitUntilDrained(_ client: ChaskiClient) async throws -> Bool {
        let deadline = Clock.nanos() + Self.patienceNanos
        while Clock.nanos() < deadline {
            if let info = try? await client.subscription(name("work")),
                let log = try? await client.topic(name("in")),
                info.backlog == 0, info.settledBelow >= log.nextOffset
            {
                writer.mark("drained")
                return true
            }
            try await Task.sleep(nanoseconds: 100_000_000)
        }
        Terminal.note("chaski: the consumers did not catch up in time")
        return false
    }

    private func listDeadLetters(_ client: ChaskiClient) async throws {
        var position: Offset? = 0
        while let from = position {
            let page = try await client.deadLetters(
                subscription: name("work"), matching: DeadLetterFilter(), from: from)
            for letter in page.letters {
                writer.append(line: "L \(letter.offset) \(letter.cause) \(letter.failed)")
            }
            position = page.next
        }
        writer.mark("listed")
    }
}

/// The messages of one producer, at its rate; each is in the history before it is sent.
struct DeliveryMessages: AsyncSequence, Sendable {
    typealias Element = Message

    let producer: UInt32
    let rate: Double
    let endNanos: Int64
    let content: VerifyContent
    let writer: HistoryWriter

    func makeAsyncIterator() -> Iterator { Iterator(messages: self) }

    struct Iterator: AsyncIteratorProtocol {
        let messages: DeliveryMessages
        private var number: UInt64 = 0
        private var dueNanos = Clock.nanos()

        init(messages: DeliveryMessages) { self.messages = messages }

        mutating func next() async throws -> Message? {
            let now = Clock.nanos()
            guard now < messages.endNanos, !Interruption.shared.isRequested else { return nil }
            if dueNanos > now { try await Task.sleep(nanoseconds: UInt64(dueNanos - now)) }
            // After an outage the rate goes on; what was missed is not made up for.
            dueNanos = Swift.max(dueNanos, now - 50_000_000) + Int64(1e9 / messages.rate)
            let value = VerifyValue(producer: messages.producer, number: number)
            number += 1
            let plan = DeliveryPlan(of: value)
            messages.writer.append(
                line: "s \(value.producer) \(value.number) \(plan.fate.rawValue) "
                    + plan.detour.rawValue)
            return messages.content.message(of: value, source: nil)
        }
    }
}

extension VerifyContent {
    /// With the offset that it was made of, where it was.
    func message(of value: VerifyValue, source: Offset?) -> Message {
        var attributes = [Attribute(VerifyContent.attributeName, attribute(of: value))]
        if let source { attributes.append(Attribute(DeliveryLoad.sourceName, String(source))) }
        return Message(payload(of: value), key: key(of: value), attributes: attributes)
    }
}
