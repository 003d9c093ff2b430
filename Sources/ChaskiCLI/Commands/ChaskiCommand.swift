package import ArgumentParser

/// `chaski`: the root of all commands.
package struct ChaskiCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "chaski",
        abstract:
            "A durable message broker: what it accepted is on disk until somebody acknowledges it.",
        discussion: """
            Settings come from flags, then from the environment (CHASKI_SERVER, CHASKI_NAMESPACE, \
            CHASKI_OUTPUT, ...), then from defaults.

            A <duration> is a number with a unit, as 250ms, 1.5s, 30s, 10m, 12h or 1d; a bare \
            number is seconds. A <size> is bytes, as 65536, 64KiB, 10MiB or 1.5GiB; k, m, g and t \
            are binary too, KB, MB, GB and TB decimal.

            \(ProgramStatus.helpTable)
            """,
        version: "chaski \(ChaskiProgram.version)",
        subcommands: [
            ServeCommand.self, TopicCommand.self, SubscriptionCommand.self, DeadLetterCommand.self,
            ExplainCommand.self,
            PublishCommand.self, SubscribeCommand.self, StatusCommand.self, BenchCommand.self,
            JournalCommand.self, VersionCommand.self,
        ])

    package init() {}
}

/// `chaski version`.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the version.")

    @OptionGroup var output: OutputOptions

    func run() throws {
        let isJSON = try output.kind() == .json
        Terminal.line(
            isJSON
                ? JSONValue.object(["version": .string(ChaskiProgram.version)]).text
                : "chaski \(ChaskiProgram.version)")
    }
}
