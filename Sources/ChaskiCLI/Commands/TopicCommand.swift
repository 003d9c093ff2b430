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
        help: ArgumentHelp(
            "Disk that its messages may take; publishes are refused beyond it.", valueName: "size"))
    var maxBytes: SizeArgument?

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let topic = try await client.createTopic(
                name, settings: TopicSettings(maximumBytes: maxBytes?.bytes))
            kind.print(topic.fields, json: topic.json)
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
                    topic.name, Units.grouped(topic.held), String(topic.firstOffset),
                    String(topic.nextOffset), Units.bytes(topic.bytes),
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
            kind.print(topic.fields, json: topic.json)
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

    var fields: FieldList {
        var fields = FieldList()
        fields.append("topic", name)
        fields.append("incarnation", String(incarnation))
        fields.append("messages", "\(Units.grouped(held)) (offsets \(firstOffset)..<\(nextOffset))")
        fields.append("bytes", Units.bytes(bytes))
        fields.append(
            "limit", settings.maximumBytes.map { Units.bytes($0) } ?? "the broker's default")
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
            "created": .string(Units.timestamp(wallNanos: createdNanos)),
            "subscriptions": .array(subscriptions.map { .string($0) }),
        ])
    }
}
