import Testing

/// Ratchets: the figures may only go down.
@Suite struct SizeTests {
    static let longestFile = 600
    static let filesOver450Lines = 12
    static let longestFunction = 90
    static let functionsOver70Lines = 6
    /// `@unchecked Sendable` and `nonisolated(unsafe)` in Sources.
    static let uncheckedSendables = 16

    @Test func filesStaySmall() throws {
        var over = 0
        for folder in ["Sources", "Tests"] {
            for file in try SourceTree.swiftFiles(under: folder) {
                if file.lines.count > Self.longestFile {
                    Issue.record("\(file.path) has \(file.lines.count) lines: it wants to be two")
                }
                if file.lines.count > 450 { over += 1 }
            }
        }
        #expect(over <= Self.filesOver450Lines, "\(over) files of over 450 lines")
    }

    @Test func functionsStaySmall() throws {
        var over: [String] = []
        for file in try SourceTree.swiftFiles(under: "Sources") {
            for function in functions(of: file) where function.length > 70 {
                over.append("\(file.path):\(function.line) \(function.length) lines")
                #expect(function.length <= Self.longestFunction, "\(over.last ?? "")")
            }
        }
        #expect(over.count <= Self.functionsOver70Lines, "\(over)")
    }

    @Test func uncheckedSendableIsRare() throws {
        var places: [String] = []
        for file in try SourceTree.swiftFiles(under: "Sources") {
            for (number, line) in file.lines.enumerated()
            where line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)") {
                places.append("\(file.path):\(number + 1)")
            }
        }
        #expect(places.count <= Self.uncheckedSendables, "\(places)")
    }

    @Test func pureCoresStateTheirAssumptions() throws {
        let files = try SourceTree.swiftFiles(under: "Sources")
        for target in ["ChaskiBroker", "ChaskiStorage", "ChaskiWire"] {
            let lines = files.filter { $0.target == target }.flatMap(\.lines)
            let assertions = lines.filter {
                $0.contains("precondition(") || $0.contains("assert(")
                    || $0.contains("preconditionFailure(")
            }
            let per1000 = Double(assertions.count) / Double(max(lines.count, 1)) * 1000
            #expect(per1000 >= 5, "\(target): \(per1000) assertions per 1,000 lines")
        }
    }

    @Test func nothingIsLeftForLater() throws {
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]
        for folder in ["Sources", "Tests"] {
            for file in try SourceTree.swiftFiles(under: folder) {
                for (number, line) in file.lines.enumerated() {
                    for mark in marks where words(of: line).contains(mark) {
                        Issue.record("\(file.path):\(number + 1) leaves a \(mark)")
                    }
                }
            }
        }
    }

    private func words(of line: String) -> Set<String> {
        Set(line.split { !($0.isLetter || $0.isNumber) }.map(String.init))
    }

    /// Functions and initialisers by counting braces; good enough for formatted source.
    private func functions(of file: SourceFile) -> [(line: Int, length: Int)] {
        var result: [(line: Int, length: Int)] = []
        for (index, line) in file.lines.enumerated() {
            let trimmed = line.drop { $0 == " " }
            guard
                trimmed.contains("func ") || trimmed.hasPrefix("init(")
                    || trimmed.contains(" init("),
                !trimmed.hasPrefix("//"), !trimmed.hasPrefix("case")
            else { continue }
            let indent = line.count - trimmed.count
            let closing = String(repeating: " ", count: indent) + "}"
            if trimmed.hasSuffix("}") { continue }
            for end in (index + 1)..<max(index + 1, file.lines.count) {
                let candidate = file.lines[end]
                if candidate == closing {
                    result.append((index + 1, end - index + 1))
                    break
                }
                // Left the enclosing scope: a requirement without a body.
                let depth = candidate.prefix { $0 == " " }.count
                if !candidate.isEmpty && depth < indent { break }
                if end > index + 1, depth == indent, !candidate.isEmpty,
                    !")]{".contains(candidate.dropFirst(depth).first ?? " ")
                {
                    break
                }
            }
        }
        return result
    }
}
