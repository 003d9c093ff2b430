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

    /// Makes room for so many more bytes.
    mutating func reserve(_ count: Int) {
        storage.reserveCapacity(storage.count + count)
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
    /// The most bytes that a field's tag takes.
    static let maximumTagBytes = 5

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
    @inline(__always)
    static func read(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int, limit: Int = maximumBytes
    ) -> (value: UInt64, next: Int)? {
        if limit == maximumBytes, end &- offset >= 8 { return readWord(base, offset, end) }
        return readBytes(base, offset, end, limit)
    }

    /// The same, for at least eight bytes: looks at all of them together.
    @inline(__always)
    private static func readWord(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int
    ) -> (value: UInt64, next: Int)? {
        let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        // The bytes that end a value have their highest bit clear.
        let ends = ~word & 0x8080_8080_8080_8080
        guard ends != 0 else { return readLong(base, offset, end, joined(word)) }
        let used = word & (ends ^ (ends &- 1))
        return (joined(used), offset &+ (ends.trailingZeroBitCount &>> 3) &+ 1)
    }

    /// The lower seven bits of eight bytes, moved together.
    @inline(__always)
    private static func joined(_ word: UInt64) -> UInt64 {
        var value = word & 0x7F7F_7F7F_7F7F_7F7F
        value = (value & 0x7F00_7F00_7F00_7F00) &>> 1 | (value & 0x007F_007F_007F_007F)
        value = (value & 0x3FFF_0000_3FFF_0000) &>> 2 | (value & 0x0000_3FFF_0000_3FFF)
        return (value & 0x0FFF_FFFF_0000_0000) &>> 4 | (value & 0x0000_0000_0FFF_FFFF)
    }

    /// The ninth and tenth byte after the 56 bits of `low`.
    @inline(__always)
    private static func readLong(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int, _ low: UInt64
    ) -> (value: UInt64, next: Int)? {
        guard end &- offset >= 9 else { return nil }
        let ninth = base.load(fromByteOffset: offset &+ 8, as: UInt8.self)
        let value = low | UInt64(ninth & 0x7F) &<< 56
        if ninth < 0x80 { return (value, offset &+ 9) }
        guard end &- offset >= 10 else { return nil }
        let tenth = base.load(fromByteOffset: offset &+ 9, as: UInt8.self)
        guard tenth < 0x80 else { return nil }
        return (value | UInt64(tenth) &<< 63, offset &+ 10)
    }

    @inline(never)
    private static func readBytes(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int, _ limit: Int
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
