/// Why bytes could not be decoded into a message.
///
/// `field` names the place as `package.Message.field.subfield`, or only the message where no field
/// is to blame. `byteOffset` counts from the first byte of the outermost message; it is nil where
/// the error was found after parsing, as for text that is not UTF-8.
public struct DecodingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of refusal.
    public enum Code: String, Hashable, Sendable {
        /// The bytes end within a field.
        case truncated
        /// A tag, length or packed block that the wire format does not allow.
        case malformed
        /// More nested messages than `DecodingOptions.depthLimit`.
        case tooDeep
        /// A string field holds bytes that are not UTF-8.
        case invalidUTF8
        /// A proto2 `required` field is absent.
        case missingRequired
        /// Decoding would need more memory than `DecodingOptions.memoryBudget`.
        case overMemoryBudget
        /// More repeated elements than `DecodingOptions.itemLimit`.
        case tooManyItems
    }

    /// What kind of refusal it is.
    public let code: Code
    /// The full name of the message and the path of fields to the one at fault.
    public let field: String
    /// Where in the input, in bytes, if known.
    public let byteOffset: Int?

    /// Makes an error; for generated code, the runtime and tests.
    public init(_ code: Code, field: String, byteOffset: Int? = nil) {
        self.code = code
        self.field = field
        self.byteOffset = byteOffset
    }

    public var description: String {
        let place = byteOffset.map { " at byte \($0)" } ?? ""
        return "\(Self.text(code)) in \(field)\(place)"
    }

    private static func text(_ code: Code) -> String {
        switch code {
        case .truncated: "the bytes end too early"
        case .malformed: "malformed protobuf"
        case .tooDeep: "messages nested too deep"
        case .invalidUTF8: "text that is not UTF-8"
        case .missingRequired: "a required field is missing"
        case .overMemoryBudget: "over the memory budget"
        case .tooManyItems: "too many repeated items"
        }
    }
}

/// Why a message could not be serialised.
public struct EncodingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of refusal.
    public enum Code: String, Hashable, Sendable {
        /// A proto2 `required` field is not set.
        case missingRequired
        /// More nested messages than `EncodingOptions.depthLimit`.
        case tooDeep
        /// The result would be 2 GiB or more, which no protobuf reader takes.
        case tooLarge
        /// The span to write into has less room than the result takes.
        case noRoom
    }

    /// What kind of refusal it is.
    public let code: Code
    /// The full name of the message, and the field where one is to blame.
    public let field: String

    /// Makes an error; for generated code, the runtime and tests.
    public init(_ code: Code, field: String) {
        self.code = code
        self.field = field
    }

    public var description: String {
        switch code {
        case .missingRequired: "the required field \(field) is not set"
        case .tooDeep: "messages nested too deep in \(field)"
        case .tooLarge: "\(field) is 2 GiB or more when serialised"
        case .noRoom: "no room for \(field) when serialised"
        }
    }
}
