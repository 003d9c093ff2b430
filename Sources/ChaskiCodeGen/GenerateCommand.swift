/// The command line that makes a C target and a Swift target of a folder of .proto files. `help`
/// describes it. `tools/generate` and the package plugin `chaski-generate` are this command.
package struct GenerateCommand: Sendable {
    /// Folder that holds the .proto files, and in which imports are looked up first.
    package private(set) var protos = "Protos"
    /// More folders to look imports up in.
    package private(set) var imports: [String] = []
    /// The files to generate, below `protos`; all where it is empty.
    package private(set) var files: [String] = []
    /// Compares instead of writing.
    package private(set) var checks = false
    /// Prints `help` and does nothing.
    package private(set) var wantsHelp = false
    /// Settings of the generator, with the output folders below the current one.
    package private(set) var options = GeneratorOptions()

    /// The options of the command.
    package static let help = """
        Makes a C target and a Swift target of .proto files, for SwiftPM.

          --module NAME          writes Sources/CNAME (C) and Sources/NAME (Swift)
          --c-folder FOLDER      the C target's folder, instead of Sources/CNAME
          --swift-folder FOLDER  the folder of the Swift files, instead of Sources/NAME
          --protos FOLDER        the folder with the .proto files (Protos)
          --import FOLDER        another folder to look imports up in; may be given several times
          --set NAME=VALUE       a setting of the generator; may be given several times
          --check                writes nothing; exit status 1 when the files are not as they would be
          --help                 prints this
          FILE...                these files only, named from the --protos folder on (all in it);
                                 the folders hold what they give and nothing else generated

        Folders are relative to the package's. Files of earlier runs whose .proto file is gone are
        removed; files that were not generated are left alone.

        Settings:
        \(GeneratorOptions.help)
        Visibility=Public and FileNaming=PathToUnderscores are preset here; the folders give CModule,
        CDir and SwiftDir.

        """

    /// Reads the arguments behind the program's name.
    package init(parsing arguments: [String]) throws(GeneratorError) {
        var module: String?
        var cFolder: String?
        var swiftFolder: String?
        var settings: [String] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("-") else {
                files.append(Self.trimmed(argument))
                continue
            }
            // `--name=value` is `--name value`.
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { rest.insert(parts[1], at: rest.startIndex) }
            let name = parts.first ?? argument
            switch name {
            case "--check" where parts.count == 1: checks = true
            case "--help" where parts.count == 1, "-h": wantsHelp = true
            case "--module": module = try Self.value(name, &rest)
            case "--c-folder": cFolder = Self.trimmed(try Self.value(name, &rest))
            case "--swift-folder": swiftFolder = Self.trimmed(try Self.value(name, &rest))
            case "--protos": protos = Self.trimmed(try Self.value(name, &rest))
            case "--import": imports.append(Self.trimmed(try Self.value(name, &rest)))
            case "--set": settings.append(try Self.value(name, &rest))
            default: throw GeneratorError("there is no option '\(argument)'; --help lists them")
            }
        }
        if wantsHelp { return }
        options = try GeneratorOptions(
            parsing: (["Visibility=Public", "FileNaming=PathToUnderscores"] + settings)
                .joined(separator: ","))
        for setting in settings where setting.hasPrefix("CDir=") || setting.hasPrefix("SwiftDir=") {
            throw GeneratorError("'\(setting)' is said by --c-folder and --swift-folder here")
        }
        try setFolders(module, cFolder, swiftFolder)
        if !settings.contains(where: { $0.hasPrefix("CModule=") }) {
            try setCModule()
        }
    }

    private mutating func setFolders(
        _ module: String?, _ cFolder: String?, _ swiftFolder: String?
    ) throws(GeneratorError) {
        if let module, !Naming.isIdentifier(module) {
            throw GeneratorError("--module '\(module)' is no identifier")
        }
        guard
            let c = cFolder ?? module.map({ "Sources/C" + $0 })
                ?? (options.output == .swift ? "" : nil),
            let swift = swiftFolder ?? module.map({ "Sources/" + $0 })
                ?? (options.output == .c ? "" : nil)
        else {
            throw GeneratorError(
                "say where to write: --module NAME, or --c-folder FOLDER and --swift-folder FOLDER")
        }
        if options.output == .all,
            (c + "/").hasPrefix(swift + "/") || (swift + "/").hasPrefix(c + "/")
        {
            throw GeneratorError(
                "'\(c)' and '\(swift)' lie within each other; a target holds C or Swift, not both")
        }
        options.cDirectory = c
        options.swiftDirectory = swift
    }

    private mutating func setCModule() throws(GeneratorError) {
        guard options.output != .swift || !options.cDirectory.isEmpty else { return }
        let name = options.cDirectory.split(separator: "/").last.map(String.init) ?? ""
        guard Naming.isIdentifier(name) else {
            throw GeneratorError(
                "the folder '\(options.cDirectory)' is not called like a module; name the module "
                    + "with --set CModule=NAME")
        }
        options.cModule = name
    }

    private static func value(
        _ name: String, _ rest: inout ArraySlice<String>
    ) throws(GeneratorError) -> String {
        guard let value = rest.popFirst(), !value.isEmpty, !value.hasPrefix("--") else {
            throw GeneratorError("\(name) needs a value behind it; --help describes it")
        }
        return value
    }

    /// A folder without `./` before and `/` behind it.
    private static func trimmed(_ folder: String) -> String {
        var rest = folder[...]
        while rest.hasPrefix("./"), rest.count > 2 { rest = rest.dropFirst(2) }
        while rest.hasSuffix("/"), rest.count > 1 { rest = rest.dropLast() }
        return String(rest)
    }

    // MARK: What the shell does

    /// The arguments of protoc that write a descriptor set of `names`, with all that they import, to
    /// standard output.
    package func protocArguments(_ names: [String]) -> [String] {
        precondition(!names.isEmpty, "protoc without files")
        return ([protos] + imports).map { "-I" + $0 }
            + ["--include_imports", "--include_source_info", "--descriptor_set_out=/dev/stdout"]
            + names.map { FileGenerator.join(protos, $0) }
    }

    /// The files to generate of those that `protos` holds.
    /// - Parameter found: paths below `protos`, in any order.
    package func chosen(of found: [String]) throws(GeneratorError) -> [String] {
        let all = found.filter { $0.hasSuffix(".proto") }
        for file in files where !all.contains(file) {
            throw GeneratorError("there is no '\(file)' in '\(protos)'")
        }
        guard !all.isEmpty else { throw GeneratorError("there is no .proto file in '\(protos)'") }
        return files.isEmpty ? all.sorted() : files
    }

    /// The folders that belong to the output: what they hold is compared and tidied.
    package var outputFolders: [String] {
        switch options.output {
        case .all: [options.cDirectory, options.swiftDirectory]
        case .c: [options.cDirectory]
        case .swift: [options.swiftDirectory]
        }
    }
}
