/// A name and a value that travel with a message, outside its payload.
public struct Attribute: Hashable, Sendable {
    /// 1 to 128 bytes of UTF-8.
    public var name: String
    /// At most 4 KiB of UTF-8.
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// What a publisher hands over. The limits are checked when it is put into a batch, or by
/// `checkLimits`.
public struct Message: Hashable, Sendable {
    /// At most 1 MiB unless the broker says otherwise.
    public var payload: [UInt8]
    /// At most 1 KiB; an empty key is a key, nil is none.
    public var key: [UInt8]?
    /// At most 64, in the order given, 16 KiB in all.
    public var attributes: [Attribute]
    /// When what it tells of happened, nanoseconds since 1970.
    public var eventTimeNanos: Int64?
    /// 1 to 128 bytes; messages of one id within the topic's window are one message.
    public var dedupID: [UInt8]?
    /// When it stops being of use, nanoseconds since 1970.
    public var expiryNanos: Int64?
    /// The schema revision that describes the payload.
    public var schemaID: UInt64?

    public init(
        _ payload: [UInt8], key: [UInt8]? = nil, attributes: [Attribute] = [],
        eventTimeNanos: Int64? = nil, dedupID: [UInt8]? = nil, expiryNanos: Int64? = nil,
        schemaID: UInt64? = nil
    ) {
        self.payload = payload
        self.key = key
        self.attributes = attributes
        self.eventTimeNanos = eventTimeNanos
        self.dedupID = dedupID
        self.expiryNanos = expiryNanos
        self.schemaID = schemaID
    }

    /// A message of text: payload and key as UTF-8.
    public init(_ text: String, key: String? = nil, attributes: [Attribute] = []) {
        self.init(Array(text.utf8), key: key.map { Array($0.utf8) }, attributes: attributes)
    }
}

extension Message {
    /// Throws `too-large`, `too-many` or `invalid-argument` where a part of the message is beyond
    /// its limit. `payloadBytes` is the payload limit that the broker stated.
    public func checkLimits(payloadBytes: Int = 1024 * 1024) throws(Failure) {
        try MessageLimits.check(payload: payload.count, limit: payloadBytes)
        try MessageLimits.check(key: key?.count ?? 0)
        if let dedupID { try MessageLimits.check(dedupID: dedupID.count) }
        try MessageLimits.check(attributes: attributes.count)
        var total = 0
        for attribute in attributes {
            try MessageLimits.check(
                name: attribute.name.utf8.count, value: attribute.value.utf8.count, total: &total)
        }
    }
}

/// The limits of a message's parts, each with its failure. Lengths are in bytes, never negative.
package enum MessageLimits {
    /// Throws `too-large` for a payload beyond `limit`.
    @inlinable
    package static func check(payload length: Int, limit: Int) throws(Failure) {
        if length > limit { throw tooLarge("payload", length, limit) }
    }

    /// Throws `too-large` for a key beyond 1 KiB.
    @inlinable
    package static func check(key length: Int) throws(Failure) {
        if length > Limits.keyBytes { throw tooLarge("key", length, Limits.keyBytes) }
    }

    /// Throws for a deduplication id that is empty (`invalid-message`) or beyond 128 bytes.
    @inlinable
    package static func check(dedupID length: Int) throws(Failure) {
        if length == 0 { throw empty("deduplication id") }
        if length > Limits.dedupIDBytes {
            throw tooLarge("deduplication id", length, Limits.dedupIDBytes)
        }
    }

    /// Throws `too-many` for more than 64 attributes.
    @inlinable
    package static func check(attributes count: Int) throws(Failure) {
        if count > Limits.attributes { throw tooMany(count) }
    }

    /// Throws for one attribute beyond its limits, or one that brings `total` beyond 16 KiB.
    @inlinable
    package static func check(name: Int, value: Int, total: inout Int) throws(Failure) {
        if name == 0 { throw empty("attribute name") }
        if name > Limits.attributeNameBytes {
            throw tooLarge("attribute name", name, Limits.attributeNameBytes)
        }
        if value > Limits.attributeValueBytes {
            throw tooLarge("attribute value", value, Limits.attributeValueBytes)
        }
        total += name + value
        if total > Limits.attributesBytes {
            throw tooLarge("attributes", total, Limits.attributesBytes)
        }
    }

    @usableFromInline
    package static func tooLarge(_ what: String, _ length: Int, _ limit: Int) -> Failure {
        Failure(
            .invalidArgument, .tooLarge, "\(what) of \(length) bytes; at most \(limit) are allowed")
    }

    @usableFromInline
    package static func tooMany(_ count: Int) -> Failure {
        Failure(
            .invalidArgument, .tooMany,
            "\(count) attributes on one message; at most \(Limits.attributes) are allowed")
    }

    @usableFromInline
    package static func empty(_ what: String) -> Failure {
        Failure(.invalidArgument, .invalidMessage, "the \(what) is empty; leave it out or fill it")
    }
}

extension FailureReason {
    /// A message with a part that cannot be: an empty name or id.
    public static let invalidMessage = Self(rawValue: "invalid-message")
}
