import ChaskiModel

/// The state behind `JournalIndex`.
struct IndexState {
    /// One journal file.
    private struct FileEntry {
        var id: UInt64
        /// Where its groups end.
        var end: UInt64
        /// The topics with batches in it, in no order that matters.
        var topics: [TopicID]
        /// Topics at the front of `topics` known to be dead here; death is for ever.
        var deadTopics = 0
        var isClosed: Bool
        /// Its batches, until its sidecar is written.
        var memory: [TopicID: [BatchLocation]]?
    }

    private let salt: UInt32
    /// Ascending by id.
    private var files: [FileEntry] = []
    private var topics: [TopicID: TopicState] = [:]
    private var cache: BatchCache
    private var indexes: FileIndexCache
    private var replayFrom = JournalPosition.none

    init(configuration: JournalConfiguration, salt: UInt32) {
        self.salt = salt
        cache = BatchCache(limit: configuration.cacheBytes)
        indexes = FileIndexCache(limit: configuration.indexCacheBytes)
    }

    // MARK: Opening

    mutating func addClosed(_ index: FileIndex, hasSidecar: Bool) {
        add(index, isClosed: true, inMemory: !hasSidecar)
    }

    mutating func addOpen(_ index: FileIndex, replayFrom: JournalPosition) {
        add(index, isClosed: false, inMemory: true)
        self.replayFrom = replayFrom
    }

    private mutating func add(_ index: FileIndex, isClosed: Bool, inMemory: Bool) {
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
                id: index.file, end: index.end, topics: index.topics.map(\.topic),
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
                    id: receipt.file, end: receipt.fileEnd, topics: [], isClosed: false,
                    memory: [:]))
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

    mutating func takeDroppableFiles(limit: Int) -> [UInt64] {
        var taken: [UInt64] = []
        var index = 0
        while index < files.count, files[index].id < replayFrom.file, taken.count < limit {
            if isDead(at: index) {
                let file = files.remove(at: index)
                forget(file)
                taken.append(file.id)
            } else {
                index += 1
            }
        }
        return taken
    }

    mutating func hasFileForCheckpointOnly() -> Bool {
        files.indices.contains { files[$0].id >= replayFrom.file && isDead(at: $0) }
    }

    private mutating func isDead(at index: Int) -> Bool {
        guard files[index].isClosed else { return false }
        while files[index].deadTopics < files[index].topics.count {
            let topic = files[index].topics[files[index].deadTopics]
            guard topics[topic]?.isDead(in: files[index].id) ?? true else { return false }
            files[index].deadTopics += 1
        }
        return true
    }

    private mutating func forget(_ file: FileEntry) {
        indexes.remove(file.id)
        for topic in file.topics {
            topics[topic]?.removeRun(in: file.id)
            guard let state = topics[topic], state.runs.isEmpty else { continue }
            for batch in state.recent.all { cache.removed(batch) }
            topics[topic] = nil
        }
    }

    // MARK: Reading

    mutating func read(_ topic: TopicID, from: Offset, maximumBytes: Int) -> ReadOutcome {
        guard let state = topics[topic], !state.isRemoved, from < state.end else { return .end }
        if let first = state.recent.first, first <= from {
            return .ready(state.recent.batches(from: from, maximumBytes: maximumBytes))
        }
        guard let run = state.run(from: from), let at = position(of: run.file) else { return .end }
        var plan = LoadPlan(
            topic: topic, from: max(from, run.first), maximumBytes: maximumBytes, file: run.file,
            fileEnd: files[at].end, salt: salt, locations: nil)
        if let rows = files[at].memory?[topic] {
            plan.locations = BatchLocation.select(
                rows[...], from: plan.from, maximumBytes: maximumBytes)
        } else if let index = indexes.index(of: run.file) {
            plan.locations = index.select(topic, from: plan.from, maximumBytes: maximumBytes)
        }
        return .load(plan)
    }

    mutating func finish(_ result: LoadResult) -> ReadOutcome {
        let plan = result.plan
        guard position(of: plan.file) != nil, topics[plan.topic]?.isRemoved == false else {
            // The file went away meanwhile: what the plan read is not to be believed.
            return read(plan.topic, from: plan.from, maximumBytes: plan.maximumBytes)
        }
        if let index = result.index { indexes.insert(index) }
        switch result.body {
        case .batches(let batches): return .ready(batches)
        case .damaged(let failure): return .damaged(failure)
        }
    }

    func storedBytes(_ topic: TopicID) -> UInt64 {
        topics[topic]?.runs.reduce(0) { $0 &+ $1.bytes } ?? 0
    }

    private func position(of file: UInt64) -> Int? {
        var low = 0
        var high = files.count
        while low < high {
            let middle = (low + high) / 2
            if files[middle].id < file { low = middle + 1 } else { high = middle }
        }
        return low < files.count && files[low].id == file ? low : nil
    }
}
