import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski subscription`.
struct SubscriptionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscription", abstract: "Create, list, describe and delete subscriptions.",
        subcommands: [
            SubscriptionCreate.self, SubscriptionList.self, SubscriptionDescribe.self,
            SubscriptionDelete.self,
        ])
}

/// `--start`: earliest, latest, or an offset.
struct StartArgument: ExpressibleByArgument {
    var position: StartPosition

    init?(argument: String) {
        switch argument {
        case "earliest": position = .earliest
        case "latest": position = .latest
        default:
            guard let offset = UInt64(argument), !argument.hasPrefix("+") else { return nil }
            position = .offset(offset)
        }
    }
}

struct SubscriptionCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a subscription on a topic.",
        discussion: """
            Any number of consumers share a subscription: each message goes to one of them, and \
            comes back until somebody acknowledges it. Failures are retried with exponential \
            backoff and full jitter; after too many a message is dead (see chaski deadletter).
            """)

    @Argument(help: "Name of the subscription, unique in the namespace.")
    var name: String

    @Argument(help: "Name of its topic.")
    var topic: String

    @Option(help: "Where it begins: earliest, latest or an offset (earliest).")
    var start: StartArgument?

    @Option(
        help: ArgumentHelp("Upper bound of the first retry's delay (1s).", valueName: "duration"))
    var minBackoff: DurationArgument?

    @Option(help: ArgumentHelp("Upper bound of any delay (10m).", valueName: "duration"))
    var maxBackoff: DurationArgument?

    @Option(help: ArgumentHelp("Failures after which a message is dead (10).", valueName: "count"))
    var maxFailures: UInt32?

    @Option(
        help: ArgumentHelp(
            "How long a delivery may stay without a verdict or heartbeat (30s).",
            valueName: "duration"))
    var lease: DurationArgument?

    @Option(help: ArgumentHelp("Messages tracked at once (100000).", valueName: "count"))
    var maxUnsettled: UInt32?

    @OptionGroup var connection: ConnectionOptions

    var settings: SubscriptionSettings {
        var settings = SubscriptionSettings()
        if let start { settings.start = start.position }
        if let minBackoff {
            settings.retry.minimumBackoffNanos = minBackoff.nanos
            settings.retry.maximumBackoffNanos = max(
                settings.retry.maximumBackoffNanos, minBackoff.nanos)
        }
        if let maxBackoff {
            settings.retry.maximumBackoffNanos = maxBackoff.nanos
            if minBackoff == nil {
                settings.retry.minimumBackoffNanos = min(
                    settings.retry.minimumBackoffNanos, maxBackoff.nanos)
            }
        }
        if let maxFailures { settings.retry.maximumFailures = maxFailures }
        if let lease { settings.leaseNanos = lease.nanos }
        if let maxUnsettled { settings.maximumUnsettled = maxUnsettled }
        return settings
    }

    func run() async throws {
        try await connection.withClient { client, kind in
            let subscription = try await client.createSubscription(
                name, topic: topic, settings: settings)
            kind.print(subscription.fields, json: subscription.json)
        }
    }
}

struct SubscriptionList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the subscriptions of the namespace.")

    @Option(help: "Only those of this topic.")
    var topic: String?

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let subscriptions = try await client.subscriptions(topic: topic)
            var table = TextTable([
                ("subscription", .left), ("topic", .left), ("backlog", .right), ("leased", .right),
                ("retrying", .right), ("dead", .right), ("consumers", .right),
            ])
            for item in subscriptions {
                table.append([
                    item.name, item.topic, Units.grouped(item.backlog), Units.grouped(item.leased),
                    Units.grouped(item.waitingRetry), Units.grouped(item.dead),
                    Units.grouped(item.consumers),
                ])
            }
            kind.print(
                table,
                empty: "no subscriptions; make one with: chaski subscription create NAME TOPIC",
                json: .object(["subscriptions": .array(subscriptions.map(\.json))]))
        }
    }
}

struct SubscriptionDescribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "describe", abstract: "Show one subscription.")

    @Argument(help: "Name of the subscription.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let subscription = try await client.subscription(name)
            kind.print(subscription.fields, json: subscription.json)
        }
    }
}

struct SubscriptionDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a subscription; its topic's messages stay.")

    @Argument(help: "Name of the subscription.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            try await client.deleteSubscription(name)
            switch kind {
            case .json: kind.print(.object(["deleted": .string(name)]))
            case .table, .plain: Terminal.line("deleted subscription \(Text.printable(name))")
            }
        }
    }
}

extension SubscriptionInfo {
    private var startText: String {
        switch settings.start {
        case .earliest: "earliest"
        case .latest: "latest"
        case .offset(let offset): String(offset)
        }
    }

    var fields: FieldList {
        var fields = FieldList()
        fields.append("subscription", name)
        fields.append("topic", topic)
        fields.append("backlog", Units.grouped(backlog))
        fields.append("settled below", String(settledBelow))
        fields.append("cursor", String(cursor) + (windowFull ? " (window full)" : ""))
        fields.append("leased", Units.grouped(leased))
        fields.append("waiting for retry", Units.grouped(waitingRetry))
        fields.append("to be handed out again", Units.grouped(pendingAgain))
        fields.append("dead", Units.grouped(dead))
        fields.append("consumers", Units.grouped(consumers))
        fields.append(
            "since creation",
            "\(Units.grouped(handedOut)) handed out, \(Units.grouped(acked)) acknowledged, "
                + "\(Units.grouped(failed)) failed")
        let retry = settings.retry
        fields.append(
            "retry",
            "\(Units.duration(nanos: retry.minimumBackoffNanos)) to "
                + "\(Units.duration(nanos: retry.maximumBackoffNanos)), dead after "
                + "\(retry.maximumFailures) failures")
        fields.append("lease", Units.duration(nanos: settings.leaseNanos))
        fields.append("tracked at once", Units.grouped(UInt64(settings.maximumUnsettled)))
        fields.append("start", startText)
        fields.append("created", Units.timestamp(wallNanos: createdNanos))
        return fields
    }

    var json: JSONValue {
        .object([
            "name": .string(name), "id": .unsigned(id.rawValue), "topic": .string(topic),
            "backlog": .unsigned(backlog), "settledBelow": .unsigned(settledBelow),
            "cursor": .unsigned(cursor), "windowFull": .bool(windowFull),
            "leased": .unsigned(leased), "waitingRetry": .unsigned(waitingRetry),
            "pendingAgain": .unsigned(pendingAgain), "dead": .unsigned(dead),
            "consumers": .unsigned(consumers), "handedOut": .unsigned(handedOut),
            "acked": .unsigned(acked), "failed": .unsigned(failed),
            "settings": .object([
                "start": .string(startText),
                "minimumBackoffNanos": .integer(settings.retry.minimumBackoffNanos),
                "maximumBackoffNanos": .integer(settings.retry.maximumBackoffNanos),
                "maximumFailures": .unsigned(UInt64(settings.retry.maximumFailures)),
                "leaseNanos": .integer(settings.leaseNanos),
                "maximumUnsettled": .unsigned(UInt64(settings.maximumUnsettled)),
            ]),
            "created": .string(Units.timestamp(wallNanos: createdNanos)),
        ])
    }
}
