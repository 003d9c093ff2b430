import ChaskiClient
import ChaskiModel

/// Handles the deliveries of some keys, one batch after the other.
actor DeliveryLane {
    private let load: DeliveryLoad
    private let client: ChaskiClient
    private let deliveries: Subscription
    private var waiting: [Item] = []
    private var isRunning = false

    private struct Item {
        var delivery: Delivery
        var value: VerifyValue
        var key: UInt64 { value.number % DeliveryPlan.keys }
    }

    init(load: DeliveryLoad, client: ChaskiClient, deliveries: Subscription) {
        self.load = load
        self.client = client
        self.deliveries = deliveries
    }

    func take(_ delivery: Delivery, _ value: VerifyValue) {
        waiting.append(Item(delivery: delivery, value: value))
        guard !isRunning else { return }
        isRunning = true
        Task { await run() }
    }

    private func run() async {
        while !waiting.isEmpty {
            let batch = Array(waiting.prefix(64))
            waiting.removeFirst(batch.count)
            await handle(batch)
        }
        isRunning = false
    }

    /// In order. Behind a message that is not done with, others of its key wait to be handed out
    /// again.
    private func handle(_ batch: [Item]) async {
        var keysBehind: Set<UInt64> = []
        var behind: [Item] = []
        var acks: [Item] = []
        var atomics: [Item] = []
        for item in batch {
            guard !keysBehind.contains(item.key) else {
                behind.append(item)
                continue
            }
            let delivery = item.delivery
            let step = DeliveryPlan(of: item.value)
                .step(failed: delivery.failedBefore, handout: delivery.handout)
            switch step {
            case .ack: acks.append(item)
            case .atomic: atomics.append(item)
            case .fail, .retry, .release:
                await settle(&acks, &atomics)
                keysBehind.insert(item.key)
                await settle(item, step)
            }
        }
        await settle(&acks, &atomics)
        for item in behind { await settle(item, .release) }
    }

    private func settle(_ acks: inout [Item], _ atomics: inout [Item]) async {
        let plain = acks
        let together = atomics
        acks = []
        atomics = []
        async let acked: Void = acknowledge(plain)
        await settle(atomically: together)
        await acked
    }

    /// All at once; where some are refused, each on its own, in order.
    private func acknowledge(_ items: [Item]) async {
        let sent = Clock.nanos()
        do {
            try await deliveries.acknowledge(items.map(\.delivery))
            for item in items { confirmed("ack", item, delay: -1, sent: sent) }
        } catch {
            for item in items { await settle(item, .ack) }
        }
    }

    private func settle(_ item: Item, _ step: DeliveryPlan.Step) async {
        let sent = Clock.nanos()
        let delivery = item.delivery
        var delay: Int64 = -1
        do {
            switch step {
            case .ack: try await delivery.ack()
            case .atomic: return await settle(atomically: [item])
            case .fail: try await delivery.fail(reason: "planned", code: "fail")
            case .release: try await delivery.release()
            case .retry(let nanos):
                delay = nanos ?? -1
                try await delivery.retry(
                    after: nanos.map { .nanoseconds($0) }, reason: "planned", code: "retry")
            }
            confirmed(step.word, item, delay: delay, sent: sent)
        } catch {
            await lost(step.word, item, error)
        }
    }

    /// One request for all; where that is refused, each on its own, in order.
    private func settle(atomically items: [Item]) async {
        guard !items.isEmpty else { return }
        var attempts = 0
        while true {
            let sent = Clock.nanos()
            do {
                try await client.atomically { request in
                    for item in items {
                        request.publish(
                            load.content.message(of: item.value, source: item.delivery.offset),
                            to: load.name("out"))
                        request.ack(item.delivery)
                    }
                }
                for item in items { confirmed("atomic", item, delay: -1, sent: sent) }
                return
            } catch {
                attempts += 1
                if items.count > 1 {
                    for item in items { await settle(atomically: [item]) }
                    return
                }
                // What is not known is asked for again: where it was done the token is used up.
                if Self.isOver(error) || attempts > 300 {
                    for item in items { await lost("atomic", item, error) }
                    return
                }
                try? await Task.sleep(nanoseconds: 100_000_000)
            }
        }
    }

    /// Whether the token is good for nothing any more.
    private static func isOver(_ error: any Error) -> Bool {
        guard let reason = (error as? ChaskiError)?.reason else { return false }
        return reason == .stale || reason == .alreadySettled
    }

    private func confirmed(_ verb: String, _ item: Item, delay: Int64, sent: Int64) {
        let delivery = item.delivery
        load.writer.append(
            line: "v \(verb) \(delivery.offset) \(delivery.epoch) \(delivery.handout) \(delay) "
                + "\(sent) \(Clock.nanos())")
    }

    /// What is still held is given back.
    private func lost(_ verb: String, _ item: Item, _ error: any Error) async {
        let reason = (error as? ChaskiError)?.reason.rawValue ?? "unexpected"
        let delivery = item.delivery
        load.writer.append(
            line: "x \(verb) \(delivery.offset) \(delivery.epoch) \(delivery.handout) \(reason)")
        if verb != "release", !Self.isOver(error) { try? await delivery.release() }
    }
}

extension DeliveryPlan.Step {
    fileprivate var word: String {
        switch self {
        case .ack: "ack"
        case .atomic: "atomic"
        case .fail: "fail"
        case .release: "release"
        case .retry: "retry"
        }
    }
}

/// Reads a topic from its beginning, at the end of a run.
struct DeliveryAudit {
    let load: DeliveryLoad
    let topic: String

    private static let patienceNanos: UInt64 = 120_000_000_000

    /// Whether all of it could be read in time.
    func read(_ client: ChaskiClient) async throws -> Bool {
        let next = try await client.topic(load.name(topic)).nextOffset
        var isComplete = true
        if next > 0 {
            let deliveries = try await client.subscribe(
                load.name("audit-\(topic)"), SubscriptionConfiguration(maximumMessages: 5_000))
            let reading = Task { try await read(deliveries, count: next) }
            let limit = Task {
                try await Task.sleep(nanoseconds: Self.patienceNanos)
                reading.cancel()
            }
            isComplete = try await reading.value
            limit.cancel()
            await deliveries.stop()
        }
        if isComplete {
            load.writer.mark("audited-\(topic)")
        } else {
            Terminal.note("chaski: topic \(topic) could not be read to its end")
        }
        return isComplete
    }

    private func read(_ deliveries: Subscription, count: UInt64) async throws -> Bool {
        var iterator = deliveries.makeAsyncIterator()
        var held: [Delivery] = []
        var seen: UInt64 = 0
        while seen < count {
            guard let delivery = try await iterator.next() else { return false }
            record(delivery)
            seen += 1
            held.append(delivery)
            if held.count >= 1_000 || seen == count {
                try await deliveries.acknowledge(held)
                held = []
            }
        }
        return true
    }

    private func record(_ delivery: Delivery) {
        let value = load.content.value(in: delivery.payload)
        let isIntact =
            value.map {
                load.content.isIntact(
                    $0, payload: Array(delivery.payload), key: delivery.key.map { Array($0) },
                    attribute: delivery.attribute(VerifyContent.attributeName))
            } ?? false
        // A dead letter's copy names the message as topic@offset.
        let source =
            delivery.attribute(DeliveryLoad.sourceName)
            ?? delivery.attribute("deadLetterOf")?.split(separator: "@").last.map { String($0) }
        let names = value.map { "\($0.producer) \($0.number)" } ?? "- -"
        load.writer.append(
            line: "l \(topic) \(delivery.offset) \(names) \(isIntact ? 1 : 0) \(source ?? "-")")
    }
}
