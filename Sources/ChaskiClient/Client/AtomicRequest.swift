public import ChaskiModel
import ChaskiRecords

/// Messages for topics and verdicts on deliveries that take effect together, or not at all; see
/// `ChaskiClient.atomically`.
public struct AtomicRequest: Sendable {
    /// In the order of their publishing.
    var messages: [(topic: String, message: Message)] = []
    var verdicts: [(delivery: Delivery, verdict: Verdict)] = []

    init() {}

    /// Whether nothing was asked for.
    public var isEmpty: Bool { messages.isEmpty && verdicts.isEmpty }

    /// Publishes a message with the request.
    public mutating func publish(_ message: Message, to topic: String) {
        messages.append((topic, message))
    }

    /// Publishes messages with the request, in order.
    public mutating func publish(_ messages: some Sequence<Message>, to topic: String) {
        for message in messages { publish(message, to: topic) }
    }

    /// Acks a delivery with the request: it is never delivered again on its subscription.
    public mutating func ack(_ delivery: Delivery) { verdicts.append((delivery, .ack)) }

    /// Spends an attempt of a delivery: it comes back after the subscription's backoff, or after
    /// `delay`; dead after its maximum of failures.
    public mutating func retry(
        _ delivery: Delivery, after delay: Duration? = nil, reason: String = "", code: String = ""
    ) {
        let verdict = Verdict(
            .retry, delayNanos: delay?.clampedNanos, reason: reason, code: code)
        verdicts.append((delivery, verdict))
    }

    /// Makes a delivery dead.
    public mutating func fail(_ delivery: Delivery, reason: String = "", code: String = "") {
        verdicts.append((delivery, Verdict(.fail, reason: reason, code: code)))
    }

    /// Gives a delivery back; no attempt is spent.
    public mutating func release(_ delivery: Delivery) {
        verdicts.append((delivery, Verdict(.release)))
    }
}

/// What an atomic request did, durably.
public struct AtomicReceipt: Hashable, Sendable {
    /// One for each message, in the order of their publishing.
    public var messages: [PublishReceipt]
    /// The broker had done it already when it was asked for the last time.
    public var duplicate: Bool

    /// A receipt with all its parts.
    public init(messages: [PublishReceipt], duplicate: Bool) {
        self.messages = messages
        self.duplicate = duplicate
    }
}
