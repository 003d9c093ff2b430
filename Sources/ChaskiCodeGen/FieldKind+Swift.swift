extension FieldKind {
    /// The Swift type of one value.
    var swiftType: String {
        switch self {
        case .double: "Double"
        case .float: "Float"
        case .int64, .sfixed64, .sint64: "Int64"
        case .uint64, .fixed64: "UInt64"
        case .int32, .sfixed32, .sint32: "Int32"
        case .uint32, .fixed32: "UInt32"
        case .bool: "Bool"
        case .string: "String"
        case .bytes: "[UInt8]"
        case .message(let message), .group(let message): message.swiftPath
        case .enumeration(let model): model.swiftPath
        }
    }

    /// The value of an unset field.
    var zero: String {
        switch self {
        case .bool: "false"
        case .string: "\"\""
        case .bytes: "[]"
        case .message(let message), .group(let message): message.swiftPath + "()"
        case .enumeration(let model): "." + (model.values.first?.swiftName ?? "init()")
        default: "0"
        }
    }

    /// The letter that tells the runtime how to print a value.
    var letter: String {
        switch self {
        case .double: "d"
        case .float: "f"
        case .int64, .int32: "i"
        case .uint64, .uint32: "u"
        case .sint64, .sint32: "z"
        case .fixed64: "X"
        case .fixed32: "x"
        case .sfixed64: "Y"
        case .sfixed32: "y"
        case .bool: "B"
        case .string: "s"
        case .bytes: "b"
        case .message: "m"
        case .group: "g"
        case .enumeration: "e"
        }
    }

    /// True for numbers that C holds as Swift does.
    var isNumber: Bool {
        switch self {
        case .bool, .string, .bytes, .message, .group, .enumeration: false
        default: true
        }
    }

    /// True for values that may be packed when repeated.
    var isPackable: Bool {
        switch self {
        case .string, .bytes, .message, .group: false
        default: true
        }
    }

    var isClosedEnum: Bool {
        if case .enumeration(let model) = self { !model.isOpen } else { false }
    }

    /// The expression that reads a value from `member`, the C member; of a closed enum an optional.
    /// - Parameter inOneof: a message is there for certain.
    func read(_ member: String, field: Int32, inOneof: Bool = false) -> String {
        switch self {
        case .bool: "\(member) != 0"
        case .string: "try reader.string(\(member).data, \(member).len, \(field), of: Self.self)"
        case .bytes: "try reader.bytes(\(member).data, \(member).len, of: Self.self)"
        case .message, .group: "try reader.\(inOneof ? "member" : "message")(\(member))"
        case .enumeration(let model): "\(model.swiftPath)(rawValue: \(member))"
        default: member
        }
    }

    /// The statement that writes `value` to the C member `member`.
    func write(_ value: String, to member: String) -> String {
        switch self {
        case .string: "(\(member).data, \(member).len) = writer.string(\(value))"
        case .bytes: "(\(member).data, \(member).len) = writer.bytes(\(value))"
        case .message, .group: "\(member) = try writer.message(\(value))"
        default: "\(member) = \(number(value))"
        }
    }

    /// What C gets for `value`, where that is a number.
    func number(_ value: String) -> String {
        switch self {
        case .bool: "\(value) ? 1 : 0"
        case .enumeration: "\(value).rawValue"
        default: value
        }
    }

    /// The condition under which `value` of a field without presence is written.
    func isSet(_ value: String) -> String {
        switch self {
        case .bool: value
        case .string, .bytes: "!\(value).isEmpty"
        case .enumeration: "\(value).rawValue != 0"
        case .double, .float: "\(value).bitPattern != 0"
        default: "\(value) != 0"
        }
    }
}

extension FieldModel {
    /// The default as an expression.
    var defaultExpression: String { defaultValue ?? kind.zero }

    /// What the property of an empty message holds, if it is not optional underneath.
    var initialValue: String {
        switch shape {
        case .repeated: "[]"
        case .map: "[:]"
        default: defaultExpression
        }
    }

    /// The Swift type of the property.
    var propertyType: String {
        switch shape {
        case .repeated: "[\(kind.swiftType)]"
        case .map(let key, let value, _): "[\(key.kind.swiftType): \(value.kind.swiftType)]"
        default: kind.swiftType
        }
    }
}
