import CProtobufC

/// The six wire types of protobuf.
enum WireType {
    static let varint: UInt32 = 0
    static let fixed64: UInt32 = 1
    static let lengthPrefixed: UInt32 = 2
    static let startGroup: UInt32 = 3
    static let endGroup: UInt32 = 4
    static let fixed32: UInt32 = 5
}

/// Facts about records on the wire.
enum WireFormat {
    /// Bytes of the longest tag: 32 bits in base 128.
    static let maximumTagBytes = 5
    /// The largest length that protobuf-c takes.
    static let maximumLength = Int(Int32.max)
    /// Why a record cannot be read.
    struct Failure: Error {
        var code: DecodingError.Code
        var offset: Int
    }

    /// The wire type of a single value of `type`, or of an unknown type an impossible one.
    @inline(__always)
    static func wireType(of type: ProtobufCType) -> UInt32 {
        // Three bits for each type of ProtobufCType, in the order of its declaration:
        // int32, sint32, sfixed32, int64, sint64, sfixed64, uint32, fixed32, uint64, fixed64,
        // float, double, bool, enum, string, bytes, message.
        let table: UInt64 =
            (0 << 0) | (0 << 3) | (5 << 6) | (0 << 9) | (0 << 12) | (1 << 15) | (0 << 18)
            | (5 << 21) | (0 << 24) | (1 << 27) | (5 << 30) | (1 << 33) | (0 << 36) | (0 << 39)
            | (2 << 42) | (2 << 45) | (2 << 48) | (7 << 51)
        let index = min(UInt64(type.rawValue), 17)
        return UInt32(truncatingIfNeeded: (table >> (index &* 3)) & 7)
    }

    /// True for types whose repeated values may come packed.
    @inline(__always)
    static func isPackable(_ type: ProtobufCType) -> Bool {
        type.rawValue < PROTOBUF_C_TYPE_STRING.rawValue
    }

    /// True for a message field that the .proto file declares as a group: the generator names such
    /// a field g<number> instead of f<number>.
    @inline(__always)
    static func isGroup(_ field: UnsafePointer<ProtobufCFieldDescriptor>) -> Bool {
        field.pointee.name.pointee == CChar(UInt8(ascii: "g"))
    }

    /// True for a member of a oneof.
    @inline(__always)
    static func isOneofMember(_ field: UnsafePointer<ProtobufCFieldDescriptor>) -> Bool {
        field.pointee.flags & UInt32(PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue) != 0
    }

    /// Bytes of one element of a repeated field of `type` in C.
    @inline(__always)
    static func elementSize(_ type: ProtobufCType) -> Int {
        switch type {
        case PROTOBUF_C_TYPE_INT64, PROTOBUF_C_TYPE_SINT64, PROTOBUF_C_TYPE_SFIXED64,
            PROTOBUF_C_TYPE_UINT64, PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_DOUBLE,
            PROTOBUF_C_TYPE_MESSAGE:
            8
        case PROTOBUF_C_TYPE_BYTES:
            MemoryLayout<ProtobufCBinaryData>.stride
        default:
            4
        }
    }

    /// The index of field `number`; nil if the message has none.
    static func index(
        of number: UInt32, in fields: UnsafePointer<ProtobufCFieldDescriptor>, _ count: Int
    ) -> Int? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) >> 1
            let id = fields[middle].id
            if id == number { return middle }
            if id < number { low = middle &+ 1 } else { high = middle }
        }
        return nil
    }

    /// Where the value of a record ends whose tag ends at `offset`.
    /// `depthLeft` bounds groups within groups; the walk is a loop.
    static func skipValue(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int, tag: UInt32, depthLeft: Int
    ) throws(Failure) -> Int {
        var at = try skipPlain(base, offset, end, tag)
        guard tag & 7 == startGroupType else { return at }
        guard depthLeft > 0 else { throw Failure(code: .tooDeep, offset: at) }
        var open = [tag >> 3]
        while let number = open.last {
            let inner = try readTag(base, at, end)
            switch inner.tag & 7 {
            case WireType.endGroup:
                guard inner.tag >> 3 == number else {
                    throw Failure(code: .malformed, offset: at)
                }
                at = inner.next
                open.removeLast()
            case WireType.startGroup:
                guard open.count < depthLeft else { throw Failure(code: .tooDeep, offset: at) }
                at = inner.next
                open.append(inner.tag >> 3)
            default:
                at = try skipPlain(base, inner.next, end, inner.tag)
            }
        }
        return at
    }

    private static let startGroupType = WireType.startGroup

    /// Where a value that is no group ends; for a group, where its first record begins.
    static func skipPlain(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int, _ tag: UInt32
    ) throws(Failure) -> Int {
        switch tag & 7 {
        case WireType.varint:
            guard let value = Varint.read(base, offset, end) else {
                throw varintFailure(offset, end, Varint.maximumBytes)
            }
            return value.next
        case WireType.fixed64:
            guard end - offset >= 8 else { throw Failure(code: .truncated, offset: offset) }
            return offset + 8
        case WireType.fixed32:
            guard end - offset >= 4 else { throw Failure(code: .truncated, offset: offset) }
            return offset + 4
        case WireType.lengthPrefixed:
            let length = try readLength(base, offset, end)
            return length.next + length.value
        case WireType.startGroup:
            return offset
        default:
            throw Failure(code: .malformed, offset: offset)
        }
    }

    /// A tag: field number from 1 and wire type, in at most five bytes.
    static func readTag(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int
    ) throws(Failure) -> (tag: UInt32, next: Int) {
        guard let read = Varint.read(base, offset, end, limit: maximumTagBytes) else {
            throw varintFailure(offset, end, maximumTagBytes)
        }
        guard let tag = UInt32(exactly: read.value), tag >> 3 != 0 else {
            throw Failure(code: .malformed, offset: offset)
        }
        return (tag, read.next)
    }

    /// A length that lies within the bytes.
    static func readLength(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int
    ) throws(Failure) -> (value: Int, next: Int) {
        guard let read = Varint.read(base, offset, end, limit: maximumTagBytes) else {
            throw varintFailure(offset, end, maximumTagBytes)
        }
        guard let length = Int(exactly: read.value), length <= maximumLength else {
            throw Failure(code: .malformed, offset: offset)
        }
        guard length <= end - read.next else { throw Failure(code: .truncated, offset: offset) }
        return (length, read.next)
    }

    static func varintFailure(_ offset: Int, _ end: Int, _ limit: Int) -> Failure {
        Failure(code: end - offset < limit ? .truncated : .malformed, offset: offset)
    }

    /// How many elements a packed block holds.
    static func countPacked(
        _ base: UnsafeRawPointer, _ offset: Int, _ end: Int, _ type: ProtobufCType
    ) throws(Failure) -> Int {
        switch wireType(of: type) {
        case WireType.fixed32:
            guard (end - offset) % 4 == 0 else { throw Failure(code: .malformed, offset: offset) }
            return (end - offset) / 4
        case WireType.fixed64:
            guard (end - offset) % 8 == 0 else { throw Failure(code: .malformed, offset: offset) }
            return (end - offset) / 8
        default:
            var count = 0
            var run = 0
            for at in offset..<end {
                if base.load(fromByteOffset: at, as: UInt8.self) < 0x80 {
                    count &+= 1
                    run = 0
                } else {
                    run &+= 1
                    guard run < Varint.maximumBytes else {
                        throw Failure(code: .malformed, offset: at)
                    }
                }
            }
            guard run == 0 else { throw Failure(code: .truncated, offset: end) }
            return count
        }
    }
}
