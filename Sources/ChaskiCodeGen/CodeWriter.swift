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
        guard !fits(line), let broken = Self.broken(line)
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

    /// True when `line` is not too long for one line.
    func fits(_ line: String) -> Bool { 4 * depth + line.utf8.count <= Self.columns }

    /// Items separated by commas: on one line where they fit, else each on its own; `end` behind the
    /// last.
    mutating func list(_ items: [String], end: String = "") {
        let joined = items.joined(separator: ", ") + end
        if fits(joined) {
            line(joined)
            return
        }
        for (index, item) in items.enumerated() {
            text += String(repeating: "    ", count: depth) + item
            text += (index + 1 < items.count ? "," : end) + "\n"
        }
    }

    /// `head(items)tail`: on one line where it fits, else broken around the items.
    mutating func call(_ head: String, _ items: [String], _ tail: String) {
        let whole = "\(head)(\(items.joined(separator: ", ")))\(tail)"
        if fits(whole) {
            line(whole)
            return
        }
        line(head + "(")
        indented { $0.list(items) }
        line(")" + tail)
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

    /// A comment of a .proto file as documentation, or as a plain comment behind other `slashes`.
    mutating func documentation(_ comment: String, slashes: String = "///") {
        guard !comment.isEmpty else { return }
        // Files come with all kinds of line ends; none may end the comment's line early.
        var lines = comment.unicodeScalars
            .split(omittingEmptySubsequences: false) { $0 == "\n" }
            .map { line in String(String.UnicodeScalarView(line.filter { !Self.isControl($0) })) }
        while lines.last?.allSatisfy(\.isWhitespace) == true { lines.removeLast() }
        for line in lines {
            let end = line.lastIndex { !$0.isWhitespace }
            let text = end.map { line[...$0] } ?? ""
            let separator = text.isEmpty || text.hasPrefix(" ") ? "" : " "
            self.line(slashes + separator + text)
        }
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        (scalar.value < 0x20 && scalar != "\t") || scalar.value == 0x7F
    }
}

extension CodeWriter {
    /// Replaces the end of what was written last.
    mutating func replaceLast(_ end: String, with replacement: String) {
        precondition(text.hasSuffix(end), "the text does not end so")
        replaceEnd(end.utf8.count, replacement)
    }
}
