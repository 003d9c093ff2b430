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
struct DeliveryLoad: RecordedLoad {
    let connection: ConnectionOptions
    let writer: HistoryWriter
    let content: VerifyContent

    /// How long nothing may come to its end before the load is given up.
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
        try endHistory()
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

    // MARK: Publishing

    func publish(_ number: UInt32, rate: Double, until end: Int64) async throws {
        let client = try await connection.connect(name: "delivery-producer-\(number)")
        let producer = client.producer(.impatient)
        let messages = RecordedMessages(
            producer: number, rate: rate, endNanos: end, content: content
        ) { [writer] value in
            let plan = DeliveryPlan(of: value)
            writer.append(
                line: "s \(value.producer) \(value.number) \(plan.fate.rawValue) "
                    + plan.detour.rawValue)
        }
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

    /// Messages of one key are handled one after the other.
    func consume(_ number: Int) async throws {
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

    // MARK: The end

    /// Waits until every message is acknowledged or dead, as long as some come to that.
    private func waitUntilDrained(_ client: ChaskiClient) async throws -> Bool {
        var deadline = Clock.nanos() + Self.patienceNanos
        var least = UInt64.max
        while Clock.nanos() < deadline {
            if let info = try? await client.subscription(name("work")),
                let log = try? await client.topic(name("in"))
            {
                if info.backlog == 0, info.settledBelow >= log.nextOffset {
                    writer.mark("drained")
                    return true
                }
                if info.backlog < least {
                    least = info.backlog
                    deadline = Clock.nanos() + Self.patienceNanos
                }
            }
            try await Task.sleep(nanoseconds: 100_000_000)
        }
        Terminal.note("chaski: \(least) messages were left, and no more were handled")
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
