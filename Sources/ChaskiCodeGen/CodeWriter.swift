/// Collects lines of code, indented by blocks.
struct CodeWriter {
    private(set) var text = ""
    private var depth = 0

    /// One line; an empty one for none.
    mutating func line(_ line: String = "") {
        if !line.isEmpty { text += String(repeating: "    ", count: depth) + line }
        text += "\n"
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
        body(&self)
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
