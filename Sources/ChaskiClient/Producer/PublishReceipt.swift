public import ChaskiModel

/// Where a message was stored, durably.
public struct PublishReceipt: Hashable, Sendable {
    /// The topic's name.
    public var topic: String
    /// The message's position in the topic, for life.
    public var offset: Offset
    /// When the broker appended it, nanoseconds since 1970.
    public var appendTimeNanos: Int64
    /// The broker had it already, from an earlier attempt or, in a topic that remembers them, by
    /// its dedup id; the offset is the original one.
    public var duplicate: Bool

    /// A receipt with all its parts.
    public init(topic: String, offset: Offset, appendTimeNanos: Int64, duplicate: Bool) {
        self.topic = topic
        self.offset = offset
        self.appendTimeNanos = appendTimeNanos
        self.duplicate = duplicate
    }
}

/// Where the messages of a batch are, durably: at consecutive offsets, but for those that were
/// stored before.
public struct BatchReceipt: Hashable, Sendable {
    /// The topic's name.
    public var topic: String
    /// One for each message that is not among `duplicates`, in the order of the batch.
    public var offsets: Range<Offset>
    /// When the broker appended them, nanoseconds since 1970.
    public var appendTimeNanos: Int64
    /// The broker had them already from an earlier attempt; the offsets are the original ones.
    public var duplicate: Bool
    /// Messages that the topic has already by their dedup ids, in the order of the batch.
    public var duplicates: [DuplicateMessage]

    /// A message of a batch that the topic has already.
    public struct DuplicateMessage: Hashable, Sendable {
        /// Its place in the batch, from 0.
        public var index: Int
        /// Where the message with its dedup id is.
        public var offset: Offset

        /// A message with all its parts.
        public init(index: Int, offset: Offset) {
            self.index = index
            self.offset = offset
        }
    }

    /// A receipt with all its parts.
    public init(
        topic: String, offsets: Range<Offset>, appendTimeNanos: Int64, duplicate: Bool,
        duplicates: [DuplicateMessage] = []
    ) {
        self.topic = topic
        self.offsets = offsets
        self.appendTimeNanos = appendTimeNanos
        self.duplicate = duplicate
        self.duplicates = duplicates
    }

    init(_ topic: String, _ stored: StoredAt, count: Int) {
        let fresh = UInt64(clamping: count - stored.duplicates.count)
        let (end, overflow) = stored.baseOffset.addingReportingOverflow(fresh)
        self.init(
            topic: topic, offsets: stored.baseOffset..<(overflow ? UInt64.max : end),
            appendTimeNanos: stored.appendTimeNanos, duplicate: stored.duplicate,
            duplicates: stored.duplicates.map {
                DuplicateMessage(index: Int($0.index), offset: $0.offset)
            })
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
