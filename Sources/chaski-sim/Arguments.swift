import ChaskiSimulation

/// The words of the command line: a command, plain words, and `--name value` or `--name`.
struct Arguments {
    private static let scenarios = SweepScenario.allCases.map(\.rawValue).joined(separator: "|")
    static let usage = """
        chaski-sim run [--seeds N] [--first S] [--minutes M] [--jobs J] [--once] [--mutation NAME]
                       [--stop] [--quiet]
            runs seeds, each twice unless --once, and prints violations and a table (not with
            --quiet); --stop ends at the first violation
        chaski-sim replay SEED [--mutation NAME] [--quiet]
            runs one seed again and prints its history
        chaski-sim sweep \(scenarios)|all
                       [--first SEED] [--jobs J]
            fails, and apart crashes, every file operation of a short scenario; J scenarios at a time
        chaski-sim sweep SCENARIO --replay KIND --at N [--again M]
            runs one case of the sweep again and prints its history
        chaski-sim mutations
            lists the mutations that --mutation takes
        chaski-sim mutate
            tells how to break the broker on purpose and see who notices: tools/mutate all
        """

    let command: String
    private(set) var words: [String] = []
    private var values: [String: String] = [:]

    /// The options, and whether each takes a number, a word, or nothing.
    private enum Kind { case flag, number, word }
    private static let options: [String: Kind] = [
        "--seeds": .number, "--first": .number, "--minutes": .number, "--jobs": .number,
        "--at": .number, "--again": .number, "--mutation": .word, "--replay": .word,
        "--once": .flag, "--stop": .flag, "--quiet": .flag,
    ]

    /// What is wrong with the command line.
    struct Problem: Error {
        let sentence: String
    }

    /// - Throws: `Problem` for an option that is none, or whose value is missing or no number.
    init(_ arguments: [String]) throws(Problem) {
        let asksForHelp = arguments.contains { $0 == "--help" || $0 == "-h" }
        command = asksForHelp ? "help" : arguments.first ?? "help"
        if asksForHelp { return }
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            guard word.hasPrefix("-") else {
                words.append(word)
                continue
            }
            guard let kind = Self.options[word] else {
                throw Problem(sentence: "there is no option \(word)")
            }
            if kind == .flag {
                values[word] = ""
                continue
            }
            guard let value = rest.popFirst() else {
                throw Problem(sentence: "\(word) needs a value")
            }
            if kind == .number, Double(value).map({ $0 >= 0 && $0 < 1e15 }) != true {
                throw Problem(sentence: "\(word) takes a number, not \(value)")
            }
            values[word] = value
        }
        if let name = text("--mutation"), Mutation(rawValue: name) == nil {
            throw Problem(sentence: "there is no mutation \(name); chaski-sim mutations lists them")
        }
    }

    func has(_ name: String) -> Bool { values[name] != nil }
    func text(_ name: String) -> String? { values[name] }
    func number(_ name: String, default standard: Int) -> Int {
        values[name].flatMap { Int($0) } ?? standard
    }

    /// The options that a run gets; nil for a mutation that is none.
    var options: SimulationOptions? {
        guard let name = text("--mutation") else { return SimulationOptions() }
        return Mutation(rawValue: name)?.options
    }
}
