import ChaskiClient
import ChaskiModel

extension PublishCommand {
    /// `publish --atomic`: all lines of standard input, each with its topic, in one request.
    func publishAtomically(_ client: ChaskiClient, _ kind: OutputKind) async throws {
        let drafts = try readAll()
        guard !drafts.isEmpty else {
            throw Failure(
                .invalidArgument, .invalidSetting,
                "nothing to publish: standard input has no line; each is a JSON object with a "
                    + "\"topic\" and a \"payload\"")
        }
        if create {
            var made: Set<String> = []
            for draft in drafts {
                guard let topic = draft.topic, made.insert(topic).inserted else { continue }
                try await Self.create(topic, client)
            }
        }
        let receipt = try await client.atomically { request in
            for draft in drafts { request.publish(draft.message, to: draft.topic ?? "") }
        }
        var table = TextTable([("topic", .left), ("offset", .right), ("", .left)])
        for message in receipt.messages {
            table.append([
                message.topic, String(message.offset), message.duplicate ? "stored before" : "",
            ])
        }
        let list = receipt.messages.map { message in
            JSONValue.object([
                "topic": .string(message.topic), "offset": .unsigned(message.offset),
                "duplicate": .bool(message.duplicate),
            ])
        }
        kind.print(
            table, empty: "nothing was published",
            json: .object([
                "published": .unsigned(UInt64(receipt.messages.count)), "messages": .array(list),
            ]))
    }

    private func readAll() throws -> [MessageDraft] {
        var reader = LineReader(
            descriptor: 0, closes: false, maximumLineBytes: 2 * Limits.payloadBytesMaximum)
        let defaults = MessageDraft(
            payload: [], key: key.map { Array($0.utf8) },
            attributes: attributes.compactMap { MessageDraft.Attribute($0) }, topic: topic)
        var drafts: [MessageDraft] = []
        while let line = try reader.next() {
            let number = drafts.count + 1
            guard number <= Limits.batchMessagesMaximum else {
                throw Failure(
                    .invalidArgument, .tooMany,
                    "one atomic request takes at most \(Limits.batchMessagesMaximum) messages")
            }
            let draft = try MessageDraft(
                json: line, number: number, defaults: defaults, takesTopic: true)
            guard draft.topic != nil else {
                throw Failure(
                    .invalidArgument, .invalidSetting,
                    "line \(number) of the input has no \"topic\"; give it one, or name TOPIC for "
                        + "all lines that have none")
            }
            drafts.append(draft)
        }
        return drafts
    }
}

extension MessageDraft {
    /// As it is published.
    var message: Message {
        Message(
            payload, key: key, attributes: attributes.map { .init($0.name, $0.value) },
            dedupID: dedupID)
    }
}
