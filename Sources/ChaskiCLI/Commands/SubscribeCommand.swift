import ArgumentParser
import ChaskiClient
import ChaskiModel
private import Synchronization

/// `chaski subscribe`.
struct SubscribeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscribe", abstract: "Receive the messages of a subscription.",
        discussion: """
            Each message is printed and acknowledged. With --exec a command handles it instead: it \
            gets the payload on standard input and CHASKI_ID, CHASKI_TOPIC, CHASKI_OFFSET, \
            CHASKI_KEY, CHASKI_HANDOUT, CHASKI_FAILED, CHASKI_ATTRIBUTE_<NAME> in its environment; \
            exit status 0 acknowledges, anything else is a failed attempt: the subscription's \
            policy decides when it is retried, or that it is dead. Ctrl-C lets running handlers \
            finish, gives back what was not handled, and exits with 0.

            A consumer that is killed gives nothing back: what it had in hand waits 10 s for it, \
            then others get it. So it is after a kill of the broker: what consumers may have had \
            in hand waits up to 10 s for them.

            What was printed counts as delivered. That holds for a pipe that is closed early too: \
            with | head what the pipe took is acknowledged, though head did not show all of it; \
            use --count to take so many and no more.
            """)

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @Option(
        help: ArgumentHelp("How to print: " + MessageFormat.help + " (raw).", valueName: "format"))
    var format: String?

    @Option(
        help: ArgumentHelp(
            "End after this many messages; with --exec: acknowledged ones.", valueName: "count"))
    var count: UInt64?

    @Flag(help: "Look only: give every message back, unacknowledged, at the end.")
    var noAck = false

    @Option(
        help: ArgumentHelp("Run this shell command for each message.", valueName: "command"))
    var exec: String?

    @Option(
        help: ArgumentHelp(
            "Commands of --exec at a time (4); on an ordered subscription one of each key.",
            valueName: "count"))
    var concurrency: Int?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let concurrency, !(1...64).contains(concurrency) {
            throw ValidationError("--concurrency must be between 1 and 64.")
        }
        if concurrency != nil, exec == nil {
            throw ValidationError("--concurrency goes with --exec.")
        }
        if exec != nil, noAck || format != nil {
            throw ValidationError("--exec excludes --no-ack and --format.")
        }
        if let exec, exec.allSatisfy(\.isWhitespace) {
            throw ValidationError("--exec needs a command.")
        }
        if count == 0 { throw ValidationError("--count must be above 0.") }
        if noAck, count == nil {
            throw ValidationError("--no-ack needs --count, at most 100000.")
        }
        if noAck, let count, count > 100_000 {
            throw ValidationError("--no-ack holds at most 100000 messages; lower --count.")
        }
    }

    func run() async throws {
        let kind = try connection.output.kind()
        let format = try MessageFormat(self.format ?? (kind == .json ? "json" : "raw"))
        try await connection.withClient { client, _ in
            let window = min(count ?? 1_000, noAck ? 100_000 : 1_000)
            var settings = SubscriptionConfiguration(maximumMessages: Int(window))
            if exec != nil { settings.maximumMessages = 4 * (concurrency ?? 4) }
            settings.onStall = Self.noteStall
            let deliveries = try await client.subscribe(subscription, settings)
            let work = Task {
                if let exec {
                    try await handle(deliveries, HandlerProcess(command: exec))
                } else {
                    try await show(deliveries, format)
                }
            }
            // Ends the wait for more; what is being handled is finished.
            let watching = Task {
                await Interruption.shared.wait()
                if Interruption.shared.isRequested { work.cancel() }
            }
            defer { watching.cancel() }
            try await work.value
            await deliveries.stop()
        }
    }

    private static func noteStall(_ error: ChaskiError?) {
        guard let error else { return Terminal.note("chaski: messages can be read again") }
        Terminal.note(
            "chaski: the next messages cannot be read: \(error.message); the broker tries again "
                + "each second. Where that does not help, a subscription with --start behind the "
                + "damage gets the rest.")
    }

    /// Prints and acknowledges; acks are confirmed before the command ends.
    private func show(_ deliveries: Subscription, _ format: MessageFormat) async throws {
        var left = count ?? .max
        let namespace = connection.namespaceName()
        try await withThrowingTaskGroup(of: Void.self) { group in
            var waiting = 0
            for try await delivery in deliveries {
                if Interruption.shared.isRequested { break }
                var bytes: [UInt8] = []
                format.write(delivery.received(namespace, subscription), into: &bytes)
                guard Terminal.write(bytes) else { break }
                if !noAck {
                    group.addTask { try await Self.confirm(delivery) }
                    waiting += 1
                    if waiting >= 512 {
                        _ = try await group.next()
                        waiting -= 1
                    }
                }
                left -= 1
                if left == 0 { break }
            }
            try await group.waitForAll()
        }
    }

    /// Acknowledges; a lease that was lost meanwhile is told, and no reason to end.
    private static func confirm(_ delivery: Delivery) async throws {
        do {
            try await delivery.ack()
        } catch let error as ChaskiError where error.reason == .stale {
            Terminal.note(
                "chaski: offset \(delivery.offset) was handed out again before it was acknowledged")
        }
    }

    /// Runs a command a message, some at a time (of one key, on an ordered subscription, one after
    /// the other), until `count` messages are acknowledged.
    private func handle(_ deliveries: Subscription, _ handler: HandlerProcess) async throws {
        deliveries.keepKeysApart()
        let limit = UInt64(clamping: concurrency ?? 4)
        let namespace = connection.namespaceName()
        var left = count ?? .max
        try await withThrowingTaskGroup(of: Bool.self) { group in
            var running: UInt64 = 0
            var iterator = deliveries.makeAsyncIterator()
            while left > 0, !Interruption.shared.isRequested {
                // No more are begun than may still be acknowledged.
                if running >= min(limit, left) {
                    if try await group.next() == true, count != nil { left -= 1 }
                    running -= 1
                    continue
                }
                guard let delivery = try await iterator.next(), !Interruption.shared.isRequested
                else { break }
                running += 1
                let message = delivery.received(namespace, subscription)
                group.addTask { try await Self.run(handler, message, delivery, deliveries) }
            }
            try await group.waitForAll()
        }
    }

    /// Whether the message was acknowledged.
    private static func run(
        _ handler: HandlerProcess, _ message: ReceivedMessage, _ delivery: Delivery,
        _ deliveries: Subscription
    ) async throws -> Bool {
        let outcome = await handler.run(message)
        do {
            if let problem = outcome.problem {
                Terminal.note(
                    "chaski: \(message.id): \(problem); failed attempt \(UInt64(message.failed) + 1), "
                        + "the subscription's policy decides")
                try await delivery.retry(reason: problem, code: outcome.code)
                return false
            }
            var isAcked = false
            defer { deliveries.ackEnded(delivery, isAcked: isAcked) }
            try await delivery.ack()
            isAcked = true
            return true
        } catch let error as ChaskiError where error.reason == .stale {
            Terminal.note("chaski: \(message.id) was handed out again while it was handled")
            return false
        }
    }
}

extension Delivery {
    /// What the command line shows of it.
    func received(_ namespace: String, _ subscription: String) -> ReceivedMessage {
        ReceivedMessage(
            namespace: namespace, topic: topic, subscription: subscription, offset: offset,
            key: message.key, attributes: message.attributes.map { ($0.name, $0.value) },
            payload: message.payload, appendTimeNanos: appendTimeNanos, handout: handout,
            failed: failedBefore)
    }
}
