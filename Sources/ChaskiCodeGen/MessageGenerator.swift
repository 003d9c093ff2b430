/// Writes the Swift of one message and of the types within it.
struct MessageGenerator {
    let model: MessageModel
    let visibility: String

    /// The most properties that an initialiser takes; with more, it would help nobody.
    private static let initialisedProperties = 32

    /// The struct: what users see.
    func write(to code: inout CodeWriter) {
        code.documentation(model.remarks.noted)
        let name = Naming.quoted(model.swiftName)
        code.block("\(visibility)struct \(name): ChaskiProtobuf.Message") { code in
            writeProperties(to: &code)
            code.line("\(visibility)var unknownFields = ChaskiProtobuf.UnknownFields()")
            code.line()
            code.line("\(visibility)init() {}")
            writeInitialiser(to: &code)
            for oneof in model.oneofs {
                code.line()
                writeOneofType(oneof, to: &code)
            }
            for nested in model.enums {
                code.line()
                EnumGenerator(model: nested, visibility: visibility).write(to: &code)
            }
            for nested in model.messages where !nested.isMapEntry {
                code.line()
                MessageGenerator(model: nested, visibility: visibility).write(to: &code)
            }
            writeStorage(to: &code)
        }
    }

    private func writeStorage(to code: inout CodeWriter) {
        var lines: [String] = []
        for field in model.fields {
            let head = "fileprivate var \(FieldNames(field).storage): "
            switch field.shape {
            case .explicit, .required: lines.append(head + storedType(field))
            case .member: break
            default:
                guard field.remarks.isDeprecated else { continue }
                lines.append("\(head)\(field.propertyType) = \(field.initialValue)")
            }
        }
        guard !lines.isEmpty else { return }
        code.line()
        for line in lines { code.line(line) }
    }

    private func storedType(_ field: FieldModel) -> String {
        let type = field.kind.swiftType
        return field.isBoxed ? "ChaskiProtobuf.Boxed<\(type)>?" : "\(type)?"
    }

    // MARK: Initialiser

    private func writeInitialiser(to code: inout CodeWriter) {
        var parameters: [String] = []
        var assignments: [String] = []
        var written: Set<Int> = []
        for field in model.fields {
            let names = FieldNames(field)
            let name = names.property
            switch field.shape {
            case .implicit, .repeated, .map:
                parameters.append("\(name): \(field.propertyType) = \(field.initialValue)")
                assignments.append("\(names.access) = \(name)")
            case .explicit, .required:
                parameters.append("\(name): \(field.kind.swiftType)? = nil")
                let value = field.isBoxed ? "\(name).map { .init($0) }" : name
                assignments.append("self.\(names.storage) = \(value)")
            case .member(let index):
                guard written.insert(index).inserted else { continue }
                let oneof = model.oneofs[index]
                let name = Naming.quoted(oneof.swiftName)
                parameters.append("\(name): \(oneof.typeName)? = nil")
                assignments.append("self.\(oneof.swiftName) = \(name)")
            }
        }
        guard (1...Self.initialisedProperties).contains(parameters.count) else { return }
        code.line()
        code.call("\(visibility)init", parameters, " {")
        code.indented { code in
            for line in assignments { code.line(line) }
        }
        code.line("}")
    }

    // MARK: Properties

    private func writeProperties(to code: inout CodeWriter) {
        var written: Set<Int> = []
        for field in model.fields {
            if case .member(let index) = field.shape, written.insert(index).inserted {
                let oneof = model.oneofs[index]
                code.documentation(oneof.comment)
                let property = Naming.quoted(oneof.swiftName)
                code.line("\(visibility)var \(property): \(oneof.typeName)?")
                code.line()
            }
            writeProperty(field, to: &code)
        }
    }

    private func writeProperty(_ field: FieldModel, to code: inout CodeWriter) {
        let names = FieldNames(field)
        let head = "\(visibility)var \(names.property): \(field.propertyType)"
        code.documentation(field.remarks.comment)
        if field.remarks.isDeprecated { code.line("@available(*, deprecated)") }
        switch field.shape {
        case .implicit, .repeated, .map:
            if field.remarks.isDeprecated {
                code.block(head) { code in
                    code.line("get { \(names.storage) }")
                    code.line("set { \(names.storage) = newValue }")
                }
            } else {
                code.line("\(head) = \(field.initialValue)")
            }
        case .explicit, .required:
            writeStoredProperty(field, head, names, to: &code)
        case .member(let index):
            writeMemberProperty(field, model.oneofs[index], head, to: &code)
        }
        code.line()
    }

    private func writeStoredProperty(
        _ field: FieldModel, _ head: String, _ names: FieldNames, to code: inout CodeWriter
    ) {
        let storage = names.storage
        code.block(head) { code in
            if field.kind.message != nil {
                code.line("get { \(storage)._orEmpty }")
                code.line("_modify { yield &\(storage)._orEmpty }")
            } else {
                code.line("get { \(storage) ?? \(field.defaultExpression) }")
                code.line("set { \(storage) = newValue }")
            }
        }
        code.line("/// True when `\(field.swiftName)` is set.")
        code.line("\(visibility)var \(names.has): Bool { \(storage) != nil }")
        code.line("/// Unsets `\(field.swiftName)`.")
        code.line("\(visibility)mutating func \(names.clear)() { \(storage) = nil }")
    }

    private func writeMemberProperty(
        _ field: FieldModel, _ oneof: OneofModel, _ head: String, to code: inout CodeWriter
    ) {
        let name = field.swiftName
        // The names that the accessors give their values would hide the property.
        let isHidden = ["value", "newValue"].contains(oneof.swiftName)
        let property = isHidden ? "self." + oneof.swiftName : Naming.quoted(oneof.swiftName)
        code.block(head) { code in
            code.line(
                "get { if case .\(name)(let value)? = \(property) { value } else "
                    + "{ \(field.defaultExpression) } }")
            code.line("set { \(property) = .\(name)(newValue) }")
        }
    }

    private func writeOneofType(_ oneof: OneofModel, to code: inout CodeWriter) {
        code.line("/// What `\(oneof.swiftName)` may hold.")
        code.block("\(visibility)enum \(oneof.typeName): Sendable, Hashable") { code in
            for index in oneof.members {
                let field = model.fields[index]
                code.documentation(field.remarks.noted)
                code.line(
                    "\(field.isBoxed ? "indirect " : "")case \(Naming.quoted(field.swiftName))"
                        + "(\(field.kind.swiftType))")
            }
        }
    }
}
