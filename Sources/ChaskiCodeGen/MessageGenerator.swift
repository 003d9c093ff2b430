/// Writes the Swift of one message and of the types within it.
struct MessageGenerator {
    let model: MessageModel
    let visibility: String

    /// The struct: what users see.
    func write(to code: inout CodeWriter) {
        code.documentation(model.comment)
        let name = Naming.quoted(model.swiftName)
        code.block("\(visibility) struct \(name): ChaskiProtobuf.Message") { code in
            writeProperties(to: &code)
            code.line("\(visibility) var unknownFields = ChaskiProtobuf.UnknownFields()")
            code.line()
            code.line("\(visibility) init() {}")
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
            let stored = model.fields.filter(hasStorage)
            if !stored.isEmpty { code.line() }
            for field in stored {
                let type = field.kind.swiftType
                code.line(
                    "fileprivate var \(FieldNames(field).storage): "
                        + (field.isBoxed ? "ChaskiProtobuf.Boxed<\(type)>?" : "\(type)?"))
            }
        }
    }

    private func hasStorage(_ field: FieldModel) -> Bool {
        switch field.shape {
        case .explicit, .required: true
        default: false
        }
    }

    // MARK: Properties

    private func writeProperties(to code: inout CodeWriter) {
        var written: Set<Int> = []
        for field in model.fields {
            if case .member(let index) = field.shape, written.insert(index).inserted {
                writeOneofProperty(model.oneofs[index], to: &code)
            }
            writeProperty(field, to: &code)
        }
    }

    private func writeProperty(_ field: FieldModel, to code: inout CodeWriter) {
        let names = FieldNames(field)
        let head = "\(visibility) var \(names.property): \(field.propertyType)"
        code.documentation(field.comment)
        switch field.shape {
        case .implicit:
            code.line("\(head) = \(field.defaultExpression)")
        case .repeated:
            code.line("\(head) = []")
        case .map:
            code.line("\(head) = [:]")
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
                let message = field.defaultExpression
                let initial = field.isBoxed ? "ChaskiProtobuf.Boxed(\(message))" : message
                let suffix = field.isBoxed ? ".value" : ""
                let optional = field.isBoxed ? "?.value" : ""
                code.line("get { \(storage)\(optional) ?? \(message) }")
                // The value moves out while it is changed, so that it is not copied.
                code.block("_modify") { code in
                    code.line("var value = \(storage) ?? \(initial)")
                    code.line("\(storage) = nil")
                    code.line("defer { \(storage) = value }")
                    code.line("yield &value\(suffix)")
                }
            } else {
                code.line("get { \(storage) ?? \(field.defaultExpression) }")
                code.line("set { \(storage) = newValue }")
            }
        }
        code.line("/// True when `\(field.swiftName)` is set.")
        code.line("\(visibility) var \(names.has): Bool { \(storage) != nil }")
        code.line("/// Unsets `\(field.swiftName)`.")
        code.line("\(visibility) mutating func \(names.clear)() { \(storage) = nil }")
    }

    private func writeOneofProperty(_ oneof: OneofModel, to code: inout CodeWriter) {
        code.documentation(oneof.comment)
        let property = Naming.quoted(oneof.swiftName)
        code.line("\(visibility) var \(property): \(oneof.typeName)?")
        code.line()
    }

    private func writeMemberProperty(
        _ field: FieldModel, _ oneof: OneofModel, _ head: String, to code: inout CodeWriter
    ) {
        let name = Naming.quoted(field.swiftName)
        let property = Naming.quoted(oneof.swiftName)
        code.block(head) { code in
            code.line(
                "get { if case .\(name)(let value)? = \(property) { value } else "
                    + "{ \(field.defaultExpression) } }")
            code.line("set { \(property) = .\(name)(newValue) }")
        }
    }

    private func writeOneofType(_ oneof: OneofModel, to code: inout CodeWriter) {
        code.line("/// What `\(oneof.swiftName)` may hold.")
        code.block("\(visibility) enum \(oneof.typeName): Sendable, Hashable") { code in
            for index in oneof.members {
                let field = model.fields[index]
                code.documentation(field.comment)
                code.line(
                    "\(field.isBoxed ? "indirect " : "")case \(Naming.quoted(field.swiftName))"
                        + "(\(field.kind.swiftType))")
            }
        }
    }
}
