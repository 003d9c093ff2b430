import ChaskiModel
import ChaskiSimulation
import ChaskiStorage

/// Small journals over a simulated disk.
enum Small {
    static let configuration = JournalConfiguration(
        fileBytes: 32 << 10, reserveBytes: 64 << 10, checkpointBytes: 64 << 10,
        maximumGroupBytes: 16 << 10, cacheBytes: 0, indexCacheBytes: 64 << 10, filesAhead: 1,
        spacePollNanos: 1_000_000_000)
    static let clock = ClockReading(wallNanos: 1_000_000_000_000, bootNanos: 50, bootID: 7)
    static let topic = TopicID(rawValue: 1)
    static let other = TopicID(rawValue: 2)

    /// A body that tells which offset it was written for.
    static func body(_ topic: TopicID, _ offset: Offset, bytes: Int = 100) -> Bytes {
        var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: offset), count: bytes)
        bytes.set(littleEndian: topic.rawValue, at: 0)
        bytes.set(littleEndian: offset, at: 8)
        return bytes[...]
    }

    static func batch(
        _ offset: Offset, topic: TopicID = topic, count: UInt32 = 1, bytes: Int = 100
    ) -> JournalEntry {
        JournalEntry(
            kind: .batch, topic: topic, baseOffset: offset, count: count,
            body: body(topic, offset, bytes: bytes))
    }

    static func state(_ value: UInt8, bytes: Int = 20) -> JournalEntry {
        JournalEntry(kind: .state, body: [UInt8](repeating: value, count: bytes)[...])
    }

    static func section(_ value: UInt8) -> JournalEntry {
        JournalEntry(kind: .section, body: [value])
    }

    static func group(
        _ entries: [JournalEntry], clock: Int64 = 1, begins: UInt64? = nil, ends: UInt64? = nil
    ) -> JournalGroup {
        JournalGroup(
            entries: entries, time: Now(clock: clock, wall: clock + 1_000),
            beginsCheckpoint: begins, endsCheckpoint: ends)
    }
}

/// An open journal and what it replayed.
struct Opened {
    let journal: Journal
    let fileSystem: any FileSystem
    var replayed: [RecoveredEntry] = []

    init(
        _ fileSystem: any FileSystem, configuration: JournalConfiguration = Small.configuration,
        clock: ClockReading = Small.clock
    ) throws(Failure) {
        self.fileSystem = fileSystem
        var replayed: [RecoveredEntry] = []
        journal = try Journal.open(
            fileSystem: fileSystem, configuration: configuration, clock: clock, newIdentity: 99
        ) { replayed.append($0) }
        self.replayed = replayed
    }

    /// Commits, and tells the index; nil unless durable.
    @discardableResult
    func commit(_ group: JournalGroup) -> CommitReceipt? {
        guard case .durable(let receipt) = journal.commit(group) else { return nil }
        journal.index.apply(receipt)
        return receipt
    }

    @discardableResult
    func maintain(bootNanos: Int64 = 0, drops: Bool = true) -> MaintenanceReport {
        let report = journal.maintain(
            droppable: drops ? journal.index.takeDroppableFiles() : [], bootNanos: bootNanos)
        journal.index.apply(report)
        return report
    }

    /// Carries out one piece of upkeep from its plan to its effect; nil when there is none to do.
    @discardableResult
    func upkeep(
        isSpaceShort: Bool = false, clock: Int64 = 0, sliceBytes: Int = 4_096
    ) -> MaintenanceReport? {
        guard
            let plan = journal.index.nextUpkeep(isSpaceShort: isSpaceShort, clock: clock)
        else { return nil }
        journal.begin(plan)
        let now = Now(clock: clock, wall: clock + 1_000)
        while true {
            switch journal.stepUpkeep(maximumBytes: sliceBytes, now: now) {
            case .working(let bytes): precondition(bytes > 0, "a slice does something")
            case .finished(let result):
                let report = journal.maintain(upkeep: result, bootNanos: clock)
                journal.index.apply(report)
                return report
            }
        }
    }

    /// All the upkeep that there is to do.
    @discardableResult
    func catchUp(
        isSpaceShort: Bool = false, clock: Int64 = 0, sliceBytes: Int = 4_096
    ) -> UpkeepFigures {
        // Some sidecars a call.
        for _ in 0..<20 { maintain(bootNanos: clock, drops: false) }
        var figures = UpkeepFigures()
        for _ in 0..<1_000 {
            guard
                let report = upkeep(
                    isSpaceShort: isSpaceShort, clock: clock, sliceBytes: sliceBytes)
            else { break }
            if let done = report.upkeep { figures.add(done.figures) }
        }
        return figures
    }

    /// Reads one outcome to its end.
    func read(
        _ topic: TopicID = Small.topic, from: Offset, maximumBytes: Int = 1
    ) throws(Failure)
        -> [StoredBatch]
    {
        var outcome = journal.index.read(topic, from: from, maximumBytes: maximumBytes)
        while true {
            switch outcome {
            case .ready(let batches): return batches
            case .end: return []
            case .damaged(let failure): throw failure
            case .load(let plan): outcome = journal.index.finish(plan.execute(fileSystem))
            }
        }
    }

    /// All batches of a topic, from its first.
    func readAll(_ topic: TopicID = Small.topic, from: Offset = 0) throws(Failure) -> [StoredBatch]
    {
        var all: [StoredBatch] = []
        var next = from
        while true {
            let batches = try read(topic, from: next, maximumBytes: 2_000)
            guard let last = batches.last else { return all }
            all += batches
            let end = last.baseOffset + Offset(last.count)
            precondition(end > next, "a read goes on")
            next = end
        }
    }

    var batches: [JournalEntry] {
        replayed.map(\.entry).filter { $0.kind == .batch }
    }
}
