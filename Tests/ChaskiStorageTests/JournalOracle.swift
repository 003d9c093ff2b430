import ChaskiModel
import ChaskiSimulation
import ChaskiStorage
import Testing

/// What a journal promised so far, and whether it keeps it.
struct JournalOracle {
    /// Entries of groups that were confirmed (or seen after a recovery), in order.
    private(set) var kept: [JournalEntry] = []
    /// The entries of a group whose outcome is unknown.
    private(set) var inDoubt: [JournalEntry] = []
    /// Whether that group ends the cycle in progress.
    private var inDoubtEndsCycle = false
    /// Entries before the group that began the last finished cycle, and the one in progress.
    private var replayStart = 0
    private var cycleStart: Int?
    private var cycle: UInt64 = 0
    private(set) var nextOffset: Offset = 0
    private(set) var released: Offset = 0
    /// Offsets above that which are not needed either.
    private var holes = Set<Offset>()
    /// A write of history failed, which loses it and nothing else.
    private var historyMayBeLost = false
    /// Whether files go with their history moved.
    var keepsHistory = false
    /// What upkeep did, where it took effect.
    private(set) var figures = UpkeepFigures()
    private var upkeepIsUnderWay = false
    private var highestEpoch: UInt32 = 0
    private(set) var okCount = 0
    private(set) var failed = false
    private var stateCount = 0

    enum Wrong: Error { case promise(String) }

    /// A group that carries on: some batches, some states, now and then a checkpoint.
    mutating func nextGroup(_ random: inout DiskRandom) -> JournalGroup {
        var entries: [JournalEntry] = []
        var offset = nextOffset
        for _ in 0..<random.below(3) {
            let count = UInt32(1 + random.below(3))
            let bytes = 20 + Int(random.below(4_000))
            entries.append(Small.batch(offset, count: count, bytes: bytes))
            offset += Offset(count)
        }
        stateCount += 1
        var state: [UInt8] = []
        state.append(littleEndian: UInt64(stateCount))
        entries.append(JournalEntry(kind: .state, body: state[...]))
        var group = Small.group(entries, clock: Int64(stateCount))
        switch random.below(4) {
        case 0:
            cycle += 1
            group.beginsCheckpoint = cycle
        case 1 where cycleStart != nil: group.endsCheckpoint = cycle
        default: break
        }
        return group
    }

    /// Commits and remembers what was promised.
    mutating func commit(_ group: JournalGroup, to opened: Opened) throws {
        let start = kept.count
        switch opened.journal.commit(group) {
        case .durable(let receipt):
            if failed { throw Wrong.promise("OK after a failure") }
            opened.journal.index.apply(receipt)
            okCount += 1
            keep(group.entries)
            if group.beginsCheckpoint != nil { cycleStart = start }
            if group.endsCheckpoint == cycle, let begun = cycleStart {
                replayStart = begun
                cycleStart = nil
            }
        case .refused: break
        case .failed:
            if !failed {
                inDoubt = group.entries
                inDoubtEndsCycle = group.endsCheckpoint == cycle && cycleStart != nil
            }
            failed = true
        }
    }

    private mutating func keep(_ entries: [JournalEntry]) {
        kept += entries
        for entry in entries where entry.kind == .batch {
            nextOffset = entry.baseOffset + Offset(entry.count)
        }
    }

    mutating func release(_ opened: Opened) {
        released = nextOffset - min(nextOffset, 5)
        opened.journal.index.released(Small.topic, 0..<released)
    }

    /// Releases some offsets in the middle.
    mutating func releaseSome(_ opened: Opened, _ random: inout DiskRandom) {
        guard nextOffset > released + 2 else { return }
        let first = released + random.below(nextOffset - released)
        let end = min(nextOffset, first + 1 + random.below(30))
        holes.formUnion(first..<end)
        opened.journal.index.released(Small.topic, first..<end)
    }

    /// One slice of upkeep, or its effect.
    mutating func upkeep(_ opened: Opened, _ random: inout DiskRandom) {
        let now = Now(clock: Int64(stateCount), wall: Int64(stateCount) + 1_000)
        if !upkeepIsUnderWay {
            guard
                let plan = opened.journal.index.nextUpkeep(
                    isSpaceShort: random.chance(1, in: 4), clock: now.clock)
            else { return }
            opened.journal.begin(plan)
            upkeepIsUnderWay = true
        }
        let step = opened.journal.stepUpkeep(
            maximumBytes: 1 + Int(random.below(8_000)), now: now)
        guard case .finished(let result) = step else { return }
        upkeepIsUnderWay = false
        // A process that is dead does no harm any more.
        let isDead = (opened.fileSystem as? SimulatedFileSystem)?.hasCrashed ?? false
        if result.figures.historyFailures > 0, !isDead { historyMayBeLost = true }
        let report = opened.journal.maintain(upkeep: result, bootNanos: now.clock)
        opened.journal.index.apply(report)
        if let done = report.upkeep { figures.add(done.figures) }
    }

    /// Every state entry that was kept is in a journal file or in history, there once and in order.
    func checkHistory(_ fileSystem: any FileSystem) throws {
        var seen = Set<UInt64>()
        var last: UInt64 = 0
        var isOrdered = true
        func number(_ body: Bytes) -> UInt64 { body.littleEndian(UInt64.self, at: 0) ?? 0 }
        do {
            try HistoryReader(fileSystem).groups { group in
                for entry in group.entries {
                    isOrdered = isOrdered && number(entry) > last
                    last = number(entry)
                    seen.insert(last)
                }
                return true
            }
        } catch {
            throw Wrong.promise("history cannot be read: \(error.message)")
        }
        guard isOrdered else { throw Wrong.promise("history is not in order") }
        guard !historyMayBeLost else { return }
        _ = try JournalInspector.inspect(fileSystem) { item in
            if case .entry(let entry, _, true) = item, entry.kind == .state {
                seen.insert(number(entry.body))
            }
        }
        for entry in kept where entry.kind == .state && !seen.contains(number(entry.body)) {
            throw Wrong.promise("state entry \(number(entry.body)) is nowhere")
        }
    }

    /// Compares what a recovery found with what was promised, and settles what was in doubt.
    mutating func check(_ opened: Opened) throws {
        let found = opened.replayed.map(\.entry)
        guard opened.replayed.allSatisfy({ $0.damage == nil }),
            opened.journal.recovery.damage.isEmpty
        else { throw Wrong.promise("damage where none was done") }
        let all = kept + inDoubt
        if !inDoubt.isEmpty, found.count >= inDoubt.count, isSuffix(found, of: all) {
            keep(inDoubt)
            if inDoubtEndsCycle, let begun = cycleStart { replayStart = begun }
        } else if !isSuffix(found, of: kept) {
            throw Wrong.promise(
                "replayed \(found.count) entries that are no end of \(kept.count) kept")
        }
        inDoubt = []
        guard found.count >= kept.count - replayStart else {
            throw Wrong.promise("replayed \(found.count) of \(kept.count - replayStart) entries")
        }
        cycleStart = nil
        failed = false
        let epoch = opened.journal.recovery.epoch
        guard epoch > highestEpoch else { throw Wrong.promise("the epoch was not raised") }
        highestEpoch = epoch
        upkeepIsUnderWay = false
        opened.journal.index.retainOnly([(topic: Small.topic, from: released)])
        for hole in holes.sorted() {
            opened.journal.index.released(Small.topic, hole..<hole + 1)
        }
        try checkReads(opened)
    }

    private func isSuffix(_ found: [JournalEntry], of all: [JournalEntry]) -> Bool {
        found.count <= all.count
            && zip(all.suffix(found.count), found).allSatisfy { expected, entry in
                expected.kind == entry.kind && expected.topic == entry.topic
                    && expected.baseOffset == entry.baseOffset && expected.count == entry.count
                    && Self.same(expected.body, entry.body)
            }
    }

    /// Byte by byte, but fast in debug builds too.
    private static func same(_ a: Bytes, _ b: Bytes) -> Bool {
        a.count == b.count && CRC32C.checksum(a) == CRC32C.checksum(b)
    }

    /// Every batch that is still needed can be read, and is what was written; what is not needed
    /// may be there.
    func checkReads(_ opened: Opened) throws {
        func isNeeded(_ base: Offset, _ count: UInt32) -> Bool {
            (base..<base + Offset(count)).contains { $0 >= released && !holes.contains($0) }
        }
        let wanted = kept.filter { $0.kind == .batch && isNeeded($0.baseOffset, $0.count) }
        let read = try opened.readAll(from: released)
        let needed = read.filter { isNeeded($0.baseOffset, $0.count) }
        guard needed.map(\.baseOffset) == wanted.map(\.baseOffset),
            zip(needed, wanted).allSatisfy({ Self.same($0.bytes, $1.body) })
        else { throw Wrong.promise("read \(needed.count) batches, wanted \(wanted.count)") }
    }
}

/// A short life of a journal: everything that the journal does happens in it.
struct JournalScenario {
    static let configuration: JournalConfiguration = {
        var configuration = JournalConfiguration(
            fileBytes: 16 << 10, reserveBytes: 16 << 10, checkpointBytes: 64 << 10,
            maximumGroupBytes: 8 << 10, cacheBytes: 0, indexCacheBytes: 4 << 10, filesAhead: 1,
            spacePollNanos: 0)
        // Whatever the disk holds.
        configuration.historyBytes = 1 << 30
        return configuration
    }()
    var seed: UInt64
    var groups: Int
    /// Whether files are compacted and history is kept.
    var compacts = false

    /// Runs until the journal fails. Nil when it could not even open.
    @discardableResult
    func run(_ fileSystem: any FileSystem, _ oracle: inout JournalOracle) throws -> Opened? {
        var random = DiskRandom(seed: seed)
        oracle.keepsHistory = compacts
        guard let opened = Self.open(fileSystem) else { return nil }
        do {
            try oracle.check(opened)
        } catch is Failure {
            // A read met the fault: the promises about what was replayed have been checked.
            return opened
        }
        for step in 0..<groups {
            try oracle.commit(oracle.nextGroup(&random), to: opened)
            if oracle.failed, step % 2 == 1 { break }
            if compacts {
                live(opened, &oracle, &random, step)
                continue
            }
            switch random.below(5) {
            case 0: oracle.release(opened)
            case 1: opened.maintain(bootNanos: Int64(step))
            case 2: if !oracle.failed { try? oracle.checkReads(opened) }
            default: break
            }
        }
        return opened
    }

    /// What a host does between two groups.
    private func live(
        _ opened: Opened, _ oracle: inout JournalOracle, _ random: inout DiskRandom, _ step: Int
    ) {
        switch random.below(4) {
        case 0 where random.chance(1, in: 3): oracle.release(opened)
        case 0, 1: oracle.releaseSome(opened, &random)
        case 2: opened.maintain(bootNanos: Int64(step), drops: false)
        default: if !oracle.failed, step % 3 == 0 { try? oracle.checkReads(opened) }
        }
        for _ in 0..<random.below(9) { oracle.upkeep(opened, &random) }
    }

    static func open(_ fileSystem: any FileSystem) -> Opened? {
        try? Opened(fileSystem, configuration: configuration)
    }

    /// Opens without faults, which must succeed, and checks.
    static func recover(
        _ fileSystem: any FileSystem, _ oracle: inout JournalOracle
    ) throws -> Opened {
        do {
            // No crash looks like damage to `chaski journal verify` either.
            let damage = try JournalInspector.inspect(fileSystem) { _ in }.damage
            guard damage.isEmpty else {
                throw JournalOracle.Wrong.promise("verify: \(damage[0].place): \(damage[0].what)")
            }
            let opened = try Opened(fileSystem, configuration: configuration)
            try oracle.check(opened)
            if oracle.keepsHistory { try oracle.checkHistory(fileSystem) }
            return opened
        } catch let failure as Failure {
            throw JournalOracle.Wrong.promise("does not open: \(failure.message)")
        }
    }
}
