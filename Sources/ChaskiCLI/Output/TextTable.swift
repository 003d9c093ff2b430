/// A table for a terminal: upper-case headings, two spaces between columns, numbers to the right.
package struct TextTable {
    package enum Alignment: Sendable { case left, right }

    private let headings: [String]
    private let alignments: [Alignment]
    private var rows: [[String]] = []

    package init(_ columns: [(String, Alignment)]) {
        headings = columns.map { $0.0.uppercased() }
        alignments = columns.map { $0.1 }
    }

    package mutating func append(_ row: [String]) {
        precondition(row.count == headings.count, "a cell for each column")
        rows.append(row.map { Text.printable($0) })
    }

    package var isEmpty: Bool { rows.isEmpty }

    /// The lines, headings first.
    package var lines: [String] {
        var widths = headings.map(Self.width)
        for row in rows {
            for (column, cell) in row.enumerated() {
                widths[column] = max(widths[column], Self.width(cell))
            }
        }
        return ([headings] + rows).map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[column] - Self.width(cell))
                line += alignments[column] == .left ? cell + padding : padding + cell
                if column < row.count - 1 { line += "  " }
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    /// Lines without headings, tab between cells: for `cut` and `awk`.
    package var plainLines: [String] {
        rows.map { $0.joined(separator: "\t") }
    }

    private static func width(_ text: String) -> Int { Text.width(text) }
}

/// A record shown as one "name  value" line a field.
package struct FieldList {
    private var fields: [(String, String)] = []

    package init() {}

    package mutating func append(_ name: String, _ value: String) {
        fields.append((name, Text.printable(value)))
    }

    package var lines: [String] {
        // One field alone reads as a sentence.
        if fields.count == 1, let (name, value) = fields.first { return ["\(name) \(value)"] }
        let width = fields.map { $0.0.count }.max() ?? 0
        return fields.map { name, value in
            name + String(repeating: " ", count: width - name.count + 2) + value
        }
    }

    package var plainLines: [String] { fields.map { "\($0.0)\t\($0.1)" } }
}
