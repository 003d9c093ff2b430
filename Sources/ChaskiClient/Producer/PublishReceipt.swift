public import ChaskiModel

/// Where a message was stored, durably.
public struct PublishReceipt: Hashable, Sendable {
    /// The topic's name.
    public var topic: String
    /// The message's position in the topic, for life.
    public var offset: Offset
    /// When the broker appended it, nanoseconds since 1970.
    public var appendTimeNanos: Int64
    /// The broker had it already from an earlier attempt; the offset is the original one.
    public var duplicate: Bool

    /// A receipt with all its parts.
    public init(topic: String, offset: Offset, appendTimeNanos: Int64, duplicate: Bool) {
        self.topic = topic
        self.offset = offset
        self.appendTimeNanos = appendTimeNanos
        self.duplicate = duplicate
    }
}

/// Where the messages of a batch were stored, durably: at consecutive offsets.
public struct BatchReceipt: Hashable, Sendable {
    /// The topic's name.
    public var topic: String
    /// One for each message, in the order of the batch.
    public var offsets: Range<Offset>
    /// When the broker appended them, nanoseconds since 1970.
    public var appendTimeNanos: Int64
    /// The broker had them already from an earlier attempt; the offsets are the original ones.
    public var duplicate: Bool

    /// A receipt with all its parts.
    public init(
        topic: String, offsets: Range<Offset>, appendTimeNanos: Int64, duplicate: Bool
    ) {
        self.topic = topic
        self.offsets = offsets
        self.appendTimeNanos = appendTimeNanos
        self.duplicate = duplicate
    }
}

/// How one message of many ended.
public struct PublishOutcome: Sendable {
    /// The message's place in what was given, from 0.
    public var index: Int
    /// Where it is stored, or why it is not.
    public var result: Result<PublishReceipt, ChaskiError>

    /// An outcome with all its parts.
    public init(index: Int, result: Result<PublishReceipt, ChaskiError>) {
        self.index = index
        self.result = result
    }
}
