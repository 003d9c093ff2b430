import ChaskiModel

/// The state behind `JournalIndex`.
struct IndexState {
    /// One journal file.
    struct FileEntry {
        var id: UInt64
        /// Bytes that it takes on the disk.
        var bytes: UInt64
        /// Where its groups end.
        var end: UInt64
        /// The topics with batches in it, in no order that matters.
        var topics: [TopicID]
        /// Topics at the front of `topics` known to be dead here; death is for ever.
        var deadTopics = 0
        var isClosed: Bool
        /// Its batches, until its sidecar is written.
        var memory: [TopicID: [BatchLocation]]?
        var upkeep = FileUpkeep()
    }

    let configuration: JournalConfiguration
    let identity: UInt128
    let salt: UInt32
    /// Ascending by id.
    var files: [FileEntry] = []
    var topics: [TopicID: TopicState] = [:]
    private var cache: BatchCache
    private var indexes: FileIndexCache
    private(set) var replayFrom = JournalPosition.none
    /// Ascending by serial.
    var segments: [SegmentEntry] = []
    var upkeep = UpkeepState()

    init(configuration: JournalConfiguration, identity: UInt128) {
        self.configuration = configuration
        self.identity = identity
        salt = FileHeader.salt(identity)
        cache = BatchCache(limit: configuration.cacheBytes)
        indexes = FileIndexCache(limit: configuration.indexCacheBytes)
    }

    // MARK: Opening

    /// - Parameters:
    ///   - bytes: what the file takes on the disk.
    ///   - moved: whether a segment holds what a topic had in it.
    mutating func addClosed(
        _ index: FileIndex, bytes: UInt64, hasSidecar: Bool, moved: (TopicID) -> Bool
    ) {
        var index = index
        index.topics.removeAll { moved($0.topic) }
        add(index, bytes: bytes, isClosed: true, inMemory: !hasSidecar)
    }

    mutating func addOpen(_ index: FileIndex, bytes: UInt64, replayFrom: JournalPosition) {
        add(index, bytes: bytes, isClosed: false, inMemory: true)
        self.replayFrom = replayFrom
    }

    private mutating func add(
        _ index: FileIndex, bytes: UInt64, isClosed: Bool, inMemory: Bool
    ) {
        precondition(files.last.map { $0.id < index.file } ?? true, "files come in order")
        var memory: [TopicID: [BatchLocation]] = [:]
        for run in index.topics {
            if inMemory {
                memory[run.topic] = Array(index.locations[run.start..<(run.start + run.count)])
            }
            topics[run.topic, default: TopicState()].extend(
                file: index.file, first: run.first, end: run.end, bytes: run.bytes)
        }
        files.append(
            FileEntry(
                id: index.file, bytes: bytes, end: index.end, topics: index.topics.map(\.topic),
                isClosed: isClosed, memory: inMemory ? memory : nil))
    }

    // MARK: What the journal did

    mutating func apply(_ receipt: CommitReceipt) {
        precondition(receipt.locations.count == receipt.bodies.count, "one body per location")
        if files.last?.id != receipt.file {
            precondition((files.last?.id ?? 0) < receipt.file, "receipts come in commit order")
            if !files.isEmpty { files[files.count - 1].isClosed = true }
            files.append(
                FileEntry(
                    id: receipt.file, bytes: UInt64(configuration.fileBytes),
                    end: receipt.fileEnd, topics: [], isClosed: false, memory: [:]))
        }
        let last = files.count - 1
        files[last].end = receipt.fileEnd
        for (location, body) in zip(receipt.locations, receipt.bodies) {
            let topic = location.topic
            if files[last].memory?[topic] == nil { files[last].topics.append(topic) }
            files[last].memory?[topic, default: []].append(location)
            topics[topic, default: TopicState()].extend(
                file: receipt.file, first: location.baseOffset, end: location.endOffset,
                bytes: UInt64(location.length))
            remember(location, body)
        }
        replayFrom = receipt.replayFrom
        evict()
    }

    private mutating func remember(_ location: BatchLocation, _ body: Bytes) {
        let batch = StoredBatch(
            topic: location.topic, baseOffset: location.baseOffset, count: location.count,
            bytes: body)
        topics[location.topic]?.recent.append(batch)
        cache.added(batch)
    }

    private mutating func evict() {
        while let topic = cache.nextToEvict() {
            if let batch = topics[topic]?.recent.removeFirst() { cache.removed(batch) }
        }
    }

    mutating func apply(_ report: MaintenanceReport) {
        for file in report.indexed {
            if let at = position(of: file), files[at].isClosed { files[at].memory = nil }
        }
        if let done = report.upkeep { upkeepDone(done, removed: report.removed) }
    }

    // MARK: What nobody needs

    mutating func released(_ topic: TopicID, _ range: Range<Offset>) {
        topics[topic]?.released.insert(range)
    }

    mutating func topicRemoved(_ topic: TopicID) {
        guard var state = topics[topic] else { return }
        for batch in state.recent.all { cache.removed(batch) }
        state.recent = RecentBatches()
        state.isRemoved = true
        topics[topic] = state
    }

    mutating func retainOnly(_ kept: [(topic: TopicID, from: Offset)]) {
        var from: [TopicID: Offset] = [:]
        for entry in kept { from[entry.topic] = entry.from }
        for topic in topics.keys.sorted() {
            if let first = from[topic] {
                topics[topic]?.released.insert(0..<first)
            } else {
                topicRemoved(topic)
            }
        }
    }

    mutating func takeDroppableFiles(limit: Int) -> [RetiredFile] {
        var taken: [RetiredFile] = []
        var index = 0
        while index < files.count, files[index].id < replayFrom.file, taken.count < limit {
            if !files[index].upkeep.isBusy, isDead(at: index) {
                let file = files.remove(at: index)
                forget(file)
                taken.append(RetiredFile(file: file.id, end: file.end))
            } else {
                index += 1
            }
        }
        return taken
    }

    mutating func hasFileForCheckpointOnly() -> Bool {
        files.indices.contains {
            files[$0].id >= replayFrom.file && files[$0].isClosed
                && (isDead(at: $0) || aliveBytes(at: $0) <= files[$0].bytes / 2)
        }
    }

    mutating func isDead(at index: Int) -> Bool {
        guard files[index].isClosed else { return false }
        while files[index].deadTopics < files[index].topics.count {
            let topic = files[index].topics[files[index].deadTopics]
            guard topics[topic]?.isDead(in: files[index].id) ?? true else { return false }
            files[index].deadTopics += 1
        }
        return true
    }

    private mutating func forget(_ file: FileEntry) {
        indexes.remove(.journal(file.id))
        for topic in file.topics {
            topics[topic]?.removeRun(in: file.id)
            forgetIfEmpty(topic)
        }
    }

    /// Forgets a topic of which no file holds anything.
    mutating func forgetIfEmpty(_ topic: TopicID) {
        guard let state = topics[topic], state.runs.isEmpty else { return }
        for batch in state.recent.all { cache.removed(batch) }
        topics[topic] = nil
    }

    mutating func forgetIndex(of file: BatchFile) { indexes.remove(file) }

    // MARK: Reading

    mutating func read(_ topic: TopicID, from: Offset, maximumBytes: Int) -> ReadOutcome {
        guard let state = topics[topic], !state.isRemoved, from < state.end else { return .end }
        if let first = state.recent.first, first <= from {
            return .ready(state.recent.batches(from: from, maximumBytes: maximumBytes))
        }
        guard let run = state.run(from: from) else { return .end }
        return read(
            run,
            LoadPlan(
                topic: topic, from: max(from, run.first), maximumBytes: maximumBytes,
                file: run.segment.map { .segment($0) } ?? .journal(run.file), fileEnd: 0,
                salt: salt,
                locations: nil))
    }

    private mutating func read(_ run: TopicState.Run, _ unfinished: LoadPlan) -> ReadOutcome {
        var plan = unfinished
        if case .journal(let id) = plan.file {
            guard let at = position(of: id) else { return .end }
            plan.fileEnd = files[at].end
            if let rows = files[at].memory?[plan.topic] {
                plan.locations = BatchLocation.select(
                    rows[...], from: plan.from, maximumBytes: plan.maximumBytes)
                return .load(plan)
            }
        }
        if let index = indexes.index(of: plan.file) {
            plan.locations = index.select(
                plan.topic, from: plan.from, maximumBytes: plan.maximumBytes)
        }
        return .load(plan)
    }

    mutating func finish(_ result: LoadResult) -> ReadOutcome {
        let plan = result.plan
        guard isThere(plan.file), topics[plan.topic]?.isRemoved == false else {
            // The file went away meanwhile: what the plan read is not to be believed.
            return read(plan.topic, from: plan.from, maximumBytes: plan.maximumBytes)
        }
        if let index = result.index { indexes.insert(index, of: plan.file) }
        switch result.body {
        case .batches(let batches): return .ready(batches)
        case .damaged(let failure): return .damaged(failure)
        }
    }

    private func isThere(_ file: BatchFile) -> Bool {
        switch file {
        case .journal(let id): position(of: id) != nil
        case .segment(let id): position(of: id) != nil
        }
    }

    func storedBytes(_ topic: TopicID) -> UInt64 {
        topics[topic]?.runs.reduce(0) { $0 &+ $1.bytes } ?? 0
    }

    func position(of segment: SegmentID) -> Int? {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].id.serial < segment.serial {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < segments.count && segments[low].id == segment ? low : nil
    }

    func position(of file: UInt64) -> Int? {
        var low = 0
        var high = files.count
        while low < high {
            let middle = (low + high) / 2
            if files[middle].id < file { low = middle + 1 } else { high = middle }
        }
        return low < files.count && files[low].id == file ? low : nil
    }
}
