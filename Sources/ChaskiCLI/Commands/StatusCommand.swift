import ArgumentParser
import ChaskiClient
import ChaskiModel
import ChaskiServer

/// `chaski status`.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show a broker's namespaces and what they wrote.")

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let status = try await client.status()
            let namespace = connection.namespaceName()
            guard status.namespaces.contains(where: { $0.name == namespace }) else {
                throw Failure.unknownNamespace(namespace)
            }
            if kind == .json {
                kind.print(status.json)
                return
            }
            if kind == .table {
                Terminal.line(
                    "\(Text.printable(status.software)), started "
                        + "\(Units.timestamp(wallNanos: status.startedNanos)), "
                        + "\(Units.count(status.connections, "connection")), "
                        + "\(Units.bytes(status.residentBytes)) resident")
            }
            var table = TextTable([
                ("namespace", .left), ("topics", .right), ("subscriptions", .right),
                ("messages", .right), ("syncs", .right), ("written", .right), ("journal", .right),
                ("publishing", .left),
            ])
            for item in status.namespaces {
                table.append([
                    item.name, kind.count(item.topics), kind.count(item.subscriptions),
                    kind.count(item.messagesAppended), kind.count(item.syncs),
                    kind.bytes(item.bytesWritten), kind.bytes(item.journalBytes),
                    item.publishingRefused.isEmpty ? "open" : item.publishingRefused,
                ])
            }
            kind.print(table, empty: "no namespaces", json: status.json)
        }
    }
}

extension BrokerStatus {
    var json: JSONValue {
        .object([
            "software": .string(software),
            "started": .string(Units.timestamp(wallNanos: startedNanos)),
            "connections": .unsigned(connections), "residentBytes": .unsigned(residentBytes),
            "namespaces": .array(
                namespaces.map { item in
                    .object([
                        "name": .string(item.name), "topics": .unsigned(item.topics),
                        "subscriptions": .unsigned(item.subscriptions),
                        "syncs": .unsigned(item.syncs),
                        "bytesWritten": .unsigned(item.bytesWritten),
                        "messagesAppended": .unsigned(item.messagesAppended),
                        "journalBytes": .unsigned(item.journalBytes),
                        "journalEpoch": .unsigned(UInt64(item.journalEpoch)),
                        "publishingRefused": .string(item.publishingRefused),
                        "allocations": .unsigned(item.allocations),
                    ])
                }),
        ])
    }
}
