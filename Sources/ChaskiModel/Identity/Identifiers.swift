/// The position of a message in its topic: dense from 0, never reused.
public typealias Offset = UInt64

/// Identifies one incarnation of a topic within its namespace; never reused, never 0.
public struct TopicID: RawRepresentable, Hashable, Comparable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// Identifies one incarnation of a subscription within its namespace; never reused, never 0.
public struct SubscriptionID: RawRepresentable, Hashable, Comparable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// A consumer session: 128 random bits that the client chose, living across reconnects.
public struct SessionID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

/// A producer: 128 random bits that the client chose, living across reconnects.
public struct ProducerID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

/// An atomic request: 128 random bits that the client chose, the same each time it is sent.
public struct TransactionID: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt128
    public init(rawValue: UInt128) { self.rawValue = rawValue }
}

/// Names one hand-out of one message: what a verb must show to be believed.
public struct DeliveryToken: Hashable, Sendable {
    /// The journal epoch in which the message was handed out; raised at each recovery.
    public var epoch: UInt32
    /// The message's offset in the subscription's topic.
    public var offset: Offset
    /// How often the message had been handed out, this time included; from 1.
    public var handout: UInt32

    public init(epoch: UInt32, offset: Offset, handout: UInt32) {
        self.epoch = epoch
        self.offset = offset
        self.handout = handout
    }
}

/// A run of consecutive offsets that share epoch and hand-out number.
public struct TokenRange: Hashable, Sendable {
    public var epoch: UInt32
    public var first: Offset
    /// Number of offsets, at least 1.
    public var count: UInt32
    public var handout: UInt32

    public init(epoch: UInt32, first: Offset, count: UInt32, handout: UInt32) {
        self.epoch = epoch
        self.first = first
        self.count = count
        self.handout = handout
    }
}

/// The moment at which an event is handled, given to every pure core.
package struct Now: Hashable, Sendable {
    /// The broker clock in nanoseconds: never steps, continues across restarts. Relative times
    /// (leases, backoff, windows) are computed with it.
    package var clock: Int64
    /// The wall clock in nanoseconds since 1970. Shown to people, never computed with.
    package var wall: Int64

    package init(clock: Int64, wall: Int64) {
        self.clock = clock
        self.wall = wall
    }
}
