/// Keeps nested types from hiding others: within `Outer { message Foo }` the name `Foo` means the
/// nested type, also where a field is of a top-level `Foo`.
enum TypeNames {
    /// Renames nested types that stand between a reference and what it means.
    static func makeVisible(_ files: [FileModel]) {
        for file in files {
            for message in file.allMessages {
                for field in message.fields {
                    for type in field.types { free(type.outermost, from: message) }
                }
            }
        }
    }

    /// Renames what hides the top-level `type` within `message`.
    private static func free(_ type: TypeModel, from message: MessageModel) {
        precondition(type.outer == nil, "a nested type")
        var scope: MessageModel? = message
        while let message = scope {
            let nested: [TypeModel] = message.messages + message.enums
            for hiding in nested where hiding.swiftName == type.swiftName {
                let siblings = nested.map(\.swiftName)
                let suffix = hiding is EnumModel ? "Enum" : "Message"
                hiding.swiftName += suffix
                while siblings.contains(hiding.swiftName) { hiding.swiftName += "_" }
            }
            scope = message.outer
        }
    }

    /// Two top-level types of one name in what goes to one module: who refuses names both.
    static func clash(_ files: [FileModel]) -> GeneratorError? {
        var seen: [String: (name: String, place: String)] = [:]
        for file in files {
            let types: [TypeModel] = file.messages + file.enums
            let all =
                types.map { ($0.swiftName, $0.fullName, $0.remarks.place) }
                + file.services.map { ($0.swiftName, $0.fullName, $0.remarks.place) }
            for (swiftName, fullName, place) in all {
                if let other = seen[swiftName] {
                    return GeneratorError(
                        "\(place): \(fullName) and \(other.name) (\(other.place)) are both "
                            + "\(swiftName) in Swift; give one file an option swift_prefix")
                }
                seen[swiftName] = (fullName, place)
            }
        }
        return nil
    }
}
