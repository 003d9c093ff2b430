/// What `--chaski-swift_opt` says: settings as `Name=value`, separated by commas. `help` lists them.
package struct GeneratorOptions: Sendable {
    /// Where output file names come from.
    package enum FileNaming: String, Sendable, CaseIterable {
        /// Folders as in the .proto file's path.
        case fullPath = "FullPath"
        /// The path with `_` for `/`.
        case pathToUnderscores = "PathToUnderscores"
        /// The file's own name.
        case dropPath = "DropPath"
    }

    /// Which files go to the output.
    package enum Output: String, Sendable, CaseIterable {
        case all = "All"
        case swift = "Swift"
        case c = "C"
    }

    /// Who may use what is generated.
    package enum Visibility: String, Sendable, CaseIterable {
        case `public` = "Public"
        case package = "Package"
        case `internal` = "Internal"

        /// The word before a declaration and a space; nothing where Swift needs no word.
        var prefix: String { self == .internal ? "" : rawValue.lowercased() + " " }
    }

    /// What is written for a service.
    package enum Services: String, Sendable, CaseIterable {
        case all = "All"
        case client = "Client"
        case server = "Server"
        /// The methods' names and types only.
        case methods = "Methods"
        case none = "None"

        var hasClient: Bool { self == .all || self == .client }
        var hasServer: Bool { self == .all || self == .server }
    }

    /// Access level of what is generated.
    package var visibility = Visibility.internal
    /// The module of the C codecs, which the Swift files import.
    package var cModule = "CProtos"
    /// Folder of the C files in the output; empty for its root.
    package var cDirectory = ""
    /// Folder of the Swift files in the output; empty for its root.
    package var swiftDirectory = ""
    /// How Swift files are named.
    package var fileNaming = FileNaming.fullPath
    /// Which files are written.
    package var output = Output.all
    /// First word of all C names, against clashes with other users of protobuf-c.
    package var cPrefix = Self.defaultCPrefix
    /// Swift module of imported .proto files or folders that are generated elsewhere.
    package var modules: [(path: String, module: String)] = []
    /// What is written for services.
    package var services = Services.all
    /// Full names of the services that something is written for; empty for all.
    package var serviceNames: [String] = []

    static let defaultCPrefix = "ck"
    /// Where the well-known types come from, unless they are mapped or generated.
    static let wellKnownModule = "ChaskiWellKnownTypes"
    private static let wellKnownFiles: Set<String> = Set(
        ["any", "timestamp", "duration", "struct", "field_mask", "wrappers", "empty"]
            .map { "google/protobuf/\($0).proto" })

    /// All settings with their values and meanings.
    package static let help = """
          Visibility=Public|Package|Internal   access level of what is generated (Internal)
          CModule=NAME       module of the C codecs (CProtos)
          CDir=FOLDER        folder of the C files below the output folder
          SwiftDir=FOLDER    folder of the Swift files below the output folder
          FileNaming=FullPath|PathToUnderscores|DropPath   names of the Swift files (FullPath)
          Output=All|Swift|C                   which files are written (All)
          CPrefix=WORD       first word of all C names (ck)
          Module=PATH:NAME   the Swift module of an imported .proto file, or of all in a folder;
                             may be given several times. The well-known types of google/protobuf
                             are in ChaskiWellKnownTypes unless mapped or generated
          Services=All|Client|Server|Methods|None   what is written for services (All)
          Service=NAME       only for this service, by full name; may be given several times
        """

    /// The settings when none is given.
    package init() {}

    /// Reads the parameter of a request; throws what is not understood.
    package init(parsing parameter: String) throws(GeneratorError) {
        for setting in parameter.split(separator: ",") {
            let parts = setting.split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false
            ).map(String.init)
            guard parts.count == 2 else {
                throw GeneratorError("setting '\(setting)' is not of the form Name=value")
            }
            try set(parts[0], parts[1])
        }
    }

    private mutating func set(_ name: String, _ value: String) throws(GeneratorError) {
        switch name {
        case "Visibility": visibility = try Self.choice(name, value)
        case "FileNaming": fileNaming = try Self.choice(name, value)
        case "Output": output = try Self.choice(name, value)
        case "Services": services = try Self.choice(name, value)
        case "Service":
            serviceNames.append(value)
        case "CModule":
            guard Naming.isIdentifier(value) else {
                throw GeneratorError("CModule '\(value)' is no identifier")
            }
            cModule = value
        case "CPrefix":
            guard Naming.isPlainWord(value) else {
                throw GeneratorError("CPrefix '\(value)' is not a lower-case word")
            }
            cPrefix = value
        case "CDir": cDirectory = try Self.directory(name, value)
        case "SwiftDir": swiftDirectory = try Self.directory(name, value)
        case "Module":
            let parts = value.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, Naming.isIdentifier(parts[1]) else {
                throw GeneratorError("Module '\(value)' is not of the form PATH:NAME")
            }
            modules.append((parts[0], parts[1]))
        default:
            throw GeneratorError("there is no setting '\(name)'; the settings are\n\(Self.help)")
        }
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ value: String
    ) throws(GeneratorError) -> Choice where Choice.RawValue == String {
        let match = Choice.allCases.first { $0.rawValue.lowercased() == value.lowercased() }
        guard let match else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw GeneratorError("\(name) is one of \(known), not '\(value)'")
        }
        return match
    }

    private static func directory(
        _ name: String, _ value: String
    ) throws(GeneratorError) -> String {
        let parts = value.split(separator: "/", omittingEmptySubsequences: true)
        guard !value.hasPrefix("/"), !parts.contains("..") else {
            throw GeneratorError("\(name) '\(value)' is not a folder below the output folder")
        }
        return parts.joined(separator: "/")
    }

    /// The Swift module that holds the types of `file`; nil when it is this one.
    func module(ofFile file: String) -> String? {
        let mapped = modules.last { $0.path == file || file.hasPrefix($0.path + "/") }
        if let mapped { return mapped.module }
        return Self.wellKnownFiles.contains(file) ? Self.wellKnownModule : nil
    }

    /// First word of the C names of `file`'s messages. What comes with Chaski has Chaski's.
    func cPrefix(ofFile file: String) -> String {
        module(ofFile: file) == Self.wellKnownModule ? Self.defaultCPrefix : cPrefix
    }

    /// What is written for the service called `fullName`.
    func services(of fullName: String) -> Services {
        serviceNames.isEmpty || serviceNames.contains(fullName) ? services : .none
    }
}
