import ChaskiClient
import ChaskiModel

/// A load whose producers and consumers write down what they see: `bench verify` and `bench delivery`.
protocol RecordedLoad: Sendable {
    var connection: ConnectionOptions { get }
    var writer: HistoryWriter { get }
    var content: VerifyContent { get }

    /// One producer, until a time since boot.
    func publish(_ number: UInt32, rate: Double, until end: Int64) async throws
    /// One consumer, until its task is cancelled.
    func consume(_ number: Int) async throws
}

extension RecordedLoad {
    func tick() async {
        while (try? await Task.sleep(nanoseconds: 20_000_000)) != nil { writer.mark("tick") }
    }

    /// All producers, which share the rate; without `seconds` until the run is interrupted.
    func publishAll(_ producers: Int, rate: Double, seconds: Int64?) async throws {
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

    func consumeAll(_ consumers: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<consumers {
                group.addTask { try await consume(number) }
            }
            try await group.waitForAll()
        }
    }

    /// A consumer's next message; nil when it is over.
    func next(of deliveries: Subscription) async -> Delivery? {
        if Task.isCancelled { return nil }
        var iterator = deliveries.makeAsyncIterator()
        do {
            return try await iterator.next()
        } catch {
            Terminal.note("chaski: a consumer was ended: \(error)")
            return nil
        }
    }

    /// The last mark; everything is in the file then.
    func endHistory() throws {
        writer.mark("end")
        guard writer.flush() else {
            throw Failure(
                .dataLoss, FileProblem.ioFailed,
                "the history could not be written; choose another disk for --history")
        }
    }
}

extension ProducerConfiguration {
    /// Gives up soon, so that outages end as INDETERMINATE and not all as a late OK.
    static var impatient: ProducerConfiguration {
        var settings = ProducerConfiguration()
        settings.giveUpAfter = .milliseconds(500)
        settings.retryRefusalsFor = .milliseconds(200)
        return settings
    }
}

extension VerifyContent {
    /// With the offset that it was made of, where it was.
    func message(of value: VerifyValue, source: Offset? = nil) -> Message {
        var attributes = [Attribute(VerifyContent.attributeName, attribute(of: value))]
        if let source { attributes.append(Attribute(DeliveryLoad.sourceName, String(source))) }
        return Message(payload(of: value), key: key(of: value), attributes: attributes)
    }
}

/// The messages of one producer, at its rate; each is in the history before it is sent.
struct RecordedMessages: AsyncSequence, Sendable {
    typealias Element = Message

    let producer: UInt32
    let rate: Double
    let endNanos: Int64
    let content: VerifyContent
    /// Writes down that a message is about to be sent.
    let record: @Sendable (VerifyValue) -> Void

    func makeAsyncIterator() -> Iterator { Iterator(messages: self) }

    struct Iterator: AsyncIteratorProtocol {
        let messages: RecordedMessages
        private var number: UInt64 = 0
        private var dueNanos = Clock.nanos()

        init(messages: RecordedMessages) { self.messages = messages }

        mutating func next() async throws -> Message? {
            let now = Clock.nanos()
            guard now < messages.endNanos, !Interruption.shared.isRequested else { return nil }
            if dueNanos > now { try await Task.sleep(nanoseconds: UInt64(dueNanos - now)) }
            // After an outage the rate goes on; what was missed is not made up for.
            dueNanos = Swift.max(dueNanos, now - 50_000_000) + Int64(1e9 / messages.rate)
            let value = VerifyValue(producer: messages.producer, number: number)
            number += 1
            messages.record(value)
            return messages.content.message(of: value)
        }
    }
}
