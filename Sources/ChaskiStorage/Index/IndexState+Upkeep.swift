import ChaskiModel

/// What upkeep knows of a journal file or a segment.
struct FileUpkeep: Hashable, Sendable {
    /// It is being compacted: it must stay as it is.
    var isBusy = false
    /// Bytes that were alive in it when it was looked at last, about.
    var aliveBytes: UInt64?
    /// What an attempt found to be alive, and what had been thought; it counts until less is.
    var found: Found?
    /// It cannot be read, and stays as it is.
    var isUnreadable = false

    struct Found: Hashable, Sendable {
        var thought: UInt64
        var alive: UInt64
    }

    /// Bytes that are alive, as far as is known, where `estimate` are thought to be.
    func alive(_ estimate: UInt64) -> UInt64 {
        guard let found, estimate > found.thought / 4 * 3 else { return estimate }
        return max(estimate, found.alive)
    }
}

/// A segment that is there.
struct SegmentEntry: Hashable, Sendable {
    var id: SegmentID
    /// The first of the journal files that its batches came from.
    var firstSource: UInt64
    /// Bytes that it takes on the disk.
    var bytes: UInt64
    var upkeep = FileUpkeep()
}

/// Which upkeep is under way, and where the search for more stands.
struct UpkeepState: Hashable, Sendable {
    var isUnderWay = false
    /// The serial of the next segment.
    var nextSerial: UInt64 = 1
    /// The next to look at: journal files by id, segments by serial.
    var nextFile: UInt64 = 0
    var nextSegment: UInt64 = 0
    /// Segments that newer ones replaced, or that nobody needs.
    var dead: [SegmentID] = []
    /// Broker clock before which no compaction is tried: the disk had no room for the last.
    var pausedUntil = Int64.min
    /// What the last maintenance removed; upkeep frees the space.
    var removed: [String] = []
    /// Broker clock of the last retirement; there is one now and then even if nothing is dead, as
    /// history grows old.
    var lastRetirement: Int64?
    /// Broker clock when more was asked for last.
    var asked: Int64 = 0
}

extension IndexState {
    /// Files that go at once: a commit waits for their removal.
    private static let filesPerRetirement = 4
    private static let segmentsPerRetirement = 16
    /// Runs and segments that one call looks at.
    private static let looksPerCall = 4_096
    /// Topics that one plan moves out of a journal file.
    private static let topicsPerPlan = 64
    /// Segments of a topic that are merged at once, at least and at most.
    private static let merged = 4...16
    private static let retirementNanos: Int64 = 60_000_000_000
    private static let pauseNanos: Int64 = 1_000_000_000

    // MARK: Opening

    /// After the journal files: segments that are there, and the serial of the next.
    mutating func add(_ segments: [SegmentFile], nextSerial: UInt64) {
        for segment in segments.sorted(by: { $0.id.serial < $1.id.serial }) {
            var entry = SegmentEntry(
                id: segment.id, firstSource: segment.firstSource, bytes: segment.bytes)
            // What cannot be read is not touched either.
            if segment.header == nil { entry.upkeep.isUnreadable = true }
            let run = TopicState.Run(
                file: segment.id.source, segment: segment.id,
                first: segment.header?.first ?? 0, end: segment.header?.end ?? Offset.max,
                bytes: segment.header?.bytes ?? 0)
            let placed = topics[segment.id.topic, default: TopicState()].insert(
                run, isReadable: segment.header != nil)
            guard placed != nil else {
                forgetIfEmpty(segment.id.topic)
                if segment.header != nil { upkeep.dead.append(segment.id) }
                continue
            }
            self.segments.append(entry)
        }
        upkeep.nextSerial = nextSerial
    }

    // MARK: The next plan

    mutating func nextUpkeep(isSpaceShort: Bool, clock: Int64) -> UpkeepPlan? {
        guard !upkeep.isUnderWay else { return nil }
        upkeep.asked = clock
        guard let plan = retirement(clock) ?? compaction(isSpaceShort, clock) else { return nil }
        upkeep.isUnderWay = true
        return plan
    }

    private mutating func retirement(_ clock: Int64) -> UpkeepPlan? {
        let files = takeDroppableFiles(limit: Self.filesPerRetirement)
        takeDeadSegments()
        let last = upkeep.lastRetirement ?? clock
        let isDue = clock.saturatingSubtract(last) >= Self.retirementNanos
        upkeep.lastRetirement = last
        guard !files.isEmpty || !upkeep.dead.isEmpty || isDue || !upkeep.removed.isEmpty else {
            return nil
        }
        upkeep.lastRetirement = clock
        let dead = Array(upkeep.dead.prefix(Self.segmentsPerRetirement))
        upkeep.dead.removeFirst(dead.count)
        defer { upkeep.removed = [] }
        return .retire(files, segments: dead, freeing: upkeep.removed)
    }

    /// Looks at some of the segments, and forgets those in which nothing is alive.
    private mutating func takeDeadSegments() {
        var at = firstSegment(from: upkeep.nextSegment)
        if at == segments.count { at = 0 }
        var looks = 0
        while at < segments.count, looks < Self.looksPerCall / 4 {
            looks += 1
            let id = segments[at].id
            guard !segments[at].upkeep.isBusy, topics[id.topic]?.isDead(id) ?? true else {
                at += 1
                continue
            }
            segments.remove(at: at)
            forget(id)
        }
        upkeep.nextSegment = at < segments.count ? segments[at].id.serial : 0
    }

    private mutating func forget(_ segment: SegmentID) {
        upkeep.dead.append(segment)
        forgetIndex(of: .segment(segment))
        topics[segment.topic]?.removeRun(of: segment)
        forgetIfEmpty(segment.topic)
    }

    private func firstSegment(from serial: UInt64) -> Int {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].id.serial < serial { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func compaction(_ isSpaceShort: Bool, _ clock: Int64) -> UpkeepPlan? {
        guard clock >= upkeep.pausedUntil else { return nil }
        if let file = worthwhileFile(isSpaceShort) { return compact(file, isSpaceShort) }
        return mergeOrShrink(isSpaceShort)
    }

    // MARK: Journal files

    /// Looks at some of the journal files, and chooses the one with the most to gain.
    private mutating func worthwhileFile(_ isSpaceShort: Bool) -> Int? {
        var looks = 0
        var at = files.firstIndex { $0.id >= upkeep.nextFile } ?? 0
        var seen = 0
        while seen < files.count, looks < Self.looksPerCall {
            if at >= files.count { at = 0 }
            looks += 1 + files[at].topics.count
            if isCandidate(at) { files[at].upkeep.aliveBytes = aliveBytes(at: at) }
            seen += 1
            at += 1
        }
        upkeep.nextFile = at < files.count ? files[at].id : 0
        var best: (at: Int, gain: UInt64)?
        for at in files.indices where isCandidate(at) {
            guard let estimate = files[at].upkeep.aliveBytes else { continue }
            let alive = files[at].upkeep.alive(estimate)
            guard alive <= mostWorthwhile(files[at].bytes, isSpaceShort) else {
                continue
            }
            let gain = files[at].bytes - alive
            if gain > best?.gain ?? 0 { best = (at, gain) }
        }
        return best?.at
    }

    /// Bytes that may be alive in a file for it to be compacted: half, or, on a full disk, so many
    /// that something is gained.
    private func mostWorthwhile(_ bytes: UInt64, _ isSpaceShort: Bool) -> UInt64 {
        isSpaceShort ? bytes / 16 * 15 : bytes / 2
    }

    /// Whether a journal file could be dropped if nothing in it were alive.
    private func isCandidate(_ at: Int) -> Bool {
        files[at].isClosed && files[at].id < replayFrom.file
            && !files[at].upkeep.isBusy && !files[at].upkeep.isUnreadable
    }

    /// Bytes of batches that are needed in a journal file, about.
    func aliveBytes(at index: Int) -> UInt64 {
        var alive: UInt64 = 0
        for topic in files[index].topics {
            guard let state = topics[topic], let run = state.run(in: files[index].id),
                run.segment == nil
            else { continue }
            alive &+= state.aliveBytes(of: run)
        }
        return alive
    }

    private mutating func compact(_ at: Int, _ isSpaceShort: Bool) -> UpkeepPlan? {
        let file = files[at]
        var parts: [CompactionPlan.Part] = []
        var isAll = true
        for topic in file.topics {
            guard let state = topics[topic], !state.isDead(in: file.id),
                let run = state.run(in: file.id)
            else { continue }
            guard parts.count < Self.topicsPerPlan else {
                isAll = false
                break
            }
            parts.append(
                CompactionPlan.Part(
                    topic: topic,
                    runs: [.init(source: 0, file: file.id, offsets: run.first..<run.end)],
                    firstSource: file.id, released: state.released, serial: takeSerial()))
        }
        guard !parts.isEmpty else { return nil }
        files[at].upkeep.isBusy = true
        // A file of many topics is moved in several plans: then the estimate must do.
        let maximum = isAll ? mostWorthwhile(file.bytes, isSpaceShort) : UInt64.max
        return .compact(
            CompactionPlan(
                sources: [.init(file: .journal(file.id), end: file.end)], parts: parts,
                maximumBytes: maximum, mayUseReserve: isSpaceShort, salt: salt,
                identity: identity))
    }

    private mutating func takeSerial() -> UInt64 {
        defer { upkeep.nextSerial += 1 }
        return upkeep.nextSerial
    }

    // MARK: Segments

    /// Looks at some of the segments: one of which less than half is alive is written anew, and
    /// small neighbours become one.
    private mutating func mergeOrShrink(_ isSpaceShort: Bool) -> UpkeepPlan? {
        var at = firstSegment(from: upkeep.nextSegment)
        for _ in 0..<min(segments.count, Self.looksPerCall / 4) {
            if at >= segments.count { at = 0 }
            let entry = segments[at]
            at += 1
            guard !entry.upkeep.isBusy, !entry.upkeep.isUnreadable,
                let state = topics[entry.id.topic], let run = state.run(in: entry.id.source),
                run.segment == entry.id
            else { continue }
            let alive = state.aliveBytes(of: run)
            let window = mergeable(state, from: run)
            segments[at - 1].upkeep.aliveBytes = alive
            let isSmall =
                entry.upkeep.alive(alive) <= mostWorthwhile(entry.bytes, isSpaceShort)
            guard !window.isEmpty || isSmall else { continue }
            upkeep.nextSegment = entry.id.serial + 1
            return merge(window.isEmpty ? [run] : window, state, entry.id.topic, isSpaceShort)
        }
        upkeep.nextSegment = at < segments.count ? segments[at].id.serial : 0
        return nil
    }

    /// Small segments that follow one another, from `run` on, and are worth merging; none of them
    /// makes up most of the result, so that each byte is copied a few times only.
    private func mergeable(_ state: TopicState, from run: TopicState.Run) -> [TopicState.Run] {
        guard let start = state.runs.firstIndex(of: run) else { return [] }
        var window: [TopicState.Run] = []
        var total: UInt64 = 0
        var largest: UInt64 = 0
        for next in state.runs[start...].prefix(Self.merged.upperBound) {
            guard let id = next.segment, let at = position(of: id),
                !segments[at].upkeep.isBusy, !segments[at].upkeep.isUnreadable
            else { break }
            let alive = state.aliveBytes(of: next)
            guard total + alive <= UInt64(configuration.fileBytes) else { break }
            total += alive
            largest = max(largest, alive)
            window.append(next)
        }
        guard window.count >= Self.merged.lowerBound, largest <= total / 4 * 3 else { return [] }
        return window
    }

    private mutating func merge(
        _ runs: [TopicState.Run], _ state: TopicState, _ topic: TopicID, _ isSpaceShort: Bool
    ) -> UpkeepPlan? {
        var sources: [CompactionPlan.Source] = []
        var taken: [CompactionPlan.Run] = []
        var firstSource = UInt64.max
        var bytes: UInt64 = 0
        for run in runs {
            guard let id = run.segment, let at = position(of: id) else { return nil }
            segments[at].upkeep.isBusy = true
            firstSource = min(firstSource, segments[at].firstSource)
            bytes += segments[at].bytes
            taken.append(
                .init(source: sources.count, file: run.file, offsets: run.first..<run.end))
            sources.append(.init(file: .segment(id), end: segments[at].bytes))
        }
        let part = CompactionPlan.Part(
            topic: topic, runs: taken, firstSource: firstSource, released: state.released,
            serial: takeSerial())
        return .compact(
            CompactionPlan(
                sources: sources, parts: [part],
                maximumBytes: runs.count > 1 ? UInt64.max : mostWorthwhile(bytes, isSpaceShort),
                mayUseReserve: isSpaceShort, salt: salt, identity: identity))
    }

    // MARK: What came of it

    mutating func upkeepDone(_ result: UpkeepResult, removed: [String]) {
        upkeep.isUnderWay = false
        upkeep.removed = removed
        guard let outcome = result.compaction else { return }
        for source in outcome.plan.sources { setUpkeep(of: source.file, outcome.end) }
        switch outcome.end {
        case .done:
            precondition(outcome.made.count == outcome.plan.parts.count, "one result per part")
            for (part, made) in zip(outcome.plan.parts, outcome.made) {
                moved(part, outcome.plan.sources, made)
            }
        case .noSpace:
            upkeep.pausedUntil = upkeep.asked.saturatingAdd(Self.pauseNanos)
        case .notWorth, .unreadable, .failed: break
        }
    }

    private mutating func setUpkeep(of file: BatchFile, _ end: CompactionOutcome.End) {
        func change(_ upkeep: inout FileUpkeep) {
            upkeep.isBusy = false
            switch end {
            case .notWorth(let alive):
                upkeep.found = .init(thought: upkeep.aliveBytes ?? 0, alive: alive)
            case .unreadable: upkeep.isUnreadable = true
            case .done, .noSpace, .failed: break
            }
        }
        switch file {
        case .journal(let id):
            if let at = position(of: id) { change(&files[at].upkeep) }
        case .segment(let id):
            if let at = position(of: id) { change(&segments[at].upkeep) }
        }
    }

    /// The batches of a part are where `made` says; what held them before is dead there.
    private mutating func moved(
        _ part: CompactionPlan.Part, _ sources: [CompactionPlan.Source], _ made: NewSegment?
    ) {
        for source in sources {
            guard case .segment(let id) = source.file, let at = position(of: id) else { continue }
            segments.remove(at: at)
            upkeep.dead.append(id)
            forgetIndex(of: source.file)
        }
        let old = part.runs.map(\.file)
        guard let state = topics[part.topic], !state.isRemoved, state.isConsecutive(old) else {
            // The topic went away meanwhile.
            if let made { upkeep.dead.append(made.header.id) }
            for source in sources {
                if case .segment(let id) = source.file { topics[part.topic]?.removeRun(of: id) }
            }
            forgetIfEmpty(part.topic)
            return
        }
        topics[part.topic]?.replace(
            old,
            with: made.map {
                TopicState.Run(
                    file: $0.header.id.source, segment: $0.header.id, first: $0.header.first,
                    end: $0.header.end, bytes: $0.header.bytes)
            })
        if let made {
            segments.append(
                SegmentEntry(
                    id: made.header.id, firstSource: made.header.firstSource,
                    bytes: made.header.fileBytes))
            precondition(
                segments.dropLast().last.map { $0.id.serial < made.header.id.serial } ?? true,
                "serials ascend")
        } else {
            forgetIfEmpty(part.topic)
        }
    }
}
