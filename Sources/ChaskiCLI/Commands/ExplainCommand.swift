import ArgumentParser
import ChaskiClient
import ChaskiModel

/// A message: its offset, or an id as TOPIC@OFFSET.
struct MessageArgument: ExpressibleByArgument {
    var topic: String?
    var offset: Offset

    init?(argument: String) {
        guard let at = argument.lastIndex(of: "@") else {
            guard let offset = Offset(argument), !argument.hasPrefix("+") else { return nil }
            self.offset = offset
            return
        }
        guard let offset = Offset(argument[argument.index(after: at)...]) else { return nil }
        self.offset = offset
        topic = String(argument[..<at])
    }
}

/// `chaski explain`.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say why nothing of a subscription, or a message, is being delivered.",
        discussion: """
            Every cause comes with the figures that prove it, the decisive one first: no consumer, \
            paused, an open breaker, a rate limit, messages that cannot be read, a full window, \
            consumers that hold as much as they may, leases, retries that wait, a full store of \
            dead letters.
            """)

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @Argument(help: "A message: its offset, or TOPIC@OFFSET.")
    var message: MessageArgument?

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let told = try await client.explain(subscription, offset: message?.offset)
            if let topic = message?.topic, topic != told.subscription.topic {
                throw ChaskiError(
                    code: .invalidArgument, reason: .unknownTopic,
                    message: "subscription \"\(subscription)\" is on topic "
                        + "\"\(told.subscription.topic)\", not on \"\(topic)\"")
            }
            kind.print(told.fields(message?.offset, kind), json: told.json(message?.offset))
        }
    }
}

extension ExplanationInfo {
    fileprivate func fields(_ offset: Offset?, _ kind: OutputKind) -> FieldList {
        var fields = FieldList()
        let item = subscription
        fields.append("subscription", item.name)
        if let offset, let state {
            fields.append("message", "\(item.topic)@\(offset): \(state)")
        }
        fields.append(
            "backlog",
            "\(kind.count(item.backlog)): \(kind.count(item.leased)) leased, "
                + "\(kind.count(item.waitingRetry)) waiting for retry, "
                + "\(kind.count(item.pendingAgain)) to be handed out again")
        if causes.isEmpty {
            fields.append("cause", "none: what waits goes out at the next opportunity")
        }
        for cause in causes { fields.append(cause.kind, cause.text + times(of: cause)) }
        return fields
    }

    /// Since when and until when, from the broker's now.
    private func times(of cause: CauseInfo) -> String {
        var parts: [String] = []
        if let since = cause.sinceNanos {
            parts.append("for \(Units.duration(nanos: distance(since, nowNanos)))")
        }
        if let until = cause.untilNanos {
            let left = distance(nowNanos, until)
            parts.append(
                left > 0
                    ? "\(Units.duration(nanos: left)) left, until "
                        + Units.timestamp(wallNanos: until)
                    : "at the next opportunity")
        }
        return parts.isEmpty ? "" : " (\(parts.joined(separator: "; ")))"
    }

    private func distance(_ from: Int64, _ to: Int64) -> Int64 {
        let distance = to.subtractingReportingOverflow(from)
        return distance.overflow ? .max : max(0, distance.partialValue)
    }

    fileprivate func json(_ offset: Offset?) -> JSONValue {
        .object([
            "subscription": subscription.json,
            "offset": offset.map { .unsigned($0) } ?? .null,
            "state": state.map { .string($0) } ?? .null,
            "causes": .array(causes.map(\.json)),
        ])
    }
}

extension CauseInfo {
    fileprivate var json: JSONValue {
        var object: JSONObject = ["kind": .string(kind), "text": .string(text)]
        if let sinceNanos {
            object.append("since", .string(Units.timestamp(wallNanos: sinceNanos)))
        }
        if let untilNanos {
            object.append("until", .string(Units.timestamp(wallNanos: untilNanos)))
        }
        if let offset { object.append("offset", .unsigned(offset)) }
        if let session {
            let digits = String(session.rawValue, radix: 16)
            let zeros = String(repeating: "0", count: 32 - digits.count)
            object.append("session", .string(zeros + digits))
        }
        if let count { object.append("count", .unsigned(count)) }
        if let limit { object.append("limit", .unsigned(limit)) }
        if let bytes { object.append("bytes", .unsigned(bytes)) }
        if let byteLimit { object.append("byteLimit", .unsigned(byteLimit)) }
        if let failure {
            object.append(
                "failure",
                .object([
                    "reason": .string(failure.reason.rawValue), "message": .string(failure.message),
                ]))
        }
        return .object(object)
    }
}
