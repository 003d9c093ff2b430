/// Writes the Swift of one enum.
struct EnumGenerator {
    let model: EnumModel
    let visibility: String

    func write(to code: inout CodeWriter) {
        precondition(!model.values.isEmpty, "protoc lets no enum be empty")
        code.documentation(model.remarks.noted)
        let name = Naming.quoted(model.swiftName)
        code.block("\(visibility)enum \(name): ChaskiProtobuf.Enum") { code in
            for value in model.canonical {
                code.documentation(value.remarks.noted)
                code.line("case \(Naming.quoted(value.swiftName))")
            }
            if model.isOpen {
                code.line("/// A number that this version of the schema does not name.")
                code.line("case UNRECOGNIZED(Int32)")
            }
            code.line()
            writeAliases(to: &code)
            writeInitialisers(to: &code)
            code.line()
            code.block("\(visibility)var rawValue: Int32") { code in
                code.line("switch self {")
                for value in model.canonical {
                    code.line("case .\(value.swiftName): \(value.number)")
                }
                if model.isOpen { code.line("case .UNRECOGNIZED(let number): number") }
                code.line("}")
            }
            code.line()
            let cases = model.canonical.map { "." + $0.swiftName }
            let whole =
                "\(visibility)static let allCases: [Self] = [\(cases.joined(separator: ", "))]"
            if code.fits(whole) {
                code.line(whole)
                return
            }
            code.line("\(visibility)static let allCases: [Self] = [")
            code.indented { $0.list(cases, end: ",") }
            code.line("]")
        }
    }

    private func writeAliases(to code: inout CodeWriter) {
        let canonical = model.canonical
        for value in model.values where !canonical.contains(where: { $0.name == value.name }) {
            guard let original = canonical.first(where: { $0.number == value.number }) else {
                continue
            }
            code.documentation(value.remarks.noted)
            code.line(
                "\(visibility)static let \(Naming.quoted(value.swiftName)) = Self."
                    + original.swiftName)
            code.line()
        }
    }

    private func writeInitialisers(to code: inout CodeWriter) {
        let first = model.values.first?.swiftName ?? ""
        code.line("\(visibility)init() { self = .\(first) }")
        code.line()
        code.block("\(visibility)init\(model.isOpen ? "" : "?")(rawValue: Int32)") { code in
            code.line("switch rawValue {")
            for value in model.canonical {
                code.line("case \(value.number): self = .\(value.swiftName)")
            }
            code.line(
                model.isOpen ? "default: self = .UNRECOGNIZED(rawValue)" : "default: return nil")
            code.line("}")
        }
    }
}
