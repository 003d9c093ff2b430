import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski subscription`.
struct SubscriptionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscription",
        abstract: "Create, list, describe, update, pause and delete subscriptions.",
        subcommands: [
            SubscriptionCreate.self, SubscriptionList.self, SubscriptionDescribe.self,
            SubscriptionUpdate.self, SubscriptionPause.self, SubscriptionResume.self,
            SubscriptionBreaker.self, SubscriptionDelete.self,
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

            What a consumer had in hand when it, or the broker, was killed waits up to 10 s for it \
            to come back before others get it; that spends no attempt.
            """)

    @Argument(help: "Name of the subscription, unique in the namespace.")
    var name: String

    @Argument(help: "Name of its topic.")
    var topic: String

    @Option(help: "Where it begins: earliest, latest or an offset (earliest).")
    var start: StartArgument?

    @Flag(help: "Hand out messages of one key in their order, to one consumer at a time.")
    var ordered = false

    @OptionGroup(title: "Settings") var options: SubscriptionSettingOptions

    @OptionGroup var connection: ConnectionOptions

    var settings: SubscriptionSettings {
        var change = options.change
        change.start = start?.position
        if ordered { change.isOrdered = true }
        var settings = change.applied(to: SubscriptionSettings())
        if let minimum = change.minimumBackoffNanos, change.maximumBackoffNanos == nil {
            settings.retry.maximumBackoffNanos = max(settings.retry.maximumBackoffNanos, minimum)
        }
        if let maximum = change.maximumBackoffNanos, change.minimumBackoffNanos == nil {
            settings.retry.minimumBackoffNanos = min(settings.retry.minimumBackoffNanos, maximum)
        }
        return settings
    }

    /// What a given bound of the backoff moves that was not given; nil where nothing.
    var movedBound: String? {
        let standard = SubscriptionSettings().retry
        let retry = settings.retry
        if options.maxBackoff == nil, retry.maximumBackoffNanos != standard.maximumBackoffNanos {
            return "the maximum backoff is raised to "
                + "\(Units.duration(nanos: retry.maximumBackoffNanos)) too"
        }
        if options.minBackoff == nil, retry.minimumBackoffNanos != standard.minimumBackoffNanos {
            return "the minimum backoff is lowered to "
                + "\(Units.duration(nanos: retry.minimumBackoffNanos)) too"
        }
        return nil
    }

    func run() async throws {
        if let movedBound { Terminal.note("chaski: \(movedBound)") }
        try await connection.withClient { client, kind in
            let subscription = try await client.createSubscription(
                name, topic: topic, settings: settings)
            kind.print(subscription.fields(kind), json: subscription.json)
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
            // An empty answer is the same for a topic that does not exist: ask for it.
            if subscriptions.isEmpty, let topic { _ = try await client.topic(topic) }
            var table = TextTable([
                ("subscription", .left), ("topic", .left), ("backlog", .right), ("leased", .right),
                ("retrying", .right), ("dead", .right), ("consumers", .right),
            ])
            for item in subscriptions {
                table.append([
                    item.name, item.topic, kind.count(item.backlog), kind.count(item.leased),
                    kind.count(item.waitingRetry), kind.count(item.dead),
                    kind.count(item.consumers),
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
            kind.print(subscription.fields(kind), json: subscription.json)
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

    func fields(_ kind: OutputKind) -> FieldList {
        var fields = FieldList()
        fields.append("subscription", name)
        fields.append("topic", topic)
        fields.append("backlog", kind.count(backlog))
        fields.append("settled below", String(settledBelow))
        fields.append("cursor", String(cursor) + (windowFull ? " (window full)" : ""))
        if let stalledBy { fields.append("stalled by", stalledBy.message) }
        appendFlow(to: &fields, kind)
        fields.append("leased", kind.count(leased))
        fields.append("waiting for retry", kind.count(waitingRetry))
        fields.append("to be handed out again", kind.count(pendingAgain))
        fields.append(
            "dead", kind.count(dead) + (deadLettersFull ? " (full: what should die waits)" : ""))
        if dying > 0 {
            fields.append(
                "dying", kind.count(dying) + (dyingBlockedBy.map { ": \($0.message)" } ?? ""))
        }
        fields.append("consumers", kind.count(consumers))
        fields.append(
            "since creation",
            "\(kind.count(handedOut)) handed out, \(kind.count(acked)) acknowledged, "
                + "\(kind.count(failed)) failed")
        let ends: [(UInt64, String)] = [
            (forwarded, "forwarded"), (redriven, "redriven"), (purged, "purged"),
            (expired, "removed by age"),
        ]
        if ends.contains(where: { $0.0 > 0 }) {
            fields.append(
                "dead letters since then",
                ends.filter { $0.0 > 0 }.map { "\(kind.count($0.0)) \($0.1)" }
                    .joined(separator: ", "))
        }
        let retry = settings.retry
        fields.append(
            "retry",
            "\(Units.duration(nanos: retry.minimumBackoffNanos)) to "
                + "\(Units.duration(nanos: retry.maximumBackoffNanos)), dead after "
                + "\(retry.maximumFailures) failures"
                + (retry.maximumAgeNanos.map { " or \(Units.duration(nanos: $0))" } ?? ""))
        fields.append(
            "dead letters kept",
            "\(kind.count(UInt64(settings.deadLetters.maximum))) for "
                + Units.duration(nanos: settings.deadLetters.retentionNanos))
        if let topic = settings.deadLetters.forwardTo {
            fields.append("dead forwarded to", topic)
        }
        fields.append("lease", Units.duration(nanos: settings.leaseNanos))
        fields.append(
            "tracked at once",
            "\(kind.count(tracked)) of \(kind.count(UInt64(settings.maximumUnsettled)))")
        fields.append("dead when abandoned", "\(settings.maximumAbandoned) times")
        if let order = settings.order {
            fields.append(
                "ordered by key",
                "runs of \(order.runLength), after a death \(order.afterDeath.argument.rawValue)")
        }
        fields.append("start", startText)
        fields.append("created", Units.timestamp(wallNanos: createdNanos))
        return fields
    }

    var json: JSONValue {
        .object([
            "name": .string(name), "id": .unsigned(id.rawValue), "topic": .string(topic),
            "backlog": .unsigned(backlog), "settledBelow": .unsigned(settledBelow),
            "cursor": .unsigned(cursor), "windowFull": .bool(windowFull),
            "tracked": .unsigned(tracked), "pause": pause?.json ?? .null,
            "breaker": breaker?.json ?? .null,
            "rateTokens": rateTokens.map { .unsigned($0) } ?? .null,
            "stalledBy": stalledBy.map {
                .object(["reason": .string($0.reason.rawValue), "message": .string($0.message)])
            } ?? .null,
            "leased": .unsigned(leased), "waitingRetry": .unsigned(waitingRetry),
            "pendingAgain": .unsigned(pendingAgain), "dead": .unsigned(dead),
            "consumers": .unsigned(consumers), "handedOut": .unsigned(handedOut),
            "acked": .unsigned(acked), "failed": .unsigned(failed),
            "redriven": .unsigned(redriven), "purged": .unsigned(purged),
            "expired": .unsigned(expired), "deadLettersFull": .bool(deadLettersFull),
            "dying": .unsigned(dying), "forwarded": .unsigned(forwarded),
            "dyingBlockedBy": dyingBlockedBy.map {
                .object(["reason": .string($0.reason.rawValue), "message": .string($0.message)])
            } ?? .null,
            "settings": .object([
                "start": .string(startText),
                "minimumBackoffNanos": .integer(settings.retry.minimumBackoffNanos),
                "maximumBackoffNanos": .integer(settings.retry.maximumBackoffNanos),
                "maximumFailures": .unsigned(UInt64(settings.retry.maximumFailures)),
                "multiplierThousandths": .unsigned(UInt64(settings.retry.multiplierThousandths)),
                "maximumAgeNanos": settings.retry.maximumAgeNanos.map { .integer($0) } ?? .null,
                "maximumDeadLetters": .unsigned(UInt64(settings.deadLetters.maximum)),
                "deadLetterRetentionNanos": .integer(settings.deadLetters.retentionNanos),
                "forwardDeadTo": settings.deadLetters.forwardTo.map { .string($0) } ?? .null,
                "leaseNanos": .integer(settings.leaseNanos),
                "maximumUnsettled": .unsigned(UInt64(settings.maximumUnsettled)),
                "rateLimit": settings.rateLimit.map { .unsigned(UInt64($0)) } ?? .null,
                "breaker": settings.breaker?.json ?? .null,
                "maximumAbandoned": .unsigned(UInt64(settings.maximumAbandoned)),
                "order": settings.order.map {
                    .object([
                        "runLength": .unsigned(UInt64($0.runLength)),
                        "afterDeath": .string($0.afterDeath.argument.rawValue),
                    ])
                } ?? .null,
            ]),
            "created": .string(Units.timestamp(wallNanos: createdNanos)),
        ])
    }
}
