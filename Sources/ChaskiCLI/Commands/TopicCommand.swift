import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski topic`.
struct TopicCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "topic", abstract: "Create, list, describe and delete topics.",
        subcommands: [
            TopicCreate.self, TopicList.self, TopicDescribe.self, TopicDelete.self,
        ])
}

struct TopicCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a topic.")

    @Argument(help: "Name of the topic.")
    var name: String

    @Option(
        help: .size("Disk that its messages may take; publishes are refused beyond it."))
    var maxBytes: SizeArgument?

    @Flag(
        help: ArgumentHelp(
            "Remember dedup ids: a message with an id that was seen is the one stored before.",
            discussion: "For 10 minutes, or the --dedup-window; with another payload it is refused."
        ))
    var dedup = false

    @Option(help: .duration("How long ids are remembered, 1s to 24h (10m); implies --dedup."))
    var dedupWindow: DurationArgument?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if maxBytes?.bytes == 0 {
            throw ValidationError(
                "--max-bytes 0 would refuse every message; leave it out for no limit.")
        }
    }

    func run() async throws {
        try await connection.withClient { client, kind in
            let window = dedupWindow?.nanos ?? (dedup ? Limits.dedupWindowNanos : nil)
            let topic = try await client.createTopic(
                name,
                settings: TopicSettings(
                    maximumBytes: maxBytes?.bytes, dedupWindowNanos: window))
            kind.print(topic.fields(kind), json: topic.json)
        }
    }
}

struct TopicList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the topics of the namespace.")

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let topics = try await client.topics()
            var table = TextTable([
                ("topic", .left), ("messages", .right), ("first", .right), ("next", .right),
                ("bytes", .right), ("subscriptions", .left),
            ])
            for topic in topics {
                table.append([
                    topic.name, kind.count(topic.held), String(topic.firstOffset),
                    String(topic.nextOffset), kind.bytes(topic.bytes),
                    topic.subscriptions.isEmpty
                        ? "-" : topic.subscriptions.joined(separator: ", "),
                ])
            }
            kind.print(
                table,
                empty: "no topics in namespace \"\(connection.namespaceName())\"; "
                    + "make one with: chaski topic create NAME",
                json: .object(["topics": .array(topics.map(\.json))]))
        }
    }
}

struct TopicDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show one topic.")

    @Argument(help: "Name of the topic.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let topic = try await client.topic(name)
            kind.print(topic.fields(kind), json: topic.json)
        }
    }
}

struct TopicDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a topic with all its messages.")

    @Argument(help: "Name of the topic.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            try await client.deleteTopic(name)
            switch kind {
            case .json: kind.print(.object(["deleted": .string(name)]))
            case .table, .plain: Terminal.line("deleted topic \(Text.printable(name))")
            }
        }
    }
}

extension TopicInfo {
    /// Messages between the first offset held and the next to be given.
    var held: UInt64 { nextOffset >= firstOffset ? nextOffset - firstOffset : 0 }

    func fields(_ kind: OutputKind) -> FieldList {
        var fields = FieldList()
        fields.append("topic", name)
        fields.append("incarnation", String(incarnation))
        if kind == .plain {
            fields.append("messages", String(held))
            fields.append("first offset", String(firstOffset))
            fields.append("next offset", String(nextOffset))
        } else {
            fields.append(
                "messages", "\(kind.count(held)) (offsets \(firstOffset)..<\(nextOffset))")
        }
        fields.append("bytes", kind.bytes(bytes))
        // The broker's way to say that there is no limit is the largest number.
        let limit = settings.maximumBytes.flatMap { $0 >= UInt64(Int64.max) ? nil : $0 }
        fields.append("limit", limit.map { kind.bytes($0) } ?? "none")
        if let window = settings.dedupWindowNanos {
            fields.append("dedup window", Units.duration(nanos: window))
        }
        fields.append("created", Units.timestamp(wallNanos: createdNanos))
        fields.append(
            "subscriptions", subscriptions.isEmpty ? "-" : subscriptions.joined(separator: ", "))
        return fields
    }

    var json: JSONValue {
        .object([
            "name": .string(name), "id": .unsigned(id.rawValue),
            "incarnation": .unsigned(UInt64(incarnation)),
            "firstOffset": .unsigned(firstOffset), "nextOffset": .unsigned(nextOffset),
            "bytes": .unsigned(bytes),
            "maximumBytes": settings.maximumBytes.map { .unsigned($0) } ?? .null,
            "dedupWindowMillis": settings.dedupWindowNanos.map { .integer($0 / 1_000_000) }
                ?? .null,
            "created": .string(Units.timestamp(wallNanos: createdNanos)),
            "subscriptions": .array(subscriptions.map { .string($0) }),
        ])
    }
}
