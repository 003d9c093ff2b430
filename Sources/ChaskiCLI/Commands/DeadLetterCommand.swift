import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski deadletter`.
struct DeadLetterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deadletter",
        abstract: "List, show, redrive, mend and purge the dead messages of a subscription.",
        subcommands: [
            DeadLetterList.self, DeadLetterShow.self, DeadLetterRedrive.self, DeadLetterEdit.self,
            DeadLetterPurge.self,
        ])
}

struct DeadLetterList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List dead messages, in order of offset.")

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @OptionGroup(title: "Which") var which: DeadLetterOptions

    @Option(help: ArgumentHelp("From this offset on.", valueName: "offset"))
    var from: UInt64 = 0

    @Option(help: ArgumentHelp("At most this many.", valueName: "count"))
    var limit: UInt32 = 100

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let found = try await client.find(
                subscription, which.filter, from: from, limit: Int(limit))
            kind.print(
                found.letters.table,
                empty: "no \(which.isEmpty ? "" : "such ")dead messages on "
                    + "\"\(Text.printable(subscription))\"",
                json: .object([
                    "deadLetters": .array(found.letters.map(\.json)),
                    "next": found.next.map { .unsigned($0) } ?? .null,
                ]))
            if let next = found.next, kind != .json {
                Terminal.note("chaski: there may be more: see them with --from \(next)")
            }
            found.noteUnreadable()
        }
    }
}

struct DeadLetterShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show one dead message: what it holds, and why each attempt failed.")

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @Argument(help: "Offset of the message.")
    var offset: UInt64

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let details = try await client.deadLetter(subscription: subscription, offset: offset)
            kind.print(details.fields(kind), json: details.json)
        }
    }
}

struct DeadLetterRedrive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redrive",
        abstract: "Give dead messages to consumers again.",
        discussion: """
            A redriven message keeps its offset and all that is known of its attempts, and counts \
            again from no failure. Without anything that says which, all are redriven. \
            Interrupting stops it; what was redriven until then stays so, and the command can \
            simply be given again.
            """)

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @OptionGroup(title: "Which") var which: DeadLetterOptions

    @Option(help: ArgumentHelp("At most this many a second (no limit).", valueName: "count"))
    var rate: UInt32?

    @Option(help: ArgumentHelp("Kept with each, at most 1 KiB.", valueName: "text"))
    var note = ""

    @Flag(help: "Only tell how many and which would go.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if rate == 0 { throw ValidationError("--rate must be at least 1.") }
    }

    func run() async throws {
        try await connection.withClient { client, kind in
            if dryRun {
                try await client.printDryRun(subscription, which.filter, "redriven", kind)
                return
            }
            let done = try await client.redriveDeadLetters(
                subscription: subscription, matching: which.filter, rate: rate, note: note)
            done.print("redriven", subscription, kind)
        }
    }
}

struct DeadLetterPurge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge",
        abstract: "Remove dead messages for good.",
        discussion: """
            What is purged is never delivered again on this subscription, and the disk that it \
            held is freed. To purge all, say so with --all.
            """)

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @OptionGroup(title: "Which") var which: DeadLetterOptions

    @Flag(help: "Purge all, where nothing says which.")
    var all = false

    @Flag(help: "Only tell how many and which would go.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if !all, !dryRun, which.isEmpty {
            throw ValidationError(
                "This would remove every dead message: say which, as --code timeout, or --all.")
        }
    }

    func run() async throws {
        try await connection.withClient { client, kind in
            if dryRun {
                try await client.printDryRun(subscription, which.filter, "purged", kind)
                return
            }
            let done = try await client.purgeDeadLetters(
                subscription: subscription, matching: which.filter)
            done.print("purged", subscription, kind)
        }
    }
}
