import ChaskiCodeGen

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Carries a `GenerateCommand` out: finds .proto files, runs protoc, compares and writes files.
struct GenerateShell {
    let command: GenerateCommand
    private let manager = FileManager.default

    init(_ command: GenerateCommand) {
        self.command = command
    }

    /// - Returns: the lines to print, and whether all is as it should be.
    func run() throws(GeneratorError) -> (lines: [String], isClean: Bool) {
        guard let found = paths(in: command.protos) else {
            throw GeneratorError(
                "there is no folder '\(command.protos)'; --protos says where the .proto files are")
        }
        for folder in command.imports where paths(in: folder) == nil {
            throw GeneratorError("there is no folder '\(folder)' to import from")
        }
        let names = try command.chosen(of: found)
        let descriptors = try ProcessRunner.run(
            "protoc", command.protocArguments(names), package: "protobuf-compiler")
        let plugin = Plugin(runC: ProcessRunner.runCGenerator)
        let files = try plugin.generate(
            descriptorSet: descriptors, names: names, options: command.options)
        let changes = try OutputChanges(generated: files, existing: try existing())
        if command.checks { return (changes.differences, changes.isEmpty) }
        // Files that have not changed keep their times, so that nothing is compiled again.
        for file in changes.written { try write(file) }
        for path in changes.removed { try remove(path) }
        let lines =
            changes.written.map { "wrote \($0.path)" }
            + changes.removed.map { "removed \($0)" }
        return (lines.isEmpty ? ["nothing changed"] : lines, true)
    }

    /// All paths below `folder`, without what is hidden; nil when there is no such folder.
    private func paths(in folder: String) -> [String]? {
        var isFolder = false
        guard manager.fileExists(atPath: folder, isDirectory: &isFolder), isFolder else {
            return nil
        }
        return try? manager.subpathsOfDirectory(atPath: folder)
            .filter { !$0.hasPrefix(".") && !$0.contains("/.") }
    }

    /// The texts of the files in the output folders, by path.
    private func existing() throws(GeneratorError) -> [String: String] {
        var texts: [String: String] = [:]
        for folder in command.outputFolders {
            for name in paths(in: folder) ?? [] {
                let path = "\(folder)/\(name)"
                let isSource = [".swift", ".h", ".c", ".modulemap"].contains { name.hasSuffix($0) }
                guard isSource, let bytes = manager.contents(atPath: path) else { continue }
                texts[path] = String(decoding: bytes, as: UTF8.self)
            }
        }
        return texts
    }

    private func write(_ file: GeneratedFile) throws(GeneratorError) {
        let folder = file.path.split(separator: "/", omittingEmptySubsequences: false)
            .dropLast().joined(separator: "/")
        do {
            if !folder.isEmpty {
                try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
            try Data(file.content.utf8).write(to: URL(filePath: file.path), options: .atomic)
        } catch {
            throw GeneratorError("cannot write '\(file.path)': \(Self.reason(error))")
        }
    }

    private func remove(_ path: String) throws(GeneratorError) {
        do {
            try manager.removeItem(atPath: path)
        } catch {
            throw GeneratorError("cannot remove '\(path)': \(Self.reason(error))")
        }
    }

    /// What the operating system says, where it is behind `error`.
    private static func reason(_ error: any Error) -> String {
        let cause = (error as? CocoaError)?.userInfo["NSUnderlyingError"] ?? error
        guard let cause = cause as? POSIXError else { return "\(error)" }
        return String(cString: strerror(cause.code.rawValue))
    }
}
