/// Collects lines of code, indented by blocks.
struct CodeWriter {
    private(set) var text = ""
    private var depth = 0

    /// The longest line, where one can be broken.
    private static let columns = 100

    /// One line; an empty one for none. A long one is broken behind an opening parenthesis.
    mutating func line(_ line: String = "") {
        guard !line.isEmpty else {
            text += "\n"
            return
        }
        let indent = String(repeating: "    ", count: depth)
        guard indent.utf8.count + line.utf8.count > Self.columns, let broken = Self.broken(line)
        else {
            text += indent + line + "\n"
            return
        }
        text += indent + broken.head + "\n"
        indented { $0.line(broken.tail) }
    }

    /// `line` broken behind the first parenthesis that holds something, outside of text and of the
    /// condition words that want their operand on the same line.
    private static func broken(_ line: String) -> (head: String, tail: String)? {
        guard !line.hasPrefix("//"), !line.hasPrefix("fields:") else { return nil }
        let bytes = Array(line.utf8)
        var isText = false
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\"") { isText.toggle() }
            guard !isText, byte == UInt8(ascii: "("), index > 0, index + 1 < bytes.count,
                bytes[index + 1] != UInt8(ascii: ")"), bytes[index - 1] != UInt8(ascii: " ")
            else { continue }
            let head = String(decoding: bytes[...index], as: UTF8.self)
            let tail = String(decoding: bytes[(index + 1)...], as: UTF8.self)
            // The call of a case pattern or an optional test is no place to break.
            if head.hasSuffix("(let value)") || head.hasPrefix("case .") { continue }
            return (head, tail)
        }
        return nil
    }

    /// `head {`, the lines of `body`, `}`.
    mutating func block(_ head: String, _ body: (inout CodeWriter) -> Void) {
        line(head + " {")
        indented(body)
        line("}")
    }

    /// The lines of `body`, one step further in.
    mutating func indented(_ body: (inout CodeWriter) -> Void) {
        depth += 1
        let before = depth
        body(&self)
        precondition(depth == before, "a block was left open")
        depth -= 1
    }

    fileprivate mutating func replaceEnd(_ bytes: Int, _ replacement: String) {
        text = String(text.utf8.dropLast(bytes)) ?? text
        text += replacement
    }

    /// A comment of a .proto file as documentation.
    mutating func documentation(_ comment: String) {
        guard !comment.isEmpty else { return }
        var lines = comment.split(separator: "\n", omittingEmptySubsequences: false)
        while lines.last?.allSatisfy(\.isWhitespace) == true { lines.removeLast() }
        for line in lines {
            let trailing = line.reversed().drop(while: \.isWhitespace).reversed()
            let text = String(trailing)
            let separator = text.isEmpty || text.hasPrefix(" ") ? "" : " "
            self.line("///" + separator + text)
        }
    }
}

extension CodeWriter {
    /// Replaces the end of what was written last.
    mutating func replaceLast(_ end: String, with replacement: String) {
        precondition(text.hasSuffix(end), "the text does not end so")
        replaceEnd(end.utf8.count, replacement)
    }
}
