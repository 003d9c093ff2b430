/// What `--chaski-swift_opt` says: settings as `Name=value`, separated by commas.
package struct GeneratorOptions: Sendable {
    /// Where output file names come from.
    package enum FileNaming: String, Sendable {
        /// Folders as in the .proto file's path.
        case fullPath = "FullPath"
        /// The path with `_` for `/`.
        case pathToUnderscores = "PathToUnderscores"
        /// The file's own name.
        case dropPath = "DropPath"
    }

    /// Which files go to the output.
    package enum Output: String, Sendable {
        case all = "All"
        case swift = "Swift"
        case c = "C"
    }

    /// Access level of what is generated: public, package or internal.
    package var visibility = "internal"
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
    package var cPrefix = "ck"
    /// Swift module of imported .proto files or folders that are generated elsewhere.
    package var modules: [(path: String, module: String)] = []

    /// The settings when none is given.
    package init() {}

    /// Reads the parameter of a request; throws what is not understood.
    package init(parsing parameter: String) throws(GeneratorError) {
        for setting in parameter.split(separator: ",") {
            let parts = setting.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else {
                throw GeneratorError("setting '\(setting)' is not of the form Name=value")
            }
            try set(parts[0], parts[1])
        }
    }

    private mutating func set(_ name: String, _ value: String) throws(GeneratorError) {
        switch name {
        case "Visibility":
            let known = ["public", "package", "internal"]
            guard known.contains(value.lowercased()) else {
                throw GeneratorError("Visibility is one of Public, Package, Internal")
            }
            visibility = value.lowercased()
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
        case "CDir": cDirectory = try Self.directory(value)
        case "SwiftDir": swiftDirectory = try Self.directory(value)
        case "FileNaming":
            guard let naming = FileNaming(rawValue: value) else {
                throw GeneratorError(
                    "FileNaming is one of FullPath, PathToUnderscores, DropPath")
            }
            fileNaming = naming
        case "Output":
            guard let choice = Output(rawValue: value) else {
                throw GeneratorError("Output is one of All, Swift, C")
            }
            output = choice
        case "Module":
            let parts = value.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, Naming.isIdentifier(parts[1]) else {
                throw GeneratorError("Module is of the form path.proto:SwiftModule")
            }
            modules.append((parts[0], parts[1]))
        default:
            throw GeneratorError("there is no setting '\(name)'")
        }
    }

    private static func directory(_ value: String) throws(GeneratorError) -> String {
        let parts = value.split(separator: "/", omittingEmptySubsequences: true)
        guard !value.hasPrefix("/"), !parts.contains("..") else {
            throw GeneratorError("'\(value)' is not a folder below the output folder")
        }
        return parts.joined(separator: "/")
    }

    /// The Swift module that holds the types of `file`, if it was mapped to one.
    func module(ofFile file: String) -> String? {
        modules.last { entry in
            entry.path == file || file.hasPrefix(entry.path + "/")
        }?.module
    }

}

/// Why nothing was generated; the text goes to protoc's user.
package struct GeneratorError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, naming file and element.
    package let description: String

    /// Says what is wrong.
    package init(_ description: String) {
        self.description = description
    }
}
