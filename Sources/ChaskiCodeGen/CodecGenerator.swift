/// Writes what joins a message to its C form: names, reading, writing.
struct CodecGenerator {
    let model: MessageModel
    let visibility: String

    func write(to code: inout CodeWriter) {
        code.block("extension \(model.swiftPath)") { code in
            code.line("\(visibility)static let protoMessageName = \"\(model.fullName)\"")
            code.line()
            writeSchema("\(visibility)static let _schema", model, to: &code)
            for field in model.fields {
                guard case .map(_, _, let entry) = field.shape else { continue }
                code.line()
                writeSchema("private static let \(Self.entrySchema(field))", entry, to: &code)
            }
            code.line()
            writeUnpack(to: &code)
            code.line()
            writePack(to: &code)
        }
        for nested in model.messages where !nested.isMapEntry {
            code.line()
            CodecGenerator(model: nested, visibility: visibility).write(to: &code)
        }
    }

    private static func entrySchema(_ field: FieldModel) -> String { "_entry\(field.number)" }

    // MARK: Schema

    private func writeSchema(
        _ head: String, _ message: MessageModel, to code: inout CodeWriter
    ) {
        let name = message === model ? "protoMessageName" : "\"\(message.fullName)\""
        code.line("\(head): ChaskiProtobuf.MessageSchema = .init(")
        code.indented { code in
            code.list([name, "\(message.cStruct)()", "\(message.cFunction)__init"], end: ",")
            let table = message.fields.map { field in
                let letter = if case .map = field.shape { "M" } else { field.kind.letter }
                return "\(field.number):\(field.name):\(letter)"
            }
            let children = children(message)
            writeTable(table, children.isEmpty ? ")" : ",", to: &code)
            guard !children.isEmpty else { return }
            code.line("children: {")
            code.indented { code in
                code.line("switch $0 {")
                for child in children { code.line(child) }
                code.line("default: nil")
                code.line("}")
            }
            code.line("})")
        }
    }

    /// The table of fields as a literal of several lines where it is long.
    private func writeTable(_ table: [String], _ end: String, to code: inout CodeWriter) {
        guard table.joined().utf8.count > 60 else {
            code.line("fields: \"\(table.joined(separator: " "))\"\(end)")
            return
        }
        code.line("fields: \"\"\"")
        code.indented { code in
            var line = ""
            for entry in table {
                if line.utf8.count + entry.utf8.count > 70 {
                    code.line(line + "\\")
                    line = ""
                }
                line += entry + " "
            }
            code.line(line + "\\")
            code.line()
        }
        code.replaceLast("\\\n\n", with: "\n")
        code.indented { $0.line("\"\"\"" + end) }
    }

    private func children(_ message: MessageModel) -> [String] {
        message.fields.compactMap { field in
            if case .map = field.shape { return "case \(field.number): \(Self.entrySchema(field))" }
            return field.kind.message.map { "case \(field.number): \($0.swiftPath)._schema" }
        }
    }

    // MARK: Reading

    private func writeUnpack(to code: inout CodeWriter) {
        code.line("\(visibility)mutating func _unpack(")
        code.line("    _ pointer: UnsafeRawPointer, _ reader: inout ChaskiProtobuf.MessageReader")
        code.block(") throws(ChaskiProtobuf.DecodingError)") { code in
            if !model.fields.isEmpty {
                code.line("let c = pointer.assumingMemoryBound(to: \(model.cStruct).self)")
            }
            for field in model.fields { writeUnpack(field, to: &code) }
            for (index, oneof) in model.oneofs.enumerated() {
                writeUnpack(oneof, index, to: &code)
            }
            code.line("try reader.unknown(pointer, &unknownFields, of: Self.self)")
        }
    }

    private func writeUnpack(_ field: FieldModel, to code: inout CodeWriter) {
        let member = "c.pointee.\(field.cName)"
        let names = FieldNames(field)
        switch field.shape {
        case .implicit:
            let value = field.kind.read(member, field: field.number)
            let read = "\(names.access) = \(value)"
            switch field.kind {
            case .string, .bytes: code.block("if \(member).len != 0") { $0.line(read) }
            default: code.line(read)
            }
        case .explicit, .required:
            writeUnpackStored(field, member, names, to: &code)
        case .repeated:
            code.block("if c.pointee.n_\(field.cName) != 0") { code in
                code.line("\(names.access) = \(readRepeated(field, member))")
            }
        case .map(let key, let value, _):
            writeUnpackMap(field, key, value, member, to: &code)
        case .member:
            break
        }
    }

    private func writeUnpackStored(
        _ field: FieldModel, _ member: String, _ names: FieldNames, to code: inout CodeWriter
    ) {
        let storage = names.storage
        if field.kind.message != nil {
            let call = field.isBoxed ? "boxed" : "message"
            code.line("\(storage) = try reader.\(call)(\(member))")
        } else {
            code.block("if c.pointee.has_\(field.cName) != 0") { code in
                let read = field.kind.read(member, field: field.number)
                guard field.kind.isClosedEnum else {
                    code.line("\(storage) = \(read)")
                    return
                }
                code.line("if let value = \(read) {")
                code.line("    \(storage) = value")
                code.line("} else {")
                code.line("    reader.keep(\(field.number), \(member), &unknownFields)")
                code.line("}")
            }
        }
        guard case .required = field.shape else { return }
        code.block("if \(storage) == nil") { code in
            code.line("throw ChaskiProtobuf.DecodingError(")
            code.line("    .missingRequired, field: \"\(model.fullName).\(field.name)\")")
        }
    }

    private func readRepeated(_ field: FieldModel, _ member: String) -> String {
        let count = "c.pointee.n_\(field.cName)"
        switch field.kind {
        case .bool:
            return "try reader.booleans(\(member), \(count), of: Self.self)"
        case .string:
            return "try reader.strings(\(member), \(count), \(field.number), of: Self.self)"
        case .bytes:
            return "try reader.byteStrings(\(member), \(count), of: Self.self)"
        case .message, .group:
            return "try reader.messages(\(member), \(count))"
        case .enumeration:
            return "try reader.enums("
                + "\(member), \(count), \(field.number), &unknownFields, of: Self.self)"
        default:
            return "try reader.numbers(\(member), \(count), of: Self.self)"
        }
    }

    private func writeUnpackMap(
        _ field: FieldModel, _ key: FieldModel, _ value: FieldModel, _ member: String,
        to code: inout CodeWriter
    ) {
        let property = FieldNames(field).access
        let count = "c.pointee.n_\(field.cName)"
        code.block("if \(count) != 0, let entries = \(member)") { code in
            code.line("try reader.chargeEntries(")
            code.line(
                "    \(count), stride: MemoryLayout<(\(key.kind.swiftType), "
                    + "\(value.kind.swiftType))>.stride, of: Self.self)")
            code.line("\(property).reserveCapacity(\(count))")
            code.block("for index in 0..<\(count)") { code in
                code.line("guard let entry = entries[index] else { continue }")
                let readKey = key.kind.read("entry.pointee.\(key.cName)", field: field.number)
                let source = "entry.pointee.\(value.cName)"
                let read = value.kind.read(source, field: field.number, inOneof: true)
                code.line("let key = \(readKey)")
                if value.kind.isClosedEnum {
                    code.line("guard let value = entry.pointee.has_\(value.cName) == 0")
                    code.line("    ? .init() : \(read)")
                    code.block("else") { code in
                        code.line("reader.keepEntry(\(field.number), entry, &unknownFields)")
                        code.line("continue")
                    }
                    code.line("\(property)[key] = value")
                } else {
                    code.line("\(property)[key] = \(read)")
                }
            }
        }
    }

    private func writeUnpack(_ oneof: OneofModel, _ index: Int, to code: inout CodeWriter) {
        let property = "self.\(oneof.swiftName)"
        code.line("switch c.pointee.o\(index)_case.rawValue {")
        for position in oneof.members {
            let field = model.fields[position]
            let member = "c.pointee.\(field.cName)"
            let name = field.swiftName
            let read = field.kind.read(member, field: field.number, inOneof: true)
            code.line("case \(field.number):")
            code.indented { code in
                if field.kind.isClosedEnum {
                    code.line("if let value = \(read) {")
                    code.line("    \(property) = .\(name)(value)")
                    code.line("} else {")
                    code.line("    reader.keep(\(field.number), \(member), &unknownFields)")
                    code.line("}")
                } else {
                    code.line("\(property) = .\(name)(\(read))")
                }
            }
        }
        code.line("default: break")
        code.line("}")
    }

    // MARK: Writing

    private func writePack(to code: inout CodeWriter) {
        let hasGroups = model.fields.contains { $0.kind.isGroup }
        code.line("\(visibility)func _pack(")
        code.line(
            "    _ pointer: UnsafeMutableRawPointer, _ writer: inout ChaskiProtobuf.MessageWriter")
        code.block(") throws(ChaskiProtobuf.EncodingError)") { code in
            if model.fields.contains(where: { !$0.kind.isGroup }) {
                code.line("let c = pointer.assumingMemoryBound(to: \(model.cStruct).self)")
            }
            if hasGroups { code.line("var records: [UInt8] = []") }
            for field in model.fields { writePack(field, to: &code) }
            for (index, oneof) in model.oneofs.enumerated() { writePack(oneof, index, to: &code) }
            let records = hasGroups ? "records + unknownFields.bytes" : "unknownFields.bytes"
            code.line("writer.records(\(records), pointer)")
        }
    }

    private func writePack(_ field: FieldModel, to code: inout CodeWriter) {
        let member = "c.pointee.\(field.cName)"
        let property = FieldNames(field).access
        switch field.shape {
        case .implicit:
            let condition = "if \(field.kind.isSet(property))"
            let has = "c.pointee.has_\(field.cName)"
            let whole = "\(condition) { (\(member), \(has)) = (\(field.kind.number(property)), 1) }"
            if field.kind.isPackable, code.fits(whole) {
                code.line(whole)
                return
            }
            code.block(condition) { code in
                code.line(field.kind.write(property, to: member))
                code.line("\(has) = 1")
            }
        case .explicit, .required:
            writePackStored(field, member, to: &code)
        case .repeated:
            if field.kind.isGroup {
                code.block("for value in \(property)") { code in
                    code.line("try writer.appendGroup(value, \(field.number), to: &records)")
                }
                return
            }
            code.block("if !\(property).isEmpty") { code in
                code.line("\(member) = \(writeRepeated(field, property))")
                code.line("c.pointee.n_\(field.cName) = \(property).count")
            }
        case .map(let key, let value, _):
            writePackMap(field, key, value, member, property, to: &code)
        case .member:
            break
        }
    }

    private func writePackStored(
        _ field: FieldModel, _ member: String, to code: inout CodeWriter
    ) {
        let storage = FieldNames(field).storage
        let value = field.isBoxed ? "value.value" : "value"
        let write = { (code: inout CodeWriter) in
            if field.kind.isGroup {
                code.line("try writer.appendGroup(\(value), \(field.number), to: &records)")
                return
            }
            code.line(field.kind.write(value, to: member))
            if field.kind.message == nil { code.line("c.pointee.has_\(field.cName) = 1") }
        }
        if field.kind.isPackable, case .explicit = field.shape {
            let has = "c.pointee.has_\(field.cName)"
            let pair = "(\(member), \(has)) = (\(field.kind.number("value")), 1)"
            code.line("if let value = \(storage) { \(pair) }")
            return
        }
        code.block("if let value = \(storage)", write)
        guard case .required = field.shape else { return }
        code.replaceLast("}\n", with: "} else {\n")
        code.indented { code in
            code.line("throw ChaskiProtobuf.EncodingError(")
            code.line("    .missingRequired, field: \"\(model.fullName).\(field.name)\")")
        }
        code.line("}")
    }

    private func writeRepeated(_ field: FieldModel, _ property: String) -> String {
        switch field.kind {
        case .bool: "writer.booleans(\(property))"
        case .string: "writer.strings(\(property))"
        case .bytes: "writer.byteStrings(\(property))"
        case .message, .group: "try writer.messages(\(property))"
        case .enumeration: "writer.enums(\(property))"
        default: "writer.numbers(\(property))"
        }
    }

    private func writePackMap(
        _ field: FieldModel, _ key: FieldModel, _ value: FieldModel, _ member: String,
        _ property: String, to code: inout CodeWriter
    ) {
        guard case .map(_, _, let entryModel) = field.shape else { return }
        code.block("if !\(property).isEmpty") { code in
            code.line(
                "let entries = writer.space("
                    + "\(property).count, UnsafeMutablePointer<\(entryModel.cStruct)>?.self)")
            code.line("var index = 0")
            code.block("for (key, value) in writer.ordered(\(property))") { code in
                code.line(
                    "let entry = writer.entry(Self.\(Self.entrySchema(field)), "
                        + "\(entryModel.cStruct).self)")
                for (part, name) in [(key, "key"), (value, "value")] {
                    code.line(part.kind.write(name, to: "entry.pointee.\(part.cName)"))
                    if part.kind.message == nil {
                        code.line("entry.pointee.has_\(part.cName) = 1")
                    }
                }
                code.line("(entries + index).initialize(to: entry)")
                code.line("index += 1")
            }
            code.line("\(member) = entries")
            code.line("c.pointee.n_\(field.cName) = index")
        }
    }

    private func writePack(_ oneof: OneofModel, _ index: Int, to code: inout CodeWriter) {
        code.line("switch self.\(oneof.swiftName) {")
        for position in oneof.members {
            let field = model.fields[position]
            code.line("case .\(field.swiftName)(let value)?:")
            code.indented { code in
                if field.kind.isGroup {
                    code.line("try writer.appendGroup(value, \(field.number), to: &records)")
                    return
                }
                code.line(field.kind.write("value", to: "c.pointee.\(field.cName)"))
                code.line("c.pointee.o\(index)_case = .init(rawValue: \(field.number))")
            }
        }
        code.line("case nil: break")
        code.line("}")
    }
}
