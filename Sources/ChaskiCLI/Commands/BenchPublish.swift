import ArgumentParser
import ChaskiClient
import ChaskiModel
private import Synchronization

/// `chaski bench publish`.
struct BenchPublish: AsyncParsableCommand {
    enum Mode: String, ExpressibleByArgument, CaseIterable {
        /// `publish(batch:)`, some batches at a time.
        case batch
        /// `try await publish` of one message from many tasks.
        case single
    }

    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Publish as fast as it goes, or at a rate.")

    @Option(help: "batch: whole batches; single: one message a call from many tasks.")
    var mode = Mode.batch

    @Option(
        help: ArgumentHelp(
            "Calls at a time (batch: 6, single: 1000).", valueName: "count"))
    var tasks: Int?

    @Option(help: ArgumentHelp("Messages of a batch.", valueName: "count"))
    var batch = 1_000

    @Option(
        help: ArgumentHelp("Messages a second; as fast as it goes unless told.", valueName: "count")
    )
    var rate: Double?

    @Option(help: ArgumentHelp("End after this many messages.", valueName: "count"))
    var messages: UInt64?

    @Option(help: ArgumentHelp("Different keys.", valueName: "count"))
    var keys = 1_000

    @Option(
        help: ArgumentHelp("So many of 100 messages have the key \"busy\".", valueName: "percent"))
    var busy: UInt64 = 0

    @OptionGroup var bench: BenchOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...10_000).contains(batch) else {
            throw ValidationError("--batch must be between 1 and 10000.")
        }
        if let tasks, !(1...100_000).contains(tasks) {
            throw ValidationError("--tasks must be between 1 and 100000.")
        }
        if let rate, !(rate > 0 && rate <= 1e9) {
            throw ValidationError("--rate must be above 0.")
        }
        if messages == 0 { throw ValidationError("--messages must be above 0.") }
        guard (1...1_000_000).contains(keys) else {
            throw ValidationError("--keys must be between 1 and 1000000.")
        }
        guard busy <= 100 else { throw ValidationError("--busy is at most 100.") }
    }

    private var taskCount: Int { tasks ?? (mode == .batch ? 6 : 1_000) }
    private var step: Int { mode == .batch ? batch : 1 }

    func run() async throws {
        try await connection.withClient { client, kind in
            let topic = try await BenchTopic.make(bench.topic, with: client)
            let before = await client.storage(of: connection.namespaceName())
            let run = PublishRun(
                producer: client.producer(), topic: topic.name,
                workload: bench.workload(keys: keys, busyPercent: busy), step: step, rate: rate,
                messages: messages ?? .max, seconds: bench.seconds,
                progress: BenchProgress("messages", isSilent: kind == .json))
            let (start, end) = await run.run(tasks: taskCount)
            let after = await client.storage(of: connection.namespaceName())
            await topic.remove(with: client)
            var report = BenchReport(
                name: "publish",
                settings: [
                    "mode": .string(mode.rawValue), "tasks": .integer(Int64(taskCount)),
                    "batch": .integer(Int64(step)), "rate": rate.map { .number($0) } ?? .null,
                ],
                messages: run.progress.total, payloadBytes: bench.size.bytes,
                seconds: Double(end - start) / 1e9, latencyOf: "publish latency",
                latency: run.latency.summary())
            report.errors = run.progress.errors
            report.batches = run.groups.summary()
            if let before, let after { report.storage = after.since(before) }
            if let failure = run.firstFailure {
                report.notes.append("first error: \(failure.message)")
            }
            if kind == .json { kind.print(report.json) } else { Terminal.lines(report.lines) }
            if run.progress.total == 0, let failure = run.firstFailure { throw failure }
        }
    }
}

/// One run of `bench publish`.
final class PublishRun: Sendable {
    let progress: BenchProgress
    let latency = LatencyRecorder()
    let groups = GroupSizes()
    private let producer: Producer
    private let topic: String
    private let workload: Workload
    private let step: Int
    private let rate: Double?
    private let messages: UInt64
    private let seconds: DurationArgument
    private let next = Atomic<UInt64>(0)
    private let failure = Mutex<Failure?>(nil)

    var firstFailure: Failure? { failure.withLock { $0 } }

    init(
        producer: Producer, topic: String, workload: Workload, step: Int, rate: Double?,
        messages: UInt64, seconds: DurationArgument, progress: BenchProgress
    ) {
        self.producer = producer
        self.topic = topic
        self.workload = workload
        self.step = step
        self.rate = rate
        self.messages = messages
        self.seconds = seconds
        self.progress = progress
    }

    /// Runs until the time is over; when it began and ended, nanoseconds of `Clock`.
    func run(tasks: Int) async -> (Int64, Int64) {
        let start = Clock.nanos()
        let end = start + seconds.nanos
        let pacer = rate.map { Pacer(startNanos: start, rate: $0) }
        let reporting = Task { await progress.report() }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<tasks {
                group.addTask { await self.work(pacer, until: end) }
            }
        }
        reporting.cancel()
        return (start, Clock.nanos())
    }

    private func work(_ pacer: Pacer?, until end: Int64) async {
        while Clock.nanos() < end, !Interruption.shared.isRequested {
            let first = next.add(UInt64(step), ordering: .relaxed).oldValue
            guard first < messages else { return }
            var due = Clock.nanos()
            if let pacer {
                due = pacer.due(first &+ UInt64(step) - 1)
                guard due < end, (try? await pacer.wait(for: first &+ UInt64(step) - 1)) != nil
                else { return }
            }
            await publish(from: first, min(UInt64(step), messages - first), due: due)
        }
    }

    private func publish(from first: UInt64, _ count: UInt64, due: Int64) async {
        do {
            if step == 1 {
                let receipt = try await producer.publish(workload.message(first), to: topic)
                groups.add(receipt.appendTimeNanos, 1)
            } else {
                let messages = (0..<count).map { workload.message(first &+ $0) }
                let receipt = try await producer.publish(batch: messages, to: topic)
                groups.add(receipt.appendTimeNanos, Int(count))
            }
            latency.record(nanos: Clock.nanos() - due, count: count)
            progress.add(Int(count))
        } catch {
            progress.addError(Int(count))
            let problem =
                (error as? ChaskiError)?.failure
                ?? Failure(.unknown, FailureReason(rawValue: "unexpected"), "\(error)")
            failure.withLock { if $0 == nil { $0 = problem } }
            try? await Task.sleep(nanoseconds: 10_000_000)
        }
    }
}

/// Sizes of what was stored together: messages that bear one append time.
final class GroupSizes: Sendable {
    private struct State {
        var sizes: [Int64: Int] = [:]
        var newest: Int64 = .min
    }
    private let state = Mutex(State())
    private let distribution = SizeDistribution()
    private static let open = 8_192

    func add(_ appendTimeNanos: Int64, _ count: Int) {
        state.withLock { state in
            state.sizes[appendTimeNanos, default: 0] += count
            state.newest = max(state.newest, appendTimeNanos)
            guard state.sizes.count > Self.open else { return }
            // Old ones are complete: their answers have all come.
            for (time, size) in state.sizes where time < state.newest - 500_000_000 {
                distribution.record(size)
                state.sizes[time] = nil
            }
        }
    }

    func summary() -> SizeDistribution.Summary {
        state.withLock { state in
            for size in state.sizes.values { distribution.record(size) }
            state.sizes = [:]
        }
        return distribution.summary()
    }
}
