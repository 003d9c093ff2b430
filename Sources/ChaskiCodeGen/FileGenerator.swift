/// Writes the Swift file of one .proto file.
struct FileGenerator {
    let file: FileModel
    let options: GeneratorOptions
    /// The files that this run generates.
    let generated: Set<String>

    /// The file's path in the output.
    var path: String {
        let stem = file.name.hasSuffix(".proto") ? String(file.name.dropLast(6)) : file.name
        let name =
            switch options.fileNaming {
            case .fullPath: stem
            case .pathToUnderscores: stem.replacing("/", with: "_")
            case .dropPath: stem.split(separator: "/").last.map(String.init) ?? stem
            }
        return Self.join(options.swiftDirectory, name + ".pb.swift")
    }

    static func join(_ directory: String, _ name: String) -> String {
        directory.isEmpty ? name : directory + "/" + name
    }

    func content() -> String {
        precondition(generated.contains(file.name), "a file that nobody asked for")
        var code = CodeWriter()
        code.documentation(file.comment, slashes: "//")
        if !file.comment.isEmpty { code.line() }
        code.line("// \(GeneratedFile.mark) from \(file.name). Do not edit.")
        code.line("// swift-format-ignore-file")
        writeImports(to: &code)
        let visibility = options.visibility.prefix
        for model in file.enums {
            code.line()
            EnumGenerator(model: model, visibility: visibility).write(to: &code)
        }
        for model in file.messages {
            code.line()
            MessageGenerator(model: model, visibility: visibility).write(to: &code)
        }
        for model in services {
            code.line()
            ServiceGenerator(
                model: model, services: options.services(of: model.fullName),
                visibility: visibility
            ).write(to: &code)
        }
        for model in file.messages {
            code.line()
            CodecGenerator(model: model, visibility: visibility).write(to: &code)
        }
        return code.text
    }

    private var services: [ServiceModel] {
        file.services.filter { options.services(of: $0.fullName) != .none }
    }

    // MARK: Imports

    private func writeImports(to code: inout CodeWriter) {
        // A bare import goes with any setting of the user's module.
        let access = options.visibility.prefix
        let isEmpty = file.messages.isEmpty && file.enums.isEmpty && services.isEmpty
        var lines: [String] = []
        if !isEmpty { lines.append("\(access)import ChaskiProtobuf") }
        if !file.messages.isEmpty { lines.append("internal import \(options.cModule)") }
        let exported = modules(ofFiles: file.publicDependencies)
        for module in exported { lines.append("@_exported \(access)import \(module)") }
        for module in modules(ofFiles: usedFiles) where !exported.contains(module) {
            lines.append("\(access)import \(module)")
        }
        if !lines.isEmpty { code.line() }
        for line in lines { code.line(line) }
    }

    /// The files whose types this one's declarations name.
    private var usedFiles: [String] {
        let fields = file.allMessages.flatMap(\.fields).flatMap(\.types).map(\.file.name)
        let methods = services.flatMap(\.methods).flatMap { [$0.input.file, $0.output.file] }
        return fields + methods.map(\.name)
    }

    /// Throws where a type comes from a file that is neither generated in this run nor mapped to a
    /// module.
    func checkModules() throws(GeneratorError) {
        for used in usedFiles where !generated.contains(used) {
            guard options.module(ofFile: used) == nil else { continue }
            throw GeneratorError(
                "\(file.name) uses types of \(used), which is not generated with it: say where "
                    + "they are with --set Module=\(used):NAME")
        }
    }

    /// The modules of other files, in order.
    private func modules(ofFiles names: [String]) -> [String] {
        let modules = names.filter { !generated.contains($0) }.compactMap(options.module(ofFile:))
        return Set(modules).sorted()
    }
}
