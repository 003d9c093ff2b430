import Foundation

/// A source file of the package, read once.
struct SourceFile: Sendable {
    /// Path from the package's root, as `Sources/ChaskiWire/Frame.swift`.
    var path: String
    var lines: [String]

    /// The target folder: the second component of the path.
    var target: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }

    /// Modules that the file imports, whatever the access level or attribute.
    var imports: [String] {
        lines.compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard let at = words.firstIndex(of: "import"), at + 1 < words.count,
                words[..<at].allSatisfy(Self.mayPrecedeImport)
            else { return nil }
            // `import struct Module.Type` names the module in its second word.
            let kinds: Set = ["struct", "class", "enum", "protocol", "func", "let", "var"]
            let name =
                kinds.contains(words[at + 1]) ? words[min(at + 2, words.count - 1)] : words[at + 1]
            return name.split(separator: ".").first.map(String.init)
        }
    }

    private static func mayPrecedeImport(_ word: String) -> Bool {
        word.hasPrefix("@")
            || ["public", "package", "internal", "fileprivate", "private"].contains(word)
    }
}

/// The package as the rules see it.
enum SourceTree {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Hand-written Swift files under `Sources` or `Tests`, in order of path.
    static func swiftFiles(under folder: String) throws -> [SourceFile] {
        let base = root.appendingPathComponent(folder)
        guard let walker = FileManager.default.enumerator(atPath: base.path) else { return [] }
        var files: [SourceFile] = []
        for case let path as String in walker
        where path.hasSuffix(".swift") && !path.contains("Generated/") && !path.contains("/Golden")
        {
            let text = try String(contentsOf: base.appendingPathComponent(path), encoding: .utf8)
            files.append(
                SourceFile(path: "\(folder)/\(path)", lines: text.components(separatedBy: "\n")))
        }
        return files.sorted { $0.path < $1.path }
    }

    static func text(of path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// Names of the folders in `folder`, in order.
    static func folders(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(
            at: root.appendingPathComponent(folder), includingPropertiesForKeys: [.isDirectoryKey]
        )
        .filter { (try? $0.resourceValues(forKeys: [.isDirectoryKey]).isDirectory) == true }
        .map(\.lastPathComponent).sorted()
    }
}
