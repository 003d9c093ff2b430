import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski publish`.
struct PublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Publish a message, the lines of standard input, NDJSON, or a file.",
        discussion: """
            With MESSAGE: that message. With --file: the file as one message. Otherwise each line \
            of standard input is a message; with --ndjson each line is a JSON object:

              {"payload": "text or any JSON", "key": "k", "attributes": {"name": "value"}}

            ("payloadBase64" and "keyBase64" for bytes; "dedupId" for a topic that remembers ids: a \
            message with an id that it has seen is not stored again). A payload that is no string is stored as \
            the very bytes that spell it. A message has at most 1 MiB. Messages are stored in the order given. \
            The command ends when all are on disk. It outlives restarts of the broker; at a \
            message that is refused for good it stops and says which line to go on from.

            With --atomic the lines of standard input are such objects, each with a "topic" of its \
            own (TOPIC for those without), and are published in one request: all or none.
            """)

    @Argument(help: "Name of the topic.")
    var topic: String?

    @Argument(help: "The message's text.")
    var message: String?

    @Option(
        help: ArgumentHelp("Send this file as one message (-: standard input).", valueName: "path"))
    var file: String?

    @Flag(help: "Lines are JSON objects with payload, key and attributes.")
    var ndjson = false

    @Flag(help: "Publish all lines in one request, to the topics that they name: all or none.")
    var atomic = false

    @Option(
        help: ArgumentHelp(
            "The dedup id of the message (with MESSAGE or --file).", valueName: "id"))
    var dedupID: String?

    @Option(help: ArgumentHelp("The key of each message.", valueName: "key"))
    var key: String?

    @Option(
        name: .customLong("attribute"),
        help: ArgumentHelp(
            "An attribute of each message; may be repeated.", valueName: "name=value"))
    var attributes: [String] = []

    @Option(help: ArgumentHelp("At most this many messages a second.", valueName: "count"))
    var rate: Double?

    @Flag(help: "Create the topic where it does not exist.")
    var create = false

    @Option(
        help: .duration("How long a message may stay without outcome before it is given up (60s)."))
    var giveUpAfter: DurationArgument?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if message != nil, file != nil || ndjson {
            throw ValidationError("MESSAGE excludes --file and --ndjson.")
        }
        if file != nil, ndjson {
            throw ValidationError("--file sends one message; feed NDJSON to standard input.")
        }
        if atomic, message != nil || file != nil || rate != nil || giveUpAfter != nil {
            throw ValidationError(
                "--atomic reads JSON lines; it excludes MESSAGE, --file, --rate, --give-up-after.")
        }
        if topic == nil, !atomic {
            throw ValidationError("Missing expected argument '<topic>'.")
        }
        if dedupID != nil, message == nil, file == nil {
            throw ValidationError(
                "--dedup-id is for one message; in JSON lines each has its own \"dedupId\".")
        }
        if let rate, !(rate > 0 && rate <= 1e9) {
            throw ValidationError("--rate must be above 0.")
        }
        var names: Set<String> = []
        for text in attributes {
            guard let attribute = MessageDraft.Attribute(text) else {
                throw ValidationError("--attribute \"\(text)\" is not NAME=VALUE.")
            }
            guard names.insert(attribute.name).inserted else {
                throw ValidationError("--attribute \"\(attribute.name)\" is given twice.")
            }
        }
    }

    func run() async throws {
        guard let topic, !atomic else {
            return try await connection.withClient { client, kind in
                try await publishAtomically(client, kind)
            }
        }
        let source = try makeSource()
        try await connection.withClient { client, kind in
            if create {
                try await Self.create(topic, client)
            }
            var settings = ProducerConfiguration()
            if let giveUpAfter { settings.giveUpAfter = giveUpAfter.duration }
            let producer = client.producer(settings)
            let summary = await publish(source, to: topic, with: producer)
            if summary.failure == nil || summary.published > 0 || kind == .json {
                kind.print(summary.fields(kind), json: summary.json(topic: topic))
            }
            if let failure = summary.failure { throw failure }
        }
    }

    static func create(_ topic: String, _ client: ChaskiClient) async throws {
        do {
            _ = try await client.createTopic(topic)
        } catch let error as ChaskiError where error.reason == .alreadyExists {
            return
        }
    }

    private func makeSource() throws -> DraftSource {
        let defaults = MessageDraft(
            payload: [], key: key.map { Array($0.utf8) },
            attributes: attributes.compactMap { MessageDraft.Attribute($0) },
            dedupID: dedupID.map { Array($0.utf8) })
        if let message {
            var draft = defaults
            draft.payload = Array(message.utf8)
            return .single(draft)
        }
        if let file {
            var draft = defaults
            draft.payload = try FileProblem.contents(file, maximumBytes: Limits.payloadBytes)
            return .single(draft)
        }
        if Terminal.inputIsTerminal {
            Terminal.note("chaski: reading messages from the terminal, one a line; end with Ctrl-D")
        }
        return .lines(isJSON: ndjson, defaults: defaults)
    }

    private func publish(
        _ source: DraftSource, to topic: String, with producer: Producer
    ) async -> PublishSummary {
        var summary = PublishSummary(startedNanos: Clock.nanos())
        let pacer = rate.map { Pacer(startNanos: Clock.nanos(), rate: $0) }
        let messages = DraftMessages(source: source, pacer: pacer, stop: Interruption.shared)
        do {
            for try await outcome in producer.publish(contentsOf: messages, to: topic) {
                summary.add(outcome)
                if summary.failure != nil { Interruption.shared.request() }
            }
        } catch {
            summary.stopped(by: error)
        }
        summary.endedNanos = Clock.nanos()
        return summary
    }
}

/// Where the messages of `publish` come from.
enum DraftSource: Sendable {
    case single(MessageDraft)
    case lines(isJSON: Bool, defaults: MessageDraft)
}

/// The messages of `publish`, read as they are wanted; ends early when somebody asks to stop.
struct DraftMessages: AsyncSequence, Sendable {
    typealias Element = Message

    let source: DraftSource
    let pacer: Pacer?
    let stop: Interruption

    func makeAsyncIterator() -> Iterator {
        Iterator(source: source, pacer: pacer, stop: stop)
    }

    final class Iterator: AsyncIteratorProtocol {
        private let source: DraftSource
        private let pacer: Pacer?
        private let stop: Interruption
        private var reader: LineReader
        private var count = 0

        init(source: DraftSource, pacer: Pacer?, stop: Interruption) {
            self.source = source
            self.pacer = pacer
            self.stop = stop
            reader = LineReader(
                descriptor: 0, closes: false, maximumLineBytes: 2 * Limits.payloadBytesMaximum)
        }

        func next() async throws -> Message? {
            guard !stop.isRequested, let draft = try await read() else { return nil }
            if let pacer { try await pacer.wait(for: UInt64(count)) }
            count += 1
            return draft.message
        }

        private func read() async throws -> MessageDraft? {
            switch source {
            case .single(let draft): return count == 0 ? draft : nil
            case .lines(let isJSON, let defaults):
                while reader.wouldWait {
                    if stop.isRequested { return nil }
                    try await Task.sleep(nanoseconds: 5_000_000)
                }
                guard let line = try reader.next() else { return nil }
                if isJSON {
                    return try MessageDraft(json: line, number: count + 1, defaults: defaults)
                }
                var draft = defaults
                draft.payload = Array(line)
                return draft
            }
        }
    }
}

/// What became of the messages.
struct PublishSummary {
    var published: UInt64 = 0
    /// Of them, those that were stored before.
    var duplicates: UInt64 = 0
    var refused: UInt64 = 0
    var indeterminate: UInt64 = 0
    var firstOffset: UInt64?
    var lastOffset: UInt64?
    /// What went wrong first.
    var failure: Failure?
    let startedNanos: Int64
    var endedNanos: Int64 = 0

    init(startedNanos: Int64) { self.startedNanos = startedNanos }

    mutating func add(_ outcome: PublishOutcome) {
        switch outcome.result {
        case .success(let receipt):
            published += 1
            if receipt.duplicate { duplicates += 1 }
            firstOffset = min(firstOffset ?? receipt.offset, receipt.offset)
            lastOffset = max(lastOffset ?? receipt.offset, receipt.offset)
        case .failure(let error):
            if error.isIndeterminate { indeterminate += 1 } else { refused += 1 }
            guard failure == nil else { return }
            failure = error.failure
            if outcome.index > 0 {
                failure?.message = "message \(outcome.index + 1) of the input: " + error.message
            }
        }
    }

    mutating func stopped(by error: any Error) {
        guard failure == nil else { return }
        failure =
            error as? Failure ?? (error as? ChaskiError)?.failure
            ?? Failure(.internalError, FailureReason(rawValue: "unexpected"), "\(error)")
    }

    private var seconds: Double { Double(max(0, endedNanos - startedNanos)) / 1e9 }

    func fields(_ kind: OutputKind) -> FieldList {
        var fields = FieldList()
        var line = kind.count(published)
        if let firstOffset, let lastOffset {
            line += firstOffset == lastOffset ? " at offset " : " at offsets "
            line += firstOffset == lastOffset ? "\(firstOffset)" : "\(firstOffset)...\(lastOffset)"
        }
        if published > 1 { line += " in \(Units.fixed(seconds, 2)) s" }
        fields.append("published", line)
        if duplicates > 0 { fields.append("stored before", kind.count(duplicates)) }
        if refused > 0 { fields.append("refused", kind.count(refused)) }
        if indeterminate > 0 { fields.append("outcome unknown", kind.count(indeterminate)) }
        return fields
    }

    func json(topic: String) -> JSONValue {
        .object([
            "topic": .string(topic), "published": .unsigned(published),
            "duplicates": .unsigned(duplicates), "refused": .unsigned(refused),
            "indeterminate": .unsigned(indeterminate),
            "firstOffset": firstOffset.map { .unsigned($0) } ?? .null,
            "lastOffset": lastOffset.map { .unsigned($0) } ?? .null,
            "seconds": .number(seconds),
        ])
    }
}
