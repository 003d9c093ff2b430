private import ArgumentParser
private import ChaskiClient
package import ChaskiModel

/// The program: parses, runs, and turns every error into one sentence and an exit status.
package enum ChaskiProgram {
    /// The version that `chaski version` prints.
    package static let version = "0.1.0"

    /// Runs a command line without the program's name, and returns the exit status.
    package static func run(_ arguments: [String]) async -> Int32 {
        Terminal.ignoreBrokenPipes()
        let status = await perform(arguments)
        guard let failure = Terminal.takeOutputFailure() else { return status }
        guard status == ProgramStatus.ok.rawValue else { return status }
        return tell(failure, asJSON: wantsJSON(arguments))
    }

    private static func perform(_ arguments: [String]) async -> Int32 {
        do {
            try checkHelp(arguments)
            var command = try ChaskiCommand.parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return ProgramStatus.ok.rawValue
        } catch {
            return tell(error, asJSON: wantsJSON(arguments))
        }
    }

    /// `help` of a command that does not exist is as wrong as the command.
    private static func checkHelp(_ arguments: [String]) throws(Failure) {
        guard arguments.first == "help" else { return }
        var known = ChaskiCommand.configuration.subcommands
        for word in arguments.dropFirst() where !word.hasPrefix("-") {
            guard let command = known.first(where: { $0.configuration.commandName == word }) else {
                throw Failure(
                    .invalidArgument, .invalidOption,
                    "there is no command \"\(Text.printable(word))\"; see chaski --help")
            }
            known = command.configuration.subcommands
        }
    }

    private static func tell(_ error: any Error, asJSON: Bool) -> Int32 {
        if let told = told(error) {
            Terminal.note(
                asJSON
                    ? FailureReport.json(told.failure, told.status).text
                    : FailureReport.text(told.failure))
            return told.status.rawValue
        }
        if let ended = error as? ProgramEnd { return ended.status.rawValue }
        if error is CancellationError { return 130 }
        let text = ChaskiCommand.fullMessage(for: error)
        let code = ChaskiCommand.exitCode(for: error).rawValue
        if code == 0 {
            Terminal.line(text)
        } else if !text.isEmpty {
            Terminal.note(text)
        }
        return code == 1 ? ProgramStatus.internalError.rawValue : code
    }

    private static func told(_ error: any Error) -> ToldFailure? {
        switch error {
        case let told as ToldFailure: told
        case let failure as Failure:
            ToldFailure(failure: failure, status: ProgramStatus(failure))
        case let error as ChaskiError:
            ToldFailure(failure: error.failure, status: ProgramStatus(error.failure))
        default: nil
        }
    }

    /// Whether errors shall be JSON, known even where the arguments do not parse.
    static func wantsJSON(_ arguments: [String]) -> Bool {
        var last: String?
        for (index, argument) in arguments.enumerated() {
            if argument == "--output", index + 1 < arguments.count { last = arguments[index + 1] }
            if argument.hasPrefix("--output=") { last = String(argument.dropFirst(9)) }
        }
        return (last ?? Environment.process.text("OUTPUT")) == "json"
    }
}

/// Ends the program with a status, after everything was said.
package struct ProgramEnd: Error, Hashable, Sendable {
    package var status: ProgramStatus

    package init(_ status: ProgramStatus) { self.status = status }
}

/// A failure whose exit status does not follow from its code.
package struct ToldFailure: Error, Sendable {
    package var failure: Failure
    package var status: ProgramStatus

    package init(failure: Failure, status: ProgramStatus) {
        self.failure = failure
        self.status = status
    }
}
