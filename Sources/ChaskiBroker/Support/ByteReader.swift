import ChaskiModel

extension [UInt8] {
    /// Appends an unsigned integer in LEB128: 7 bits a byte, the lowest first.
    mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    /// Appends a signed integer, zigzag coded.
    mutating func append(zigzag value: Int64) {
        append(varint: UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    /// Appends a length and the UTF-8 bytes.
    mutating func append(text: String) {
        let bytes = text.utf8
        append(varint: UInt64(bytes.count))
        append(contentsOf: bytes)
    }
}

/// Reads what the broker wrote; every read is checked against the end.
struct ByteReader {
    private let bytes: Bytes
    private var position: Int

    init(_ bytes: Bytes) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    var isAtEnd: Bool { position == bytes.endIndex }
    var remaining: Int { bytes.endIndex - position }

    mutating func byte() throws(Failure) -> UInt8 {
        guard position < bytes.endIndex else { throw .corruptEntry("it ends early") }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func varint() throws(Failure) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            let bits = UInt64(next & 0x7F)
            guard shift < 63 || (shift == 63 && bits <= 1) else {
                throw .corruptEntry("an integer is too long")
            }
            value |= bits << shift
            if next & 0x80 == 0 { return value }
            shift += 7
        }
    }

    mutating func varint32() throws(Failure) -> UInt32 {
        guard let value = UInt32(exactly: try varint()) else {
            throw .corruptEntry("an integer is too large")
        }
        return value
    }

    mutating func zigzag() throws(Failure) -> Int64 {
        let raw = try varint()
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    mutating func fixed<T: FixedWidthInteger & BitwiseCopyable>(
        _: T.Type = T.self
    )
        throws(Failure) -> T
    {
        guard let value = bytes.littleEndian(T.self, at: position - bytes.startIndex) else {
            throw .corruptEntry("it ends early")
        }
        position += MemoryLayout<T>.size
        return value
    }

    /// A text of at most `limit` bytes.
    mutating func text(limit: Int) throws(Failure) -> String {
        let length = try varint()
        guard length <= UInt64(limit), length <= UInt64(remaining) else {
            throw .corruptEntry("a text is too long")
        }
        let end = position + Int(length)
        defer { position = end }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }

    /// So many bytes; nil where fewer are left.
    mutating func take(_ length: Int) -> Bytes? {
        guard length >= 0, length <= remaining else { return nil }
        defer { position += length }
        return bytes[position..<position + length]
    }

    /// A count of items, each of which takes at least `each` bytes of what is left.
    mutating func count(each: Int) throws(Failure) -> Int {
        precondition(each > 0, "an item takes room")
        let value = try varint()
        guard value <= UInt64(remaining / each) else {
            throw .corruptEntry("it announces more than it holds")
        }
        return Int(value)
    }

    func finish() throws(Failure) {
        guard isAtEnd else { throw .corruptEntry("bytes are left behind its end") }
    }
}

extension Failure {
    /// The journal holds something that this broker did not write.
    static func corruptEntry(_ what: String) -> Failure {
        Failure(
            .dataLoss, .damaged,
            "an entry of broker state in the journal cannot be understood: \(what)")
    }
}
