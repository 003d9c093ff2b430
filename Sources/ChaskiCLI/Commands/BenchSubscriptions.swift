import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski bench subscriptions`.
struct BenchSubscriptions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscriptions",
        abstract: "Create many subscriptions, which stay.",
        discussion: "They are named PREFIX-0 and so on, on topics of the same names, in turn.")

    @Option(help: ArgumentHelp("Subscriptions to create.", valueName: "count"))
    var count = 1_000

    @Option(help: ArgumentHelp("Topics that they share.", valueName: "count"))
    var topics = 100

    @Option(help: ArgumentHelp("What their names begin with.", valueName: "text"))
    var prefix = "bench"

    @Option(help: ArgumentHelp("Requests at a time.", valueName: "count"))
    var tasks = 100

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...10_000_000).contains(count) else {
            throw ValidationError("--count must be between 1 and 10000000.")
        }
        guard (1...10_000).contains(topics) else {
            throw ValidationError("--topics must be between 1 and 10000.")
        }
        guard (1...200).contains(tasks) else {
            throw ValidationError("--tasks must be between 1 and 200.")
        }
    }

    func run() async throws {
        try await connection.withClient { client, kind in
            let progress = BenchProgress("subscriptions", isSilent: kind == .json)
            let latency = LatencyRecorder()
            try await each(min(topics, count)) { number in
                _ = try await client.createTopic("\(prefix)-\(number)")
            }
            let start = Clock.nanos()
            let reporting = Task { await progress.report() }
            defer { reporting.cancel() }
            try await each(count) { number in
                let before = Clock.nanos()
                _ = try await client.createSubscription(
                    "\(prefix)-\(number)", topic: "\(prefix)-\(number % topics)")
                latency.record(nanos: Clock.nanos() - before, count: 1)
                progress.add(1)
            }
            let report = BenchReport(
                name: "subscriptions", settings: ["topics": .integer(Int64(topics))],
                messages: progress.total, payloadBytes: 0,
                seconds: Double(Clock.nanos() - start) / 1e9, latencyOf: "creation latency",
                latency: latency.summary())
            if kind == .json { kind.print(report.json) } else { Terminal.lines(report.lines) }
        }
    }

    /// Calls `body` with 0..<count, some at a time.
    private func each(
        _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<count {
                if Interruption.shared.isRequested { break }
                if number >= tasks { _ = try await group.next() }
                group.addTask { try await body(number) }
            }
            try await group.waitForAll()
        }
    }
}
