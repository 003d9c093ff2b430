/// Fields that the reader's schema does not know, kept as they came and written back after the
/// known ones.
public struct UnknownFields: Hashable, Sendable {
    /// Whole records, tag included, in the order of arrival.
    @inlinable
    public var bytes: [UInt8] { storage }

    @usableFromInline var storage: [UInt8]

    /// No unknown fields.
    @inlinable
    public init() {
        storage = []
    }

    /// True when nothing unknown was kept.
    @inlinable
    public var isEmpty: Bool { storage.isEmpty }

    /// Forgets them.
    public mutating func removeAll() {
        storage.removeAll()
    }

    /// Adds records: the first one's tag and the bytes that follow it.
    mutating func append(tag: UInt64, payload: UnsafeRawBufferPointer) {
        Varint.append(tag, to: &storage)
        storage.append(contentsOf: payload)
    }

    /// Adds one varint record, as an enum value that a closed enum does not name.
    mutating func append(number: Int32, varint value: UInt64) {
        Varint.append(UInt64(UInt32(bitPattern: number)) << 3, to: &storage)
        Varint.append(value, to: &storage)
    }
}

/// Base-128 integers, little end first, seven bits a byte.
enum Varint {
    /// The most bytes that a 64-bit value takes.
    static let maximumBytes = 10

    /// Appends `value`.
    static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Reads a value at `offset` below `end`; nil when it does not end there or is too long.
    static func read(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int, limit: Int = maximumBytes
    ) -> (value: UInt64, next: Int)? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        var at = offset
        let stop = min(end, offset &+ limit)
        while at < stop {
            let byte = base.load(fromByteOffset: at, as: UInt8.self)
            value |= UInt64(byte & 0x7F) << shift
            at &+= 1
            if byte < 0x80 { return (value, at) }
            shift &+= 7
        }
        return nil
    }
}
