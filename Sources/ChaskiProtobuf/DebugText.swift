extension Message {
    /// The fields in protobuf's text format, one a line; for people.
    public var debugDescription: String {
        do {
            let bytes = try serializedBytes(options: EncodingOptions(deterministic: true))
            return DebugText.describe(bytes, as: Self._schema)
        } catch {
            return "\(Self.protoMessageName): \(error)"
        }
    }
}

/// Prints serialised messages with the names of their schema.
struct DebugText {
    private var text: String

    /// The message in `bytes`, headed by its name.
    static func describe(_ bytes: [UInt8], as schema: MessageSchema) -> String {
        var printer = DebugText(text: schema.name + ":\n")
        printer.fields(bytes[...], schema, depth: 0)
        return printer.text
    }

    /// The records of a message. Recursion is bounded by the depth limit of encoding.
    private mutating func fields(_ bytes: ArraySlice<UInt8>, _ schema: MessageSchema?, depth: Int) {
        let known = schema?.fields ?? []
        var rest = bytes
        while let tag = Self.varint(&rest) {
            let number = Int32(truncatingIfNeeded: tag >> 3)
            let field = known.first { $0.number == number }
            let name = field?.name ?? String(number)
            switch UInt32(truncatingIfNeeded: tag & 7) {
            case WireType.varint:
                line(name, Self.text(Self.varint(&rest) ?? 0, field?.kind), depth)
            case WireType.fixed64:
                line(name, Self.fixed64(Self.fixed(&rest, 8), field?.kind), depth)
            case WireType.fixed32:
                line(name, Self.fixed32(Self.fixed(&rest, 4), field?.kind), depth)
            case WireType.lengthPrefixed:
                guard let length = Self.varint(&rest).flatMap({ Int(exactly: $0) }),
                    length <= rest.count
                else { return }
                lengthPrefixed(rest.prefix(length), field, number, name, schema, depth)
                rest = rest.dropFirst(length)
            case WireType.startGroup:
                let end = Self.groupEnd(rest, tag)
                nested(rest[..<end.content], schema?.child(number), name, depth)
                rest = rest[end.next...]
            default:
                return
            }
        }
    }

    private mutating func lengthPrefixed(
        _ bytes: ArraySlice<UInt8>, _ field: MessageSchema.Field?, _ number: Int32, _ name: String,
        _ schema: MessageSchema?, _ depth: Int
    ) {
        switch field?.kind {
        case "m", "M":
            nested(bytes, schema?.child(number), name, depth)
        case "s":
            line(name, String(reflecting: String(decoding: bytes, as: UTF8.self)), depth)
        case nil, "b", "g":
            line(name, Self.escaped(bytes), depth)
        default:
            packed(bytes, field?.kind, name, depth)
        }
    }

    private mutating func packed(
        _ bytes: ArraySlice<UInt8>, _ kind: Character?, _ name: String, _ depth: Int
    ) {
        var rest = bytes
        while !rest.isEmpty {
            switch kind {
            case "d", "X", "Y": line(name, Self.fixed64(Self.fixed(&rest, 8), kind), depth)
            case "f", "x", "y": line(name, Self.fixed32(Self.fixed(&rest, 4), kind), depth)
            default:
                guard let value = Self.varint(&rest) else { return }
                line(name, Self.text(value, kind), depth)
            }
        }
    }

    private mutating func nested(
        _ bytes: ArraySlice<UInt8>, _ schema: MessageSchema?, _ name: String, _ depth: Int
    ) {
        let indent = String(repeating: "  ", count: depth)
        text += indent + name + " {\n"
        fields(bytes, schema, depth: depth + 1)
        text += indent + "}\n"
    }

    private mutating func line(_ name: String, _ value: String, _ depth: Int) {
        text += String(repeating: "  ", count: depth) + name + ": " + value + "\n"
    }

    // MARK: Values

    private static func text(_ value: UInt64, _ kind: Character?) -> String {
        switch kind {
        case "i", "e": String(Int64(bitPattern: value))
        case "z": String(Int64(bitPattern: (value >> 1) ^ (0 &- (value & 1))))
        case "B": value == 0 ? "false" : "true"
        default: String(value)
        }
    }

    private static func fixed64(_ value: UInt64, _ kind: Character?) -> String {
        switch kind {
        case "d": String(describing: Double(bitPattern: value))
        case "Y": String(Int64(bitPattern: value))
        default: String(value)
        }
    }

    private static func fixed32(_ value: UInt64, _ kind: Character?) -> String {
        let short = UInt32(truncatingIfNeeded: value)
        return switch kind {
        case "f": String(describing: Float(bitPattern: short))
        case "y": String(Int32(bitPattern: short))
        default: String(short)
        }
    }

    private static func escaped(_ bytes: ArraySlice<UInt8>) -> String {
        var result = "\""
        for byte in bytes {
            if byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 8)
                result += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
            }
        }
        return result + "\""
    }

    // MARK: Reading

    private static func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }

    private static func fixed(_ bytes: inout ArraySlice<UInt8>, _ count: Int) -> UInt64 {
        let value = bytes.prefix(count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        bytes = bytes.dropFirst(count)
        return value
    }

    /// Where the content of a group ends, and where the record after it begins.
    private static func groupEnd(
        _ bytes: ArraySlice<UInt8>, _ tag: UInt64
    ) -> (content: Int, next: Int) {
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return (bytes.endIndex, bytes.endIndex) }
            let start = bytes.startIndex
            var at = 0
            while let inner = try? WireFormat.readTag(base, at, buffer.count) {
                if UInt64(inner.tag) == tag & ~7 | UInt64(WireType.endGroup) {
                    return (start + at, start + inner.next)
                }
                guard
                    let next = try? WireFormat.skipValue(
                        base, inner.next, buffer.count, tag: inner.tag, depthLeft: 1_000)
                else { break }
                at = next
            }
            return (bytes.endIndex, bytes.endIndex)
        }
    }
}
