import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski deadletter edit`.
struct DeadLetterEdit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edit",
        abstract: "Publish a mended copy of one dead message, in its place.",
        discussion: """
            The copy is the dead message with what is given changed. It is published as a new \
            message of the subscription's topic, so that all of the topic's subscriptions get it, \
            with the attribute redriveOf that names the dead one; in the same step that is settled \
            for good, on this subscription. To give a dead message back unchanged, see redrive.
            """)

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @Argument(help: "Offset of the dead message.")
    var offset: UInt64

    @Argument(help: "The new payload (as it was).")
    var payload: String?

    @Option(
        help: ArgumentHelp(
            "Take the new payload from this file (-: standard input).", valueName: "path"))
    var file: String?

    @Option(help: "The new key (as it was).")
    var key: String?

    @Flag(help: "Leave the key out.")
    var noKey = false

    @Option(
        help: ArgumentHelp(
            "An attribute to add, or to change; may be repeated.", valueName: "name=value"))
    var attribute: [AttributeArgument] = []

    @Option(
        help: ArgumentHelp("An attribute to leave out; may be repeated.", valueName: "name"))
    var removeAttribute: [String] = []

    @Option(help: ArgumentHelp("Kept in the journal, at most 1 KiB.", valueName: "text"))
    var note = ""

    @Flag(help: "Only show the message that would be published.")
    var dryRun = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if payload != nil, file != nil { throw ValidationError("PAYLOAD excludes --file.") }
        if key != nil, noKey { throw ValidationError("--key excludes --no-key.") }
        guard
            payload != nil || file != nil || key != nil || noKey || !attribute.isEmpty
                || !removeAttribute.isEmpty
        else {
            throw ValidationError(
                "Nothing would change: say what, as --file mended.json; or see chaski deadletter "
                    + "redrive.")
        }
    }

    func run() async throws {
        let bytes =
            try file.map { try FileProblem.contents($0, maximumBytes: Limits.payloadBytes) }
            ?? payload.map { Array($0.utf8) }
        try await connection.withClient { client, kind in
            let details = try await client.deadLetter(subscription: subscription, offset: offset)
            guard let dead = details.message else {
                throw details.unreadable
                    ?? ChaskiError(Failure(.dataLoss, .damaged, "the message cannot be read"))
            }
            let edited = edited(dead, payload: bytes)
            if dryRun {
                kind.print(edited.fields, json: edited.json)
                return
            }
            let new = try await client.redriveDeadLetter(
                subscription: subscription, offset: offset, as: edited, note: note)
            var fields = FieldList()
            fields.append("published at offset", String(new))
            fields.append("in the place of", String(offset))
            kind.print(
                fields, json: .object(["offset": .unsigned(new), "redriveOf": .unsigned(offset)]))
        }
    }

    private func edited(_ dead: Message, payload: [UInt8]?) -> Message {
        var message = dead
        if let payload { message.payload = payload }
        if let key { message.key = Array(key.utf8) }
        if noKey { message.key = nil }
        for change in attribute.map(\.attribute) {
            let place = message.attributes.firstIndex { $0.name == change.name }
            if let place {
                message.attributes[place] = change
            } else {
                message.attributes.append(change)
            }
        }
        message.attributes.removeAll { removeAttribute.contains($0.name) }
        return message
    }
}
