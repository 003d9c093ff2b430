import ChaskiModel

/// The little of protobuf that the frames of a connection need.
struct MiniWriter {
    var bytes: [UInt8] = []
    mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: value))
    }
    mutating func number(_ field: UInt64, _ value: UInt64) {
        guard value != 0 else { return }
        varint(field << 3)
        varint(value)
    }
    mutating func bytes(_ field: UInt64, _ value: some Collection<UInt8>, always: Bool = false) {
        guard always || !value.isEmpty else { return }
        varint(field << 3 | 2)
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }
    mutating func text(_ field: UInt64, _ value: String) { bytes(field, value.utf8) }
}

/// Reads fields one by one.
struct MiniReader {
    private var rest: Bytes
    init(_ bytes: Bytes) { rest = bytes }
    enum Value {
        case number(UInt64)
        case bytes(Bytes)
        case other
        var number: UInt64 { if case .number(let value) = self { value } else { 0 } }
        var bytes: Bytes { if case .bytes(let value) = self { value } else { [] } }
        var text: String { String(decoding: bytes, as: UTF8.self) }
        var narrow: UInt32 { UInt32(truncatingIfNeeded: number) }
    }
    private static var malformed: Failure {
        Failure(.invalidArgument, .protocolError, "a protobuf part is malformed")
    }
    private mutating func varint() throws(Failure) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { throw Self.malformed }
            if shift < 64 { result |= UInt64(byte & 0x7f) << shift }
            if byte < 0x80 { return result }
        }
        throw Self.malformed
    }
    private mutating func take(_ count: UInt64) throws(Failure) -> Bytes {
        guard let count = Int(exactly: count), count <= rest.count else { throw Self.malformed }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
    mutating func next() throws(Failure) -> (field: UInt64, value: Value)? {
        guard !rest.isEmpty else { return nil }
        let tag = try varint()
        guard tag >> 3 > 0 else { throw Self.malformed }
        switch tag & 7 {
        case 0: return (tag >> 3, .number(try varint()))
        case 1:
            _ = try take(8)
            return (tag >> 3, .other)
        case 2:
            let length = try varint()
            return (tag >> 3, .bytes(try take(length)))
        case 5:
            _ = try take(4)
            return (tag >> 3, .other)
        default: throw Self.malformed
        }
    }
}
