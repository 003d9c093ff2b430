import ArgumentParser
import ChaskiClient
import ChaskiModel
private import Glibc
private import Synchronization

/// `chaski bench handle`.
struct BenchHandle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "handle",
        abstract: "Handle what a subscription has, as a service does that may be stuck or die.",
        discussion: """
            Acknowledges each message in the order of its key. Ends when nothing came for --quiet, \
            or after --seconds.
            """)

    @Argument(help: "Name of the subscription.")
    var subscription: String

    @Option(help: ArgumentHelp("Messages that are held at once.", valueName: "count"))
    var window = 20_000

    @Option(
        help: .duration(
            "How long a message takes; each is then confirmed before the next is taken."))
    var work: DurationArgument?

    @Option(help: ArgumentHelp("Hold messages of this key until the end.", valueName: "key"))
    var stuckKey: String?

    @Option(
        help: ArgumentHelp(
            "Kill this process with SIGKILL at the first message of this key.", valueName: "key"))
    var poisonKey: String?

    @Option(
        help: ArgumentHelp(
            """
            Append 24 bytes for each message that is taken: offset, number of its hand-out and \
            CLOCK_BOOTTIME in nanoseconds, little-endian.
            """, valueName: "file"))
    var record: String?

    @Option(help: .duration("End when nothing came for so long."))
    var quiet = DurationArgument(nanos: 3_000_000_000)

    @Option(help: .duration("End after this time at the latest."))
    var seconds = DurationArgument(nanos: 3_600_000_000_000)

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...100_000).contains(window) else {
            throw ValidationError("--window must be between 1 and 100000.")
        }
        guard quiet.nanos >= 100_000_000 else {
            throw ValidationError("--quiet must be at least 0.1.")
        }
    }

    func run() async throws {
        let records = try record.map { try HandlerRecords($0) }
        try await connection.withClient { client, kind in
            let deliveries = try await client.subscribe(
                subscription, SubscriptionConfiguration(maximumMessages: window))
            let run = HandleRun(
                work: work, stuckKey: stuckKey.map { Array($0.utf8) },
                poisonKey: poisonKey.map { Array($0.utf8) }, records: records,
                progress: BenchProgress("messages", isSilent: kind == .json))
            let reporting = Task { await run.progress.report() }
            let handling = Task { try await run.handle(deliveries) }
            let watching = Task {
                await run.waitForEnd(quiet: quiet, seconds: seconds)
                handling.cancel()
            }
            defer { watching.cancel() }
            try await handling.value
            reporting.cancel()
            await deliveries.close()
            let span = run.span
            var report = BenchReport(
                name: "handle", settings: ["window": .integer(Int64(window))],
                messages: run.progress.total, payloadBytes: 0,
                seconds: Double(span.last - span.first) / 1e9, latencyOf: "ack latency",
                latency: run.latency.summary())
            report.errors = run.progress.errors
            if stuckKey != nil { report.notes.append("held until the end: \(run.stuck)") }
            if kind == .json { kind.print(report.json) } else { Terminal.lines(report.lines) }
        }
    }
}

/// Where a handler writes down what it takes; what was written stays when the process is killed.
final class HandlerRecords: Sendable {
    private let file: Int32

    init(_ path: String) throws {
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard file >= 0 else {
            throw Failure(
                .invalidArgument, FailureReason(rawValue: "unwritable"),
                "cannot write \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(file) }

    func add(_ offset: UInt64, handout: UInt32) {
        let fields = [offset.littleEndian, UInt64(handout).littleEndian, Self.now.littleEndian]
        let wrote = fields.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        precondition(wrote == 24, "the record of a hand-out cannot be written")
    }

    private static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// One run of `bench handle`.
final class HandleRun: Sendable {
    let progress: BenchProgress
    let latency = LatencyRecorder()
    private let work: DurationArgument?
    private let stuckKey: [UInt8]?
    private let poisonKey: [UInt8]?
    private let records: HandlerRecords?
    private let held = Mutex<[Delivery]>([])
    private let waiting = Mutex<[Delivery]>([])
    private let taken = Atomic<UInt64>(0)
    private let first = Atomic<Int64>(0)
    private let last = Atomic<Int64>(0)
    private let isOver = Atomic(false)
    /// Requests of acks under way at once.
    private static let acksAtOnce = 16

    init(
        work: DurationArgument?, stuckKey: [UInt8]?, poisonKey: [UInt8]?, records: HandlerRecords?,
        progress: BenchProgress
    ) {
        self.work = work
        self.stuckKey = stuckKey
        self.poisonKey = poisonKey
        self.records = records
        self.progress = progress
    }

    /// From the first message to the last confirmed ack, nanoseconds of `Clock`.
    var span: (first: Int64, last: Int64) {
        let first = first.load(ordering: .relaxed)
        return (first, max(first, last.load(ordering: .relaxed)))
    }

    var stuck: Int { held.withLock { $0.count } }

    func waitForEnd(quiet: DurationArgument, seconds: DurationArgument) async {
        let start = Clock.nanos()
        var seen: (count: UInt64, at: Int64) = (0, start)
        while !Interruption.shared.isRequested {
            let now = Clock.nanos()
            let count = taken.load(ordering: .relaxed)
            if count != seen.count { seen = (count, now) }
            // What takes long is not quiet.
            if now - start >= seconds.nanos || now - seen.at >= quiet.nanos + (work?.nanos ?? 0) {
                return
            }
            if (try? await Task.sleep(nanoseconds: 20_000_000)) == nil { return }
        }
    }

    /// Until its task is cancelled; returns when all acks have an outcome.
    func handle(_ deliveries: Subscription) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.acknowledge(deliveries) }
            do {
                try await self.take(deliveries)
            } catch {
                isOver.store(true, ordering: .releasing)
                throw error
            }
            isOver.store(true, ordering: .releasing)
            try await group.waitForAll()
        }
    }

    private func take(_ deliveries: Subscription) async throws {
        for try await delivery in deliveries {
            if taken.add(1, ordering: .relaxed).oldValue == 0 {
                first.store(Clock.nanos(), ordering: .relaxed)
            }
            records?.add(delivery.offset, handout: delivery.handout)
            if let poisonKey, let key = delivery.key, key.elementsEqual(poisonKey) {
                kill(getpid(), SIGKILL)
            }
            if let stuckKey, let key = delivery.key, key.elementsEqual(stuckKey) {
                held.withLock { $0.append(delivery) }
                continue
            }
            guard let work else {
                waiting.withLock { $0.append(delivery) }
                continue
            }
            guard (try? await Task.sleep(nanoseconds: UInt64(max(0, work.nanos)))) != nil else {
                return
            }
            await confirm([delivery], deliveries)
        }
    }

    /// Acknowledges what was taken, in its order, a few requests at a time.
    private func acknowledge(_ deliveries: Subscription) async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            while true {
                let isLast = isOver.load(ordering: .acquiring)
                let chunk = waiting.withLock { waiting in
                    defer { waiting = [] }
                    return waiting
                }
                if chunk.isEmpty {
                    if isLast { break }
                    // Of a task that is not cancelled with the taking one.
                    await Task.detached { try? await Task.sleep(nanoseconds: 1_000_000) }.value
                    continue
                }
                if running >= Self.acksAtOnce {
                    await group.next()
                    running -= 1
                }
                running += 1
                group.addTask { await self.confirm(chunk, deliveries) }
            }
        }
    }

    private func confirm(_ chunk: [Delivery], _ deliveries: Subscription) async {
        let start = Clock.nanos()
        do {
            try await deliveries.acknowledge(chunk)
            let now = Clock.nanos()
            latency.record(nanos: now - start, count: UInt64(chunk.count))
            last.store(now, ordering: .relaxed)
            progress.add(chunk.count)
        } catch {
            progress.addError(chunk.count)
        }
    }
}
