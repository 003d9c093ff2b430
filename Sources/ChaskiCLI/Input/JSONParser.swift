/// Reads one JSON value (RFC 8259) from UTF-8, strictly; depth at most 64.
package struct JSONParser {
    /// What is wrong, and at which byte.
    package struct Problem: Error, Hashable {
        package var message: String
        package var position: Int
    }

    private let bytes: ArraySlice<UInt8>
    private var position: Int
    private var depth = 0
    private var takesAnyNumber = false
    private static let maximumDepth = 64

    private init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// The value that `bytes` spell, with nothing but white space around it.
    package static func parse(_ bytes: ArraySlice<UInt8>) throws(Problem) -> JSONValue {
        var parser = JSONParser(bytes)
        parser.skipSpace()
        let value = try parser.value()
        parser.skipSpace()
        guard parser.position == bytes.endIndex else {
            throw parser.problem("text after the value")
        }
        return value
    }

    package static func parse(_ text: String) throws(Problem) -> JSONValue {
        try parse(ArraySlice(Array(text.utf8)))
    }

    /// A member of an object, with the bytes that spell its value.
    package struct SourceMember {
        package var name: String
        package var value: JSONValue
        package var source: ArraySlice<UInt8>
    }

    /// The members of the object that `bytes` spell, in order; nil where they spell another value.
    /// A number that no `Double` can hold is taken too: its source says it.
    package static func members(
        of bytes: ArraySlice<UInt8>
    ) throws(Problem) -> [SourceMember]? {
        var parser = JSONParser(bytes)
        parser.takesAnyNumber = true
        parser.skipSpace()
        guard parser.current == UInt8(ascii: "{") else {
            _ = try parse(bytes)
            return nil
        }
        var members: [SourceMember] = []
        try parser.object { members.append($0) }
        parser.skipSpace()
        guard parser.position == bytes.endIndex else {
            throw parser.problem("text after the value")
        }
        return members
    }

    private var current: UInt8? { position < bytes.endIndex ? bytes[position] : nil }

    private func problem(_ message: String) -> Problem {
        Problem(message: message, position: position - bytes.startIndex)
    }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            position += 1
        }
    }

    private mutating func expect(_ byte: Character) throws(Problem) {
        guard let wanted = byte.asciiValue, current == wanted else {
            throw problem("expected \"\(byte)\"")
        }
        position += 1
    }

    private mutating func value() throws(Problem) -> JSONValue {
        switch current {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw problem("ends too early")
        default: return try number()
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(Problem) -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw problem("not JSON") }
        position += word.utf8.count
        return value
    }

    private mutating func descend() throws(Problem) {
        depth += 1
        guard depth <= Self.maximumDepth else {
            throw problem("nested deeper than \(Self.maximumDepth)")
        }
        position += 1
        skipSpace()
    }

    private mutating func array() throws(Problem) -> JSONValue {
        try descend()
        var items: [JSONValue] = []
        if current != UInt8(ascii: "]") {
            while true {
                items.append(try value())
                skipSpace()
                guard current == UInt8(ascii: ",") else { break }
                position += 1
                skipSpace()
            }
        }
        try expect("]")
        depth -= 1
        return .array(items)
    }

    private mutating func object() throws(Problem) -> JSONValue {
        var object = JSONObject()
        try self.object { object.append($0.name, $0.value) }
        return .object(object)
    }

    private mutating func object(_ take: (SourceMember) -> Void) throws(Problem) {
        try descend()
        if current != UInt8(ascii: "}") {
            while true {
                guard current == UInt8(ascii: "\"") else { throw problem("expected a name") }
                let name = try string()
                skipSpace()
                try expect(":")
                skipSpace()
                let start = position
                let value = try value()
                take(SourceMember(name: name, value: value, source: bytes[start..<position]))
                skipSpace()
                guard current == UInt8(ascii: ",") else { break }
                position += 1
                skipSpace()
            }
        }
        try expect("}")
        depth -= 1
    }

    private mutating func number() throws(Problem) -> JSONValue {
        let start = position
        take("-")
        let first = current
        guard digits() > 0 else { throw problem("not JSON") }
        let whole = position - start - (bytes[start] == UInt8(ascii: "-") ? 1 : 0)
        guard first != UInt8(ascii: "0") || whole == 1 else {
            throw problem("a number begins with 0")
        }
        if take("."), digits() == 0 { throw problem("not a number") }
        if take("e") || take("E") {
            if !take("+") { take("-") }
            guard digits() > 0 else { throw problem("not a number") }
        }
        guard let text = Text.decoded(bytes[start..<position]) else { throw problem("not JSON") }
        if let value = Int64(text) { return .integer(value) }
        if let value = UInt64(text) { return .unsigned(value) }
        guard let value = Double(text), value.isFinite || takesAnyNumber else {
            throw problem("a number out of range")
        }
        return .number(value)
    }

    @discardableResult
    private mutating func take(_ character: Character) -> Bool {
        guard let byte = character.asciiValue, current == byte else { return false }
        position += 1
        return true
    }

    /// How many digits were passed.
    private mutating func digits() -> Int {
        let start = position
        while let byte = current, (0x30...0x39).contains(byte) { position += 1 }
        return position - start
    }

    private mutating func string() throws(Problem) -> String {
        position += 1
        var out: [UInt8] = []
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                guard let text = Text.decoded(out) else { throw problem("not UTF-8") }
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &out)
            case 0..<0x20: throw problem("a control character inside a string")
            default:
                out.append(byte)
                position += 1
            }
        }
        throw problem("a string without end")
    }

    private mutating func escape(into out: inout [UInt8]) throws(Problem) {
        guard let byte = current else { throw problem("a string without end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "u"):
            out.append(contentsOf: String(Character(try scalar())).utf8)
        default: throw problem("an unknown escape")
        }
    }

    private mutating func scalar() throws(Problem) -> Unicode.Scalar {
        let first = try hexUnit()
        var code = UInt32(first)
        if (0xD800..<0xDC00).contains(first) {
            try expect("\\")
            try expect("u")
            let second = try hexUnit()
            guard (0xDC00..<0xE000).contains(second) else { throw problem("half a surrogate pair") }
            code = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw problem("half a surrogate pair") }
        return scalar
    }

    private mutating func hexUnit() throws(Problem) -> UInt16 {
        guard bytes.endIndex - position >= 4,
            let text = Text.decoded(bytes[position..<position + 4]),
            let value = UInt16(text, radix: 16), text.first != "+", text.first != "-"
        else { throw problem("four hexadecimal digits expected") }
        position += 4
        return value
    }
}
