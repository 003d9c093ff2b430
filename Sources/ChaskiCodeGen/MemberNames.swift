/// Makes the members of a message differ from each other: what a field is called must not be what
/// another's `has...`, `clear...` or storage is called.
enum MemberNames {
    static func makeUnique(_ message: MessageModel) {
        var used: Set<String> = ["_schema", "_unpack", "_pack"]
        for nested in message.messages { used.insert(nested.swiftName) }
        for nested in message.enums { used.insert(nested.swiftName) }
        var types = used
        for index in message.oneofs.indices {
            var name = message.oneofs[index].swiftName
            while !used.insert(name).inserted { name += "_" }
            message.oneofs[index].swiftName = name
            var type = message.oneofs[index].typeName
            while !types.insert(type).inserted { type += "_" }
            message.oneofs[index].typeName = type
        }
        for index in message.fields.indices {
            let field = message.fields[index]
            var name = field.swiftName
            if !used.isDisjoint(with: members(name, field)) { name += "_\(field.number)" }
            while !used.isDisjoint(with: members(name, field)) { name += "_" }
            precondition(used.isDisjoint(with: members(name, field)), "two members of one name")
            used.formUnion(members(name, field))
            message.fields[index].swiftName = name
        }
    }

    private static func members(_ name: String, _ field: FieldModel) -> Set<String> {
        let upper = FieldNames.capitalized(name)
        return switch field.shape {
        case .explicit, .required: [name, "_" + name, "has" + upper, "clear" + upper]
        case .member: [name]
        default: field.remarks.isDeprecated ? [name, "_" + name] : [name]
        }
    }
}

/// The members of one field.
struct FieldNames {
    let property: String
    let storage: String
    let has: String
    let clear: String
    /// What generated code reads and writes where it does not care for presence: never what is
    /// deprecated, which would be a warning.
    let access: String

    init(_ field: FieldModel) {
        property = Naming.quoted(field.swiftName)
        storage = "_" + field.swiftName
        has = "has" + Self.capitalized(field.swiftName)
        clear = "clear" + Self.capitalized(field.swiftName)
        access = "self." + (field.remarks.isDeprecated ? storage : field.swiftName)
    }

    static func capitalized(_ name: String) -> String {
        name.prefix(1).uppercased() + name.dropFirst()
    }
}
