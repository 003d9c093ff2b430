public import ChaskiModel

/// Which dead letters are meant: those to which all that is given applies; nothing given: all.
public struct DeadLetterFilter: Hashable, Sendable {
    /// Offsets, ascending, without overlap, at most 1,000; empty for all.
    public var offsets: [Range<Offset>] = []
    /// `failed-on-purpose`, `maximum-failures`, `maximum-age` or `abandoned`.
    public var cause: String?
    /// Part of the last reason.
    public var reason: String?
    /// The code that came with the last reason.
    public var code: String?
    /// Died at this moment or later, nanoseconds since 1970.
    public var diedFromNanos: Int64?
    /// Died before this moment, nanoseconds since 1970.
    public var diedBeforeNanos: Int64?
    /// The message's key. For this and the attributes the broker reads the messages from disk.
    public var key: [UInt8]?
    /// Attributes that the message has, all of them, with these values.
    public var attributes: [Attribute] = []

    /// Means all.
    public init() {}
}

/// Some of a subscription's dead letters.
public struct DeadLetterPage: Hashable, Sendable {
    /// In order of offset; may be empty although there are more.
    public var letters: [DeadLetterInfo]
    /// Where to go on; nil when that was all.
    public var next: Offset?
    /// Letters passed over because the filter needs their messages, which cannot be read.
    public var unreadable: Int
}

/// One entry of the history of a message on a subscription.
public struct AttemptInfo: Hashable, Sendable {
    /// `retry`, `fail`, `abandoned`, `probe` (failed as a breaker's probe, which counts for
    /// nothing), or `redriven`.
    public var end: String
    /// The hand-out number.
    public var handout: UInt32
    /// The session that had the message; nil where nobody did.
    public var session: SessionID?
    /// When it ended, nanoseconds since 1970.
    public var endedNanos: Int64
    /// What the consumer said, or whoever redrove the message.
    public var reason: String
    /// A word or number for programs that came with the reason.
    public var code: String
    /// After which delay it was to come again, nanoseconds; nil where it died.
    public var delayNanos: Int64?
}

/// A dead letter with all that is known of it.
public struct DeadLetterDetails: Hashable, Sendable {
    public var letter: DeadLetterInfo
    /// Attempts in all its lives.
    public var attemptCount: UInt32
    /// In order of time: all, or the first and the latest 31.
    public var attempts: [AttemptInfo]
    /// The message as it was published; nil where it cannot be read.
    public var message: Message?
    /// When the broker appended it, nanoseconds since 1970.
    public var appendedNanos: Int64?
    /// Why the message cannot be read.
    public var unreadable: ChaskiError?
}

/// How far a redrive or purge by filter got.
public struct DeadLetterProgress: Hashable, Sendable {
    /// Letters redriven or purged.
    public var taken: UInt64 = 0
    /// Letters passed over because their messages cannot be read.
    public var unreadable = 0
}
