public import ChaskiProtobuf

/// Why an `Any` could not be unpacked.
public enum AnyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The value is of another type: its type URL, and the full name of the message asked for.
    case otherType(typeURL: String, expected: String)
    /// The value's bytes are not a message of its type.
    case undecodable(DecodingError)

    public var description: String {
        switch self {
        case .otherType(let typeURL, let expected): "'\(typeURL)' is not the type \(expected)"
        case .undecodable(let error): "\(error)"
        }
    }
}

extension Google_Protobuf_Any {
    /// What stands before the type's name when nothing else is asked for.
    public static let defaultTypePrefix = "type.googleapis.com"

    /// Packs `message`; its full name goes after `typePrefix` and a slash.
    public init<M: Message>(
        message: M, typePrefix: String = Google_Protobuf_Any.defaultTypePrefix,
        options: EncodingOptions = EncodingOptions()
    ) throws(EncodingError) {
        self.init(
            typeURL: typePrefix + "/" + M.protoMessageName,
            value: try message.serializedBytes(options: options))
    }

    /// The full name of the value's type: what stands after the last slash of the type URL. Empty
    /// where there is no slash, which makes a type URL invalid.
    public var messageName: String {
        guard let slash = typeURL.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(typeURL[typeURL.index(after: slash)...])
    }

    /// True when the value says that it is of type `M`.
    public func isA<M: Message>(_ type: M.Type) -> Bool {
        messageName == M.protoMessageName
    }

    /// The value as a message of type `M`. The memory budget is that of `options`, anew.
    public func unpack<M: Message>(
        _ type: M.Type = M.self, options: DecodingOptions = DecodingOptions()
    ) throws(AnyError) -> M {
        guard isA(M.self) else {
            throw .otherType(typeURL: typeURL, expected: M.protoMessageName)
        }
        do throws(DecodingError) {
            return try M(serializedBytes: value, options: options)
        } catch {
            throw .undecodable(error)
        }
    }
}

extension Message {
    /// The message that `any` holds, if it is of this type.
    public init(
        unpackingAny any: Google_Protobuf_Any, options: DecodingOptions = DecodingOptions()
    ) throws(AnyError) {
        self = try any.unpack(Self.self, options: options)
    }
}
