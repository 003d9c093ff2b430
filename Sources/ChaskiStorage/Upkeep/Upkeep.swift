import ChaskiModel

/// Carries out one plan at a time, in slices; belongs to a thread of low priority.
struct Upkeep: Sendable {
    private enum Task: Sendable {
        case retirement(Retirement, [RetiredFile], [SegmentID])
        case compaction(Compactor)
    }

    private let fileSystem: any FileSystem
    private var history: HistoryWriter
    private var task: Task?
    /// What the last retirement let go of, kept open: whoever closes a removed file waits for its
    /// blocks to be freed, and so does each sync meanwhile. See `RemovedFiles`.
    private var held: [(name: String, file: any File)] = []
    private var removed = RemovedFiles([])

    /// A slice frees so many bytes in the place of one that is read or written, and counts as so
    /// many slices: with 256 KiB at 32 MiB/s the file system is busy with it a quarter of the time.
    private static let freedPerMoved = 16
    private static let slicesPerFreed = 3

    init(fileSystem: any FileSystem, history: HistoryWriter) {
        self.fileSystem = fileSystem
        self.history = history
    }

    mutating func begin(_ plan: UpkeepPlan) {
        precondition(task == nil, "one plan at a time")
        switch plan {
        case .retire(let files, let segments, let freeing):
            removed = RemovedFiles(held.filter { freeing.contains($0.name) }.map(\.file))
            held = []
            task = .retirement(Retirement(files, fileSystem), files, segments)
        case .compact(let plan): task = .compaction(Compactor(plan, fileSystem))
        }
    }

    mutating func step(maximumBytes: Int, now: Now, lend: () -> Bool) -> UpkeepStep {
        guard let current = task else { preconditionFailure("a step of nothing") }
        if removed.shrink(by: maximumBytes * Self.freedPerMoved) {
            return .working(bytes: maximumBytes * Self.slicesPerFreed)
        }
        // Taken out, so that it is not copied.
        task = nil
        switch current {
        case .retirement(var retirement, let files, let segments):
            if let bytes = retirement.step(&history, maximumBytes: maximumBytes, now: now) {
                task = .retirement(retirement, files, segments)
                return .working(bytes: bytes)
            }
            return .finished(finish(files, segments, now))
        case .compaction(var compactor):
            switch compactor.step(maximumBytes: maximumBytes, lend: lend) {
            case .working(let bytes):
                task = .compaction(compactor)
                return .working(bytes: bytes)
            case .over(let outcome, let removals): return .finished(finish(outcome, removals))
            }
        }
    }

    private mutating func finish(
        _ files: [RetiredFile], _ segments: [SegmentID], _ now: Now
    ) -> UpkeepResult {
        var result = UpkeepResult()
        result.retired = files
        result.segments = segments
        let names =
            files.map { JournalName.journal($0.file) } + segments.map(JournalName.segmentFile)
        held = names.compactMap { name in (try? fileSystem.open(name)).map { (name, $0) } }
        if history.isEnabled {
            history.finish(now: now)
            result.named = history.takeNaming()
            history.prune(now: now, isForced: result.named != nil)
        }
        let report = history.takeReport()
        result.figures = report.figures
        result.warnings = report.warnings
        result.removals = report.removals
        return result
    }

    private func finish(_ outcome: CompactionOutcome, _ removals: [String]) -> UpkeepResult {
        var result = UpkeepResult()
        result.removals = removals
        switch outcome.end {
        case .done:
            result.figures.compactions = UInt64(outcome.plan.sources.count)
            result.figures.bytesCopied = outcome.bytes
            for made in outcome.made where made != nil { result.figures.segmentsMade += 1 }
        case .notWorth: break
        case .noSpace: result.figures.compactionsGivenUp = 1
        case .unreadable(let what):
            result.figures.compactionsGivenUp = 1
            result.warnings.append("a file keeps its space, as it cannot be compacted: \(what)")
        case .failed: result.figures.compactionsGivenUp = 1
        }
        result.compaction = outcome
        return result
    }
}
