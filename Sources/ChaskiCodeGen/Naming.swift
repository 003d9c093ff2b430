/// Names: from .proto files to Swift (as SwiftProtobuf's users know them) and to C.
enum Naming {
    /// Words that stay in capitals within a lowerCamel name, as in `sessionID`.
    private static let abbreviations: Set<String> = ["url", "http", "https", "id"]

    /// Words that a declaration must quote. The ones that Swift knows from their place, as `open`
    /// and `optional`, need no quotes.
    private static let keywords: Set<String> = [
        "Any", "as", "associatedtype", "await", "break", "case", "catch", "class", "continue",
        "default",
        "defer", "deinit", "do", "else", "enum", "extension", "fallthrough", "false",
        "fileprivate", "for", "func", "guard", "if", "import", "in", "init", "inout", "internal",
        "is", "let", "nil", "operator", "precedencegroup", "private", "protocol", "public",
        "repeat", "rethrows", "return", "self", "Self", "static", "struct", "subscript", "super",
        "switch", "throw", "throws", "true", "try", "typealias", "var", "where", "while",
    ]

    /// Members that each generated message has, or that Swift gives every type.
    private static let reservedFields: Set<String> = [
        "unknownFields", "protoMessageName", "debugDescription", "description", "hashValue",
        "hash", "self", "Self", "Type", "init", "with", "serializedBytes", "dynamicType",
        "customMirror", "subscript", "Protocol",
    ]

    private static let reservedCases: Set<String> = [
        "UNRECOGNIZED", "allCases", "hashValue", "init", "rawValue", "self", "Self", "Type",
        "Protocol", "AllCases", "RawValue", "hash", "none", "some",
    ]

    private static let reservedTypes: Set<String> = [
        "AllCases", "Any", "AnyObject", "Array", "Bool", "CaseIterable", "ChaskiProtobuf",
        "CustomDebugStringConvertible", "Dictionary", "Double", "Equatable", "Error", "Float",
        "Hashable", "Hasher", "Int", "Int32", "Int64", "MemoryLayout", "Never", "Optional",
        "Protocol", "RawValue", "Self", "Sendable", "Set", "String", "Swift", "Type", "UInt",
        "UInt32", "UInt64", "UInt8", "UnsafeMutablePointer", "UnsafeMutableRawPointer",
        "UnsafeRawPointer", "Void",
    ]

    // MARK: Tests

    static func isIdentifier(_ name: String) -> Bool {
        guard let first = name.utf8.first, isLetter(first) || first == UInt8(ascii: "_") else {
            return false
        }
        return name.utf8.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
    }

    /// A lower-case letter, then lower-case letters and digits: protoc-gen-c leaves it alone.
    static func isPlainWord(_ name: String) -> Bool {
        guard let first = name.utf8.first, isLower(first) else { return false }
        return name.utf8.allSatisfy { isLower($0) || isDigit($0) }
    }

    /// UpperCamel without two capitals in a row: protoc-gen-c maps such names one to one.
    static func isPlainCamel(_ name: String) -> Bool {
        guard let first = name.utf8.first, isUpper(first) else { return false }
        var wasUpper = false
        for byte in name.utf8 {
            if isUpper(byte) {
                if wasUpper { return false }
                wasUpper = true
            } else if isLower(byte) || isDigit(byte) {
                wasUpper = false
            } else {
                return false
            }
        }
        return true
    }

    private static func isUpper(_ byte: UInt8) -> Bool { byte >= 65 && byte <= 90 }
    private static func isLower(_ byte: UInt8) -> Bool { byte >= 97 && byte <= 122 }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
    private static func isLetter(_ byte: UInt8) -> Bool { isUpper(byte) || isLower(byte) }

    // MARK: Swift

    /// The prefix of a file's types: `swift_prefix`, or `Chaski_V1_` of package `chaski.v1`.
    static func typePrefix(package: String, swiftPrefix: String?) -> String {
        if let swiftPrefix { return swiftPrefix }
        guard !package.isEmpty else { return "" }
        return package.split(separator: ".").map { upperCamel(String($0)) + "_" }.joined()
    }

    /// `foo_bar` as `FooBar`; capitals stay.
    static func upperCamel(_ name: String) -> String {
        var result = ""
        var isStart = true
        for character in name {
            if character == "_" {
                isStart = true
            } else if isStart {
                result += character.uppercased()
                isStart = false
            } else {
                result.append(character)
            }
        }
        return result
    }

    /// The words of a name: at underscores, before capitals after lower case, around digits.
    static func words(_ name: String) -> [String] {
        var words: [String] = []
        var word = ""
        var last: UInt8 = 0
        for byte in name.utf8 {
            let underscore = byte == UInt8(ascii: "_")
            let starts =
                underscore || (isUpper(byte) && !isUpper(last))
                || (isDigit(byte) != isDigit(last) && last != 0)
            if starts, !word.isEmpty {
                words.append(word)
                word = ""
            }
            if !underscore { word.unicodeScalars.append(Unicode.Scalar(byte)) }
            last = byte
        }
        if !word.isEmpty { words.append(word) }
        return words
    }

    /// `session_id` as `sessionID`, `HTTPPort` as `httpPort`.
    static func lowerCamel(_ name: String) -> String {
        let leading = String(name.prefix { $0 == "_" })
        var result = ""
        for (index, word) in words(name).enumerated() {
            let lower = word.lowercased()
            if index == 0 {
                result += lower
            } else if abbreviations.contains(lower) {
                result += lower.uppercased()
            } else {
                result += lower.prefix(1).uppercased() + lower.dropFirst()
            }
        }
        if result.isEmpty || result.utf8.first.map(isDigit) == true { result = "_" + result }
        return leading + result
    }

    /// The property of a field, not quoted.
    static func property(_ name: String) -> String {
        let result = lowerCamel(name)
        return reservedFields.contains(result) ? result + "_p" : result
    }

    /// The case of an enum value or oneof member, not quoted.
    static func enumCase(_ name: String) -> String {
        let result = lowerCamel(name)
        return reservedCases.contains(result) ? result + "_" : result
    }

    /// `name` as it stands in a declaration.
    static func quoted(_ name: String) -> String {
        keywords.contains(name) ? "`\(name)`" : name
    }

    /// The name of a message or enum type within its scope.
    static func type(_ name: String, isEnum: Bool) -> String {
        let isReserved =
            reservedTypes.contains(name) || keywords.contains(name) || name.hasPrefix("OneOf_")
        return isReserved ? name + (isEnum ? "Enum" : "Message") : name
    }

    /// The common prefix of an enum's value names, if removing it leaves names.
    static func casePrefix(ofEnum name: String, values: [String]) -> Int {
        let wanted = name.filter { $0 != "_" }.lowercased()
        func length(_ value: String) -> Int? {
            var rest = Substring(wanted)
            var count = 0
            for character in value {
                if rest.isEmpty { break }
                count += 1
                if character == "_" { continue }
                guard let first = rest.first, character.lowercased() == String(first) else {
                    return nil
                }
                rest.removeFirst()
            }
            guard rest.isEmpty else { return nil }
            let tail = value.dropFirst(count).drop { $0 == "_" }
            guard let first = tail.utf8.first, !isDigit(first) else { return nil }
            return value.count - tail.count
        }
        let lengths = values.map(length)
        guard let first = lengths.first.flatMap({ $0 }), lengths.allSatisfy({ $0 == first }) else {
            return 0
        }
        return first
    }

    // MARK: C

    /// A message's name in the lowered file: itself when protoc-gen-c maps it one to one, else a
    /// plain one with a hash of the full name.
    static func loweredMessage(_ name: String, fullName: String) -> String {
        if isPlainCamel(name) { return name }
        let lowered = capitalized(plain(name)) + "H" + hash(fullName)
        precondition(isPlainCamel(lowered), "protoc-gen-c would change the name")
        return lowered
    }

    /// A package in the lowered file.
    static func loweredPackage(_ package: String, prefix: String) -> String {
        let pieces = package.split(separator: ".").map { piece -> String in
            let piece = String(piece)
            return isPlainWord(piece) ? piece : plain(piece) + "h" + hash(piece)
        }
        precondition(pieces.allSatisfy(isPlainWord), "protoc-gen-c would change the package")
        return ([prefix] + pieces).joined(separator: ".")
    }

    /// The C struct that protoc-gen-c makes of a lowered full name.
    static func cStruct(_ lowered: String) -> String {
        lowered.split(separator: ".").map { capitalized(String($0)) }.joined(separator: "__")
    }

    /// The prefix of the C functions that protoc-gen-c makes of a lowered full name.
    static func cFunction(_ lowered: String) -> String {
        lowered.split(separator: ".").map { piece in
            var result = ""
            for (index, byte) in piece.utf8.enumerated() {
                if isUpper(byte), index > 0 { result += "_" }
                result += String(Unicode.Scalar(byte)).lowercased()
            }
            return result
        }.joined(separator: "__")
    }

    private static func plain(_ name: String) -> String {
        let letters = name.utf8.filter { isLetter($0) || isDigit($0) }
        let text = String(decoding: letters, as: UTF8.self).lowercased()
        return text.utf8.first.map(isDigit) == false ? text : "x" + text
    }

    private static func capitalized(_ word: String) -> String {
        word.prefix(1).uppercased() + word.dropFirst()
    }

    /// FNV-1a of 32 bits as eight hexadecimal digits.
    static func hash(_ text: String) -> String {
        var hash: UInt32 = 2_166_136_261
        for byte in text.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        let digits = String(hash, radix: 16)
        precondition(digits.utf8.count <= 8, "32 bits are eight digits")
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
