import Foundation
import Testing

/// The examples of a specification page: fenced blocks `hex NAME`, bytes in hexadecimal with
/// remarks after `#`.
struct PageExamples {
    private var examples: [String: [UInt8]] = [:]
    var names: [String] { examples.keys.sorted() }

    /// Reads the page at `path` below `Sources`.
    init(_ path: String) throws {
        let page = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Sources").appendingPathComponent(path)
        var name: String?
        for line in try String(contentsOf: page, encoding: .utf8).components(separatedBy: "\n") {
            if line.hasPrefix("```hex ") {
                let begun = String(line.dropFirst(7))
                name = begun
                examples[begun] = []
            } else if line.hasPrefix("```") {
                name = nil
            } else if let name {
                let bytes = line.prefix { $0 != "#" }.split(separator: " ")
                for byte in bytes {
                    examples[name]?.append(try #require(UInt8(byte, radix: 16)))
                }
            }
        }
    }

    subscript(_ name: String) -> [UInt8] {
        get throws {
            let bytes = try #require(examples[name], "the page has no example \(name)")
            try #require(!bytes.isEmpty)
            return bytes
        }
    }
}
