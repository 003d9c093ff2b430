import ChaskiSimulation

/// The words of the command line: a command, plain words, and `--name value` or `--name`.
struct Arguments {
    static let usage = """
        chaski-sim run [--seeds N] [--first S] [--minutes M] [--jobs J] [--once] [--mutation NAME]
            runs seeds, each twice unless --once, and prints violations and a table
        chaski-sim replay SEED [--mutation NAME] [--quiet]
            runs one seed again and prints its history
        chaski-sim sweep publish|consume|restart|full-disk|all
            fails, and apart crashes, every file operation of a short scenario
        chaski-sim mutations
            lists the mutations that --mutation takes
        """

    let command: String
    private(set) var words: [String] = []
    private var values: [String: String] = [:]

    init(_ arguments: [String]) {
        command = arguments.first ?? "help"
        var rest = arguments.dropFirst()
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else {
                words.append(word)
                continue
            }
            if let value = rest.first, !value.hasPrefix("--") {
                values[word] = value
                rest = rest.dropFirst()
            } else {
                values[word] = ""
            }
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
