import ArgumentParser
import ChaskiClient
import ChaskiModel

struct SubscriptionPause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Hand out nothing of a subscription for a while.",
        discussion: """
            A pause is on disk and survives restarts. What consumers have stays theirs: their \
            verdicts count and their leases go on; retries become due, and wait. Pausing again \
            replaces the time given before.
            """)

    @Argument(help: "Name of the subscription.")
    var name: String

    @Option(
        name: .customLong("for"),
        help: .duration("Resume by itself after this long (until it is resumed)."))
    var duration: DurationArgument?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let duration, !(1...366 * 86_400_000_000_000).contains(duration.nanos) {
            throw ValidationError("--for must be above 0 and at most 366d.")
        }
    }

    func run() async throws {
        try await connection.withClient { client, kind in
            let subscription = try await client.pauseSubscription(
                name, for: duration.map { .nanoseconds($0.nanos) })
            kind.print(subscription.fields(kind), json: subscription.json)
        }
    }
}

struct SubscriptionResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "End the pause of a subscription.")

    @Argument(help: "Name of the subscription.")
    var name: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let subscription = try await client.resumeSubscription(name)
            kind.print(subscription.fields(kind), json: subscription.json)
        }
    }
}

enum BreakerArgument: String, ExpressibleByArgument, CaseIterable {
    case open, closed, auto

    var position: BreakerSwitch {
        switch self {
        case .open: .open
        case .closed: .closed
        case .auto: .auto
        }
    }
}

struct SubscriptionBreaker: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "breaker", abstract: "Set a subscription's breaker by hand, or let it go.",
        discussion: """
            open: nothing is handed out. closed: everything is, whatever fails. auto: it follows \
            the verdicts again, from an empty window on. What is set by hand is on disk and \
            survives restarts. A subscription gets a breaker with --breaker of subscription \
            create or update.
            """)

    @Argument(help: "Name of the subscription.")
    var name: String

    @Argument(help: "open, closed or auto.")
    var position: BreakerArgument

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let subscription = try await client.setBreaker(name, position.position)
            kind.print(subscription.fields(kind), json: subscription.json)
        }
    }
}

// MARK: - What holds a subscription back, as it is shown

extension SubscriptionInfo {
    func appendFlow(to fields: inout FieldList, _ kind: OutputKind) {
        if let pause {
            let until = pause.untilNanos.map { Units.timestamp(wallNanos: $0) }
            fields.append(
                "paused",
                "since \(Units.timestamp(wallNanos: pause.sinceNanos)), until "
                    + (until ?? "it is resumed"))
        }
        if let breaker { fields.append("breaker", breaker.text) }
        if let policy = settings.breaker { fields.append("breaker opens", policy.text) }
        if let rate = settings.rateLimit {
            fields.append(
                "rate limit",
                "\(kind.count(UInt64(rate))) a second, \(kind.count(rateTokens ?? 0)) at once now")
        }
    }
}

extension BreakerPolicy {
    fileprivate var text: String {
        "at \(Units.share(thousandths: failureThousandths)) failures of at least "
            + "\(minimumVerdicts) verdicts in \(Units.duration(nanos: windowNanos)), for "
            + Units.duration(nanos: openNanos)
    }

    var json: JSONValue {
        .object([
            "failureThousandths": .unsigned(UInt64(failureThousandths)),
            "windowNanos": .integer(windowNanos),
            "minimumVerdicts": .unsigned(UInt64(minimumVerdicts)),
            "openNanos": .integer(openNanos),
        ])
    }
}

extension BreakerInfo {
    fileprivate var text: String {
        var text = state
        if position != .auto { text = position == .open ? "open, by hand" : "closed, by hand" }
        let total = acked &+ failed
        if total > 0 {
            text += ", \(failed) of \(total) verdicts failed "
            text += "(\(Units.share(thousandths: failureThousandths)))"
        }
        if let sinceNanos { text += ", since \(Units.timestamp(wallNanos: sinceNanos))" }
        if let probeNanos { text += ", probes at \(Units.timestamp(wallNanos: probeNanos))" }
        if let probe { text += ", offset \(probe) is out as a probe" }
        return text
    }

    var json: JSONValue {
        let switched =
            switch position {
            case .auto: "auto"
            case .open: "open"
            case .closed: "closed"
            }
        return .object([
            "switch": .string(switched), "state": .string(state), "acked": .unsigned(acked),
            "failed": .unsigned(failed),
            "failureThousandths": .unsigned(UInt64(failureThousandths)),
            "since": sinceNanos.map { .string(Units.timestamp(wallNanos: $0)) } ?? .null,
            "probeAt": probeNanos.map { .string(Units.timestamp(wallNanos: $0)) } ?? .null,
            "probe": probe.map { .unsigned($0) } ?? .null,
        ])
    }
}

extension PauseInfo {
    var json: JSONValue {
        .object([
            "since": .string(Units.timestamp(wallNanos: sinceNanos)),
            "until": untilNanos.map { .string(Units.timestamp(wallNanos: $0)) } ?? .null,
        ])
    }
}

extension Units {
    /// A share in thousandths: 50 %, 66.6 %.
    static func share(thousandths: UInt32) -> String {
        thousandths % 10 == 0
            ? "\(thousandths / 10) %" : "\(thousandths / 10).\(thousandths % 10) %"
    }
}
