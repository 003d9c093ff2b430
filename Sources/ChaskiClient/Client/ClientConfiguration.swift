public import ChaskiModel
public import Logging
public import NIOCore

/// Settings of a client; the defaults suit a service in the same data centre as its broker.
public struct ClientConfiguration: Sendable {
    /// The namespace of everything that the client names.
    public var namespace = "default"
    /// A name for this client in the broker's logs and listings.
    public var clientName = "chaski-swift"
    /// How long `connect` tries before it throws.
    public var connectTimeout: Duration = .seconds(5)
    /// How long a call such as `createTopic` may take, reconnects included.
    public var requestTimeout: Duration = .seconds(30)
    /// The wait before the first attempt to reconnect, and the longest wait; each is drawn from
    /// the upper half of its step, and steps double.
    public var minimumReconnectDelay: Duration = .milliseconds(20)
    public var maximumReconnectDelay: Duration = .milliseconds(800)
    /// How bodies of messages are sent.
    public var compression: Compression = .automatic
    /// Where the client reports reconnects and refusals; silent unless told.
    public var logger = Logger(label: "chaski.client") { _ in SwiftLogNoOpLogHandler() }
    /// The event loops to use; nil for one thread of the client's own.
    public var eventLoopGroup: (any EventLoopGroup)?

    /// Whether message bodies are deflated.
    public enum Compression: Hashable, Sendable {
        /// Bodies of 1 KiB or more to a broker that is not on the loopback interface, and not
        /// while they do not shrink.
        case automatic
        /// Never.
        case off
        /// Whatever the peer; still not while bodies do not shrink.
        case always
    }

    /// The defaults.
    public init() {}

    /// The defaults in a namespace.
    public init(namespace: String) { self.namespace = namespace }
}

/// Settings of a producer.
public struct ProducerConfiguration: Sendable {
    /// Identifies the producer across restarts of the program; nil for a random one, which is
    /// right unless the program keeps it, and its epochs, in a safe place.
    public var producerID: ProducerID?
    /// A higher epoch of the same producer id fences the older: its publishes fail with `fenced`.
    public var epoch: UInt32 = 1
    /// Messages of one batch that the producer makes by itself, 1 to 10,000, and at most what the
    /// broker allows.
    public var maximumBatchMessages = 1_000
    /// Bytes of such a batch, about; one message may be larger.
    public var maximumBatchBytes = 256 * 1024
    /// Batches of one topic that may be on their way at once, 1 to 1,000.
    public var maximumBatchesInFlight = 16
    /// While fewer than this many batches of a topic are on their way a batch leaves at once,
    /// however small; beyond, messages wait until a batch is full.
    public var eagerBatches = 2
    /// Bytes that wait in the producer or on their way; more wait with their callers.
    public var maximumBufferedBytes = 32 * 1024 * 1024
    /// How long a message may go without outcome before its publish fails: definitely if it was
    /// never sent, as indeterminate otherwise.
    public var giveUpAfter: Duration = .seconds(60)
    /// How long the producer itself repeats what was refused with a retry-after (a full disk, an
    /// overload) before it hands the refusal to the caller.
    public var retryRefusalsFor: Duration = .seconds(5)

    /// The defaults.
    public init() {}
}

extension ProducerConfiguration {
    /// What the machine keeps, for a broker that takes so many messages in a batch.
    func limits(batchMessages: Int) -> ProducerLimits {
        ProducerLimits(
            batchMessages: min(maximumBatchMessages, batchMessages), batchBytes: maximumBatchBytes,
            batchesInFlight: maximumBatchesInFlight, eagerBatches: eagerBatches,
            giveUpNanos: giveUpAfter.clampedNanos,
            retryRefusalsNanos: retryRefusalsFor.clampedNanos)
    }
}

/// Settings of a subscription's consumer.
public struct SubscriptionConfiguration: Sendable {
    /// Messages that may be held without a verdict, 1 to 100,000: those being worked on and those
    /// waiting in the client's buffer.
    public var maximumMessages = 1_000
    /// Bytes of them; one message is always let through.
    public var maximumBytes: UInt64 = 16 * 1024 * 1024
    /// Called when the broker cannot read the next messages from its disk (`dataLoss`, or a disk
    /// that fails at the moment), and with nil when it can again, or after a reconnect, when it is
    /// called again if need be. The subscription stays; what can be read is delivered. Runs on an
    /// event loop: it must not block.
    public var onStall: (@Sendable (ChaskiError?) -> Void)?

    /// The defaults.
    public init() {}

    /// The defaults with another limit of messages.
    public init(maximumMessages: Int) { self.maximumMessages = maximumMessages }
}

extension Duration {
    /// Nanoseconds, clamped to what 64 bits hold.
    var clampedNanos: Int64 {
        let (seconds, attoseconds) = components
        let (nanos, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflow2) = nanos.addingReportingOverflow(attoseconds / 1_000_000_000)
        if overflow || overflow2 { return seconds < 0 ? Int64.min : Int64.max }
        return sum
    }
}

extension Int64 {
    /// This moment and `nanos` later, clamped.
    func advancedClamping(by nanos: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(nanos)
        return overflow ? (nanos < 0 ? Int64.min : Int64.max) : sum
    }
}
