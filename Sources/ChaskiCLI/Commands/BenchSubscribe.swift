import ArgumentParser
import ChaskiClient
import ChaskiModel
private import Synchronization

/// `chaski bench subscribe`.
struct BenchSubscribe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscribe",
        abstract: "Fill a topic, then receive it with individual acks in shuffled order.")

    @Option(help: ArgumentHelp("Messages to fill the topic with.", valueName: "count"))
    var messages: UInt64 = 2_000_000

    @Flag(help: "Do not fill: receive what --topic holds.")
    var existing = false

    @Option(
        help: ArgumentHelp(
            "Consumers that share the subscription, each with its connection.", valueName: "count"))
    var consumers = 1

    @Option(help: ArgumentHelp("Messages that a consumer may hold.", valueName: "count"))
    var window = 20_000

    @OptionGroup var bench: BenchOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if existing, bench.topic == nil { throw ValidationError("--existing needs --topic.") }
        guard (1...64).contains(consumers) else {
            throw ValidationError("--consumers must be between 1 and 64.")
        }
        guard (1...100_000).contains(window) else {
            throw ValidationError("--window must be between 1 and 100000.")
        }
    }

    func run() async throws {
        try await connection.withClient { client, kind in
            let topic = try await BenchTopic.make(bench.topic, with: client)
            do {
                if !existing { try await fill(topic.name, client, isSilent: kind == .json) }
                try await measure(topic.name, client, kind)
            } catch {
                await topic.remove(with: client)
                throw error
            }
            await topic.remove(with: client)
        }
    }

    private func fill(_ topic: String, _ client: ChaskiClient, isSilent: Bool) async throws {
        if !isSilent { Terminal.note("filling \(topic) with \(Units.grouped(messages)) messages") }
        let producer = client.producer()
        let workload = bench.workload()
        let step: UInt64 = 1_000
        try await withThrowingTaskGroup(of: Void.self) { group in
            var running = 0
            var first: UInt64 = 0
            while first < messages, !Interruption.shared.isRequested {
                let range = first..<min(first + step, messages)
                first = range.upperBound
                group.addTask {
                    _ = try await producer.publish(
                        batch: range.map { workload.message($0) }, to: topic)
                }
                running += 1
                if running >= 6 {
                    _ = try await group.next()
                    running -= 1
                }
            }
            try await group.waitForAll()
        }
    }

    private func measure(
        _ topic: String, _ client: ChaskiClient, _ kind: OutputKind
    ) async throws {
        let info = try await client.topic(topic)
        let name = "bench-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        _ = try await client.createSubscription(name, topic: topic)
        let run = SubscribeRun(
            total: info.held, firstOffset: info.firstOffset,
            progress: BenchProgress("messages", isSilent: kind == .json))
        let before = await client.storage(of: connection.namespaceName())
        let start = Clock.nanos()
        let end = start + bench.seconds.nanos
        let reporting = Task { await run.progress.report() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<consumers {
                group.addTask {
                    let own = try await connection.connect(name: "bench-\(number)")
                    try await run.consume(own, name, window: window, until: end)
                    await own.close()
                }
            }
            try await group.waitForAll()
        }
        reporting.cancel()
        let after = await client.storage(of: connection.namespaceName())
        try? await client.deleteSubscription(name)
        var report = BenchReport(
            name: "subscribe",
            settings: [
                "consumers": .integer(Int64(consumers)), "window": .integer(Int64(window)),
                "held": .unsigned(info.held),
            ],
            messages: run.progress.total, payloadBytes: bench.size.bytes,
            seconds: Double(run.lastNanos - start) / 1e9, latencyOf: "ack latency",
            latency: run.latency.summary())
        report.errors = run.progress.errors
        report.batches = run.chunks.summary()
        if run.repeated > 0 { report.notes.append("delivered more than once: \(run.repeated)") }
        if let before, let after { report.storage = after.since(before) }
        if kind == .json { kind.print(report.json) } else { Terminal.lines(report.lines) }
    }
}

/// One run of `bench subscribe`.
final class SubscribeRun: Sendable {
    let progress: BenchProgress
    let latency = LatencyRecorder()
    let chunks = SizeDistribution()
    private let total: UInt64
    private let firstOffset: UInt64
    private let seen: Mutex<[UInt64]>
    private let last = Atomic<Int64>(0)
    private let again = Atomic<UInt64>(0)
    private let received = Atomic<UInt64>(0)
    private static let chunk = 1_000
    private static let pool = 8_192
    private static let chunksAtOnce = 16

    init(total: UInt64, firstOffset: UInt64, progress: BenchProgress) {
        self.total = total
        self.firstOffset = firstOffset
        self.progress = progress
        seen = Mutex([UInt64](repeating: 0, count: Int(clamping: min(total, 1 << 36) / 64 + 1)))
    }

    var lastNanos: Int64 { last.load(ordering: .relaxed) }
    var repeated: UInt64 { again.load(ordering: .relaxed) }

    func consume(
        _ client: ChaskiClient, _ name: String, window: Int, until end: Int64
    ) async throws {
        let deliveries = try await client.subscribe(
            name, SubscriptionConfiguration(maximumMessages: window))
        // The end of the time, or of the messages, ends the wait for more.
        let pool = max(1, min(window / 2, Self.pool))
        let work = Task { try await self.receive(deliveries, pool: pool) }
        let watching = Task {
            while Clock.nanos() < end, !Interruption.shared.isRequested,
                self.received.load(ordering: .relaxed) < self.total
            {
                try await Task.sleep(nanoseconds: 5_000_000)
            }
            work.cancel()
        }
        defer { watching.cancel() }
        try await work.value
        await deliveries.stop()
    }

    /// Acks each delivery on its own, in an order shuffled across `pool` deliveries: a newcomer
    /// takes the place of a random one, which is then acked.
    private func receive(_ deliveries: Subscription, pool: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var random = SplitMix(seed: firstOffset)
            var waiting: [Delivery] = []
            waiting.reserveCapacity(pool)
            var chunk: [Delivery] = []
            var running = 0
            for try await delivery in deliveries {
                received.add(1, ordering: .relaxed)
                if waiting.count < pool {
                    waiting.append(delivery)
                } else {
                    let place = Int.random(in: 0..<pool, using: &random)
                    chunk.append(waiting[place])
                    waiting[place] = delivery
                }
                guard chunk.count >= Self.chunk else { continue }
                if running >= Self.chunksAtOnce {
                    _ = try await group.next()
                    running -= 1
                }
                running += 1
                group.addTask { [chunk] in await self.acknowledge(chunk, deliveries) }
                chunk = []
                chunk.reserveCapacity(Self.chunk)
            }
            let rest = chunk + waiting.shuffled(using: &random)
            if !rest.isEmpty { group.addTask { await self.acknowledge(rest, deliveries) } }
            try await group.waitForAll()
        }
    }

    /// Returns when all are confirmed.
    private func acknowledge(_ chunk: [Delivery], _ deliveries: Subscription) async {
        mark(chunk)
        let start = Clock.nanos()
        do {
            try await deliveries.acknowledge(chunk)
            let now = Clock.nanos()
            latency.record(nanos: now - start, count: UInt64(chunk.count))
            chunks.record(chunk.count)
            last.store(now, ordering: .relaxed)
            progress.add(chunk.count)
        } catch {
            progress.addError(chunk.count)
        }
    }

    private func mark(_ chunk: [Delivery]) {
        let repeated = seen.withLock { seen in
            var repeated: UInt64 = 0
            for delivery in chunk {
                let place = delivery.offset &- firstOffset
                let word = Int(clamping: place / 64)
                guard word < seen.count else { continue }
                let bit = UInt64(1) << (place % 64)
                if seen[word] & bit != 0 { repeated += 1 }
                seen[word] |= bit
            }
            return repeated
        }
        if repeated > 0 { again.add(repeated, ordering: .relaxed) }
    }
}
