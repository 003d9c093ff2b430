import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski deadletter`.
struct DeadLetterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deadletter", abstract: "See the messages that are dead for a subscription.",
        subcommands: [DeadLetterList.self])
}

struct DeadLetterList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List dead messages, in order of offset.")

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @Option(help: ArgumentHelp("From this offset on.", valueName: "offset"))
    var from: UInt64 = 0

    @Option(help: ArgumentHelp("At most this many.", valueName: "count"))
    var limit: UInt32 = 100

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let letters = try await client.deadLetters(
                subscription: subscription, from: from, limit: limit)
            var table = TextTable([
                ("offset", .right), ("died", .left), ("cause", .left), ("failed", .right),
                ("handed out", .right), ("reason", .left),
            ])
            for letter in letters {
                table.append([
                    String(letter.offset), Units.timestamp(wallNanos: letter.diedNanos),
                    letter.cause, String(letter.failed), String(letter.handedOut), letter.reason,
                ])
            }
            kind.print(
                table, empty: "no dead messages on \"\(Text.printable(subscription))\"",
                json: .object(["deadLetters": .array(letters.map(Self.json))]))
        }
    }

    private static func json(_ letter: DeadLetterInfo) -> JSONValue {
        .object([
            "offset": .unsigned(letter.offset),
            "died": .string(Units.timestamp(wallNanos: letter.diedNanos)),
            "cause": .string(letter.cause), "reason": .string(letter.reason),
            "failed": .unsigned(UInt64(letter.failed)),
            "handedOut": .unsigned(UInt64(letter.handedOut)),
        ])
    }
}
