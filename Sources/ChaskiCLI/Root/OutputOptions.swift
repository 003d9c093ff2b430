package import ArgumentParser
package import ChaskiModel

/// How results are printed.
package enum OutputKind: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// Aligned columns, for people.
    case table
    /// One JSON value, with names that stay.
    case json
    /// Tab between fields, no headings.
    case plain
}

/// `--output`, of every command.
package struct OutputOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("How to print results: table, json or plain (CHASKI_OUTPUT; table)."))
    package var output: OutputKind?

    package init() {}

    package func kind(_ environment: Environment = .process) throws(Failure) -> OutputKind {
        try environment.resolve(output, "OUTPUT", parse: OutputKind.init(rawValue:)) ?? .table
    }
}

extension OutputKind {
    /// A number: with separators for people, bare for programs.
    package func count(_ value: UInt64) -> String {
        self == .table ? Units.grouped(value) : String(value)
    }

    /// Bytes: in a fitting unit for people, a bare number for programs.
    package func bytes(_ value: UInt64) -> String {
        self == .table ? Units.bytes(value) : String(value)
    }

    /// Prints one record.
    package func print(_ fields: FieldList, json: JSONValue) {
        switch self {
        case .table, .plain: Terminal.lines(lines(fields))
        case .json: print(json)
        }
    }

    /// The lines of a record.
    package func lines(_ fields: FieldList) -> [String] {
        self == .plain ? fields.plainLines : fields.lines
    }

    /// Prints a list; an empty one says so to people.
    package func print(_ table: TextTable, empty: String, json: JSONValue) {
        switch self {
        case .table:
            if table.isEmpty { Terminal.note(empty) } else { Terminal.lines(table.lines) }
        case .plain: Terminal.lines(table.plainLines)
        case .json: print(json)
        }
    }

    /// Prints a JSON value: indented on a terminal, one line elsewhere.
    package func print(_ json: JSONValue) {
        Terminal.line(Terminal.outputIsTerminal ? json.prettyText : json.text)
    }
}
