import ChaskiClient
import ChaskiModel

/// Dead letters that a filter found.
struct FoundDeadLetters {
    var letters: [DeadLetterInfo] = []
    /// How many match; more than are kept where only some were asked for.
    var count: UInt64 = 0
    var unreadable = 0
    /// Where to go on, where there may be more.
    var next: Offset?

    func noteUnreadable() {
        guard unreadable > 0 else { return }
        Terminal.note(
            "chaski: \(unreadable) dead messages cannot be read from disk and were passed over; "
                + "without --key and --attribute they are found")
    }
}

extension ChaskiClient {
    /// The first letters that match, at most `limit`; and where `countsAll`, how many there are.
    func find(
        _ subscription: String, _ filter: DeadLetterFilter, from: Offset = 0, limit: Int,
        countsAll: Bool = false
    ) async throws -> FoundDeadLetters {
        var found = FoundDeadLetters()
        var position: Offset? = from
        while let from = position, countsAll || found.letters.count < limit {
            let wanted = countsAll ? 1_000 : limit - found.letters.count
            let page = try await deadLetters(
                subscription: subscription, matching: filter, from: from,
                limit: UInt32(clamping: wanted))
            found.letters += page.letters.prefix(max(0, limit - found.letters.count))
            found.count += UInt64(page.letters.count)
            found.unreadable += page.unreadable
            position = page.next
        }
        found.next = position
        return found
    }

    func printDryRun(
        _ subscription: String, _ filter: DeadLetterFilter, _ what: String, _ kind: OutputKind
    ) async throws {
        let found = try await find(subscription, filter, limit: 20, countsAll: true)
        kind.print(
            found.letters.table, empty: "no dead message would be \(what)",
            json: .object([
                "count": .unsigned(found.count), "unreadable": .unsigned(UInt64(found.unreadable)),
                "first": .array(found.letters.map(\.json)),
            ]))
        if kind == .table, found.count > 0 {
            Terminal.line("\(Units.count(found.count, "dead message")) would be \(what)")
        }
        found.noteUnreadable()
    }
}

extension DeadLetterProgress {
    func print(_ what: String, _ subscription: String, _ kind: OutputKind) {
        switch kind {
        case .json:
            kind.print(
                .object([what: .unsigned(taken), "unreadable": .unsigned(UInt64(unreadable))]))
        case .table, .plain:
            Terminal.line(
                "\(what) \(Units.count(taken, "dead message")) of \(Text.printable(subscription))")
        }
        FoundDeadLetters(unreadable: unreadable).noteUnreadable()
    }
}

extension [DeadLetterInfo] {
    var table: TextTable {
        var table = TextTable([
            ("offset", .right), ("died", .left), ("cause", .left), ("failed", .right),
            ("handed out", .right), ("code", .left), ("reason", .left),
        ])
        for letter in self {
            table.append([
                String(letter.offset), Units.timestamp(wallNanos: letter.diedNanos), letter.cause,
                String(letter.failed), String(letter.handedOut), letter.code, letter.reason,
            ])
        }
        return table
    }
}

extension DeadLetterInfo {
    var json: JSONValue {
        .object([
            "offset": .unsigned(offset), "died": .string(Units.timestamp(wallNanos: diedNanos)),
            "cause": .string(cause), "code": .string(code), "reason": .string(reason),
            "failed": .unsigned(UInt64(failed)), "handedOut": .unsigned(UInt64(handedOut)),
            "redriven": .unsigned(UInt64(redriven)),
        ])
    }
}

extension AttemptInfo {
    /// One line for people.
    var line: String {
        var line = "\(Units.timestamp(wallNanos: endedNanos)) \(end) #\(handout)"
        if !code.isEmpty { line += " [\(Text.printable(code))]" }
        if !reason.isEmpty { line += " \(Text.printable(reason))" }
        if let delayNanos { line += " (again after \(Units.duration(nanos: delayNanos)))" }
        return line
    }

    var json: JSONValue {
        .object([
            "end": .string(end), "handout": .unsigned(UInt64(handout)),
            "session": session.map { .string(String($0.rawValue, radix: 16)) } ?? .null,
            "ended": .string(Units.timestamp(wallNanos: endedNanos)), "code": .string(code),
            "reason": .string(reason), "delayNanos": delayNanos.map { .integer($0) } ?? .null,
        ])
    }
}

extension Message {
    private static func text(_ bytes: [UInt8]) -> String {
        Text.decoded(bytes) ?? "base64:" + Base64.encode(bytes)
    }

    fileprivate func append(to fields: inout FieldList) {
        if let key { fields.append("key", Self.text(key)) }
        for attribute in attributes {
            fields.append("attribute", "\(attribute.name)=\(attribute.value)")
        }
        fields.append("payload", Self.text(payload))
    }

    var fields: FieldList {
        var fields = FieldList()
        append(to: &fields)
        return fields
    }

    fileprivate var keyJSON: JSONValue { key.map { .string(Self.text($0)) } ?? .null }
    fileprivate var payloadJSON: JSONValue { .string(Self.text(payload)) }
    fileprivate var attributesJSON: JSONValue {
        .array(
            attributes.map { .object(["name": .string($0.name), "value": .string($0.value)]) })
    }

    var json: JSONValue {
        .object(["key": keyJSON, "attributes": attributesJSON, "payload": payloadJSON])
    }
}

extension DeadLetterDetails {
    func fields(_ kind: OutputKind) -> FieldList {
        var fields = FieldList()
        fields.append("offset", String(letter.offset))
        fields.append("died", Units.timestamp(wallNanos: letter.diedNanos))
        fields.append("cause", letter.cause)
        fields.append("attempts", kind.count(UInt64(attemptCount)))
        fields.append("redriven", kind.count(UInt64(letter.redriven)))
        for (number, attempt) in attempts.enumerated() {
            fields.append("history \(number + 1)", attempt.line)
        }
        if let appendedNanos {
            fields.append("published", Units.timestamp(wallNanos: appendedNanos))
        }
        message?.append(to: &fields)
        if let unreadable { fields.append("cannot be read", unreadable.message) }
        return fields
    }

    var json: JSONValue {
        .object([
            "deadLetter": letter.json, "attemptCount": .unsigned(UInt64(attemptCount)),
            "attempts": .array(attempts.map(\.json)),
            "published": appendedNanos.map { .string(Units.timestamp(wallNanos: $0)) } ?? .null,
            "key": message?.keyJSON ?? .null,
            "attributes": message?.attributesJSON ?? .array([]),
            "payload": message?.payloadJSON ?? .null,
            "unreadable": unreadable.map { .string($0.message) } ?? .null,
        ])
    }
}
