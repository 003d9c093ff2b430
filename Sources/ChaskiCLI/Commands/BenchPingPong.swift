import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski bench pingpong`.
struct BenchPingPong: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pingpong",
        abstract: "One message at a time: from publish to delivery, through the disk.")

    @Option(
        help: ArgumentHelp(
            "Measure a 4 KiB write and sync in this folder too: the broker's data, if it is here.",
            valueName: "folder"))
    var data: String?

    @OptionGroup var bench: BenchOptions
    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client, kind in
            let topic = try await BenchTopic.make(bench.topic, with: client)
            let name = "pingpong-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
            _ = try await client.createSubscription(
                name, topic: topic.name, settings: SubscriptionSettings(start: .latest))
            let disk = try data.map { try DiskProbe.run(directory: $0, rounds: 2_000) }
            let run = PingPongRun(workload: bench.workload(), topic: topic.name)
            let start = Clock.nanos()
            do {
                try await run.run(
                    client, subscription: name, until: start + bench.seconds.nanos)
            } catch {
                try? await client.deleteSubscription(name)
                await topic.remove(with: client)
                throw error
            }
            let seconds = Double(Clock.nanos() - start) / 1e9
            try? await client.deleteSubscription(name)
            await topic.remove(with: client)
            let latency = run.delivered.summary()
            var report = BenchReport(
                name: "pingpong", settings: [:], messages: latency.count,
                payloadBytes: bench.size.bytes, seconds: seconds,
                latencyOf: "publish to delivery", latency: latency)
            report.moreLatencies = [("publish to OK", run.confirmed.summary())]
            if let disk { report.moreLatencies.append(("4 KiB write+fdatasync", disk)) }
            if kind == .json { kind.print(report.json) } else { Terminal.lines(report.lines) }
        }
    }
}

/// One run of `bench pingpong`.
final class PingPongRun: Sendable {
    let delivered = LatencyRecorder()
    let confirmed = LatencyRecorder()
    private let workload: Workload
    private let topic: String

    init(workload: Workload, topic: String) {
        self.workload = workload
        self.topic = topic
    }

    func run(
        _ client: ChaskiClient, subscription: String, until end: Int64
    ) async throws {
        let producer = client.producer()
        let deliveries = try await client.subscribe(subscription)
        var iterator = deliveries.makeAsyncIterator()
        var index: UInt64 = 0
        while Clock.nanos() < end, !Interruption.shared.isRequested {
            let message = workload.message(index)
            let start = Clock.nanos()
            async let receipt = confirm(producer, message, since: start)
            guard let delivery = try await iterator.next() else { break }
            delivered.record(nanos: Clock.nanos() - start)
            guard delivery.message.payload == message.payload else {
                throw Failure(
                    .dataLoss, .damaged,
                    "offset \(delivery.offset) brought another message than the one published")
            }
            _ = try await receipt
            try await delivery.ack()
            index += 1
        }
        await deliveries.stop()
    }

    private func confirm(
        _ producer: Producer, _ message: Message, since start: Int64
    ) async throws -> PublishReceipt {
        let receipt = try await producer.publish(message, to: topic)
        confirmed.record(nanos: Clock.nanos() - start)
        return receipt
    }
}
