import ChaskiModel
import ChaskiRecords
import DequeModule

/// The dedup ids of all topics together.
struct DedupLedger {
    /// Ids that count against the maximum.
    var live = 0
}

/// What a group that is being gathered will have stored, by topic.
struct GroupDraft {
    struct Message {
        var offset: Offset
        var checksum: UInt32
    }
    let time: Now
    /// The next offset of topics that it appends to.
    var next: [TopicID: Offset] = [:]
    /// Dedup ids of its messages.
    var ids: [TopicID: [DedupKey: Message]] = [:]
    var idCount = 0
    /// What its atomic requests will count in their table.
    var transactionWeight = 0
    /// Everything past its window by its time was taken from the ledger.
    var hasExpired = false

    init(time: Now) { self.time = time }

    /// Messages with these ids are in the group.
    mutating func add(_ entries: [DedupEntry], of topic: TopicID) {
        guard !entries.isEmpty else { return }
        idCount += entries.count
        for entry in entries {
            ids[topic, default: [:]][entry.key] = Message(
                offset: entry.offset, checksum: entry.checksum)
        }
    }
}

/// A batch by its dedup ids.
enum DedupVerdict {
    /// All of it is new; with the ids to remember.
    case fresh([DedupEntry])
    /// These members were stored before; what is left, if anything, with the ids to remember.
    case partial([DuplicateMember], rest: Bytes?, [DedupEntry])
    case failure(Failure)
}

extension NamespaceMachine {
    /// Dedup ids that the namespace remembers.
    package var dedupIDs: Int { dedup.live }

    /// Judges a batch for a topic that remembers ids, as the next of the group. Changes nothing but
    /// the ledger's count of what is past its window.
    func judge(
        _ batch: Bytes, for topic: TopicState, _ table: DedupTable, base: Offset,
        _ draft: inout GroupDraft
    ) -> DedupVerdict {
        do throws(Failure) {
            let view = try RecordBatchView(trusted: batch)
            var duplicates: [DuplicateMember] = []
            var entries: [DedupEntry] = []
            let failure = sort(view, topic, table, base, draft, &duplicates, &entries)
            if let failure { return .failure(failure) }
            if let full = checkRoom(for: entries.count, &draft) { return .failure(full) }
            if duplicates.isEmpty { return .fresh(entries) }
            let rest = try view.compacted(indices: duplicates.gaps(of: UInt32(view.count)))
            return .partial(duplicates, rest: rest.map { $0[...] }, entries)
        } catch {
            return .failure(error)
        }
    }

    /// Sorts the members of a batch into duplicates and new ones; answers a conflict.
    private func sort(
        _ view: RecordBatchView, _ topic: TopicState, _ table: DedupTable, _ base: Offset,
        _ draft: GroupDraft, _ duplicates: inout [DuplicateMember], _ entries: inout [DedupEntry]
    ) -> Failure? {
        let ofGroup = draft.ids[topic.id]
        var own: [DedupKey: GroupDraft.Message] = [:]
        let clock = draft.time.clock
        var next = base
        for place in 0..<view.count {
            let header = view.header(at: place)
            guard let id = view.dedupID(of: header) else {
                next += 1
                continue
            }
            let key = SipHash128.hash(id)
            let known =
                own[key] ?? ofGroup?[key]
                ?? table.find(key, at: clock).map {
                    GroupDraft.Message(offset: $0.offset, checksum: $0.checksum)
                }
            guard let known else {
                let entry = DedupEntry(
                    key: key, offset: next, clock: clock, checksum: header.payloadChecksum)
                own[key] = GroupDraft.Message(offset: next, checksum: entry.checksum)
                entries.append(entry)
                next += 1
                continue
            }
            guard known.checksum == header.payloadChecksum else {
                return .dedupConflict(place, topic.name, known.offset)
            }
            duplicates.append(DuplicateMember(index: UInt32(place), offset: known.offset))
        }
        return nil
    }

    /// Why no more ids can be remembered.
    private func checkRoom(for count: Int, _ draft: inout GroupDraft) -> Failure? {
        let maximum = configuration.maximumDedupIDs
        if count == 0 || dedup.live + draft.idCount + count <= maximum { return nil }
        if !draft.hasExpired {
            draft.hasExpired = true
            for topic in directory.topicsByID {
                dedup.live -= topic.dedup?.expire(at: draft.time.clock) ?? 0
            }
        }
        if dedup.live + draft.idCount + count <= maximum { return nil }
        let first = directory.topics.values.compactMap { $0.dedup?.firstExpiry }.min()
        let wait = (first ?? draft.time.clock).addingSaturating(-draft.time.clock)
        return Failure(
            .resourceExhausted, .dedupFull,
            "the namespace remembers \(dedup.live) dedup ids, and at most \(maximum): "
                + "the oldest is forgotten when its window is over",
            retryAfterNanos: min(max(wait, 100_000_000), 60_000_000_000))
    }

    /// The messages of a stored batch are remembered by their ids: in the live path and in replay.
    func remember(_ entries: [DedupEntry], of topic: TopicState, _ time: Now) {
        guard let table = topic.dedup else { return }
        for entry in entries { table.insert(entry) }
        dedup.live += entries.count
        dedup.live -= table.purge(at: time.clock)
        if isRunning { setDedupTimer(topic) }
    }

    /// An idle topic forgets too: when its newest id is past its window.
    func setDedupTimer(_ topic: TopicState) {
        guard let table = topic.dedup, !table.hasTimer, let at = table.lastExpiry, at < .max else {
            return
        }
        table.hasTimer = true
        timers.heap.push(Timer(at: at, kind: .dedup, subscription: topic.id.rawValue))
    }

    /// The timer of a topic's ids fired.
    func dedupTimerFired(_ id: TopicID, _ now: Now) {
        guard let topic = directory.topics[id], let table = topic.dedup else { return }
        table.hasTimer = false
        dedup.live -= table.purge(at: lastDurable.clock)
        guard let last = table.lastExpiry else { return }
        guard last <= now.clock else { return setDedupTimer(topic) }
        // Past its window, but not by a time that is on disk.
        tail.wantsClock = true
        work.expiring.append(id)
    }

    /// Forgets what is past its window by the time of a group that is durable.
    func purgeExpiring() {
        guard !work.expiring.isEmpty else { return }
        for id in work.expiring {
            guard let topic = directory.topics[id], let table = topic.dedup else { continue }
            dedup.live -= table.purge(at: lastDurable.clock)
            setDedupTimer(topic)
        }
        work.expiring.removeAll(keepingCapacity: true)
    }

    /// After replay: counts what is remembered.
    func countDedupIDs() {
        dedup.live = 0
        for topic in directory.topicsByID {
            guard let table = topic.dedup else { continue }
            table.arrange()
            _ = table.purge(at: lastDurable.clock)
            dedup.live += table.liveCount
            setDedupTimer(topic)
        }
    }
}

extension [DuplicateMember] {
    /// What lies between them, of a batch of `count` members.
    func gaps(of count: UInt32) -> [Range<UInt32>] {
        var gaps: [Range<UInt32>] = []
        var next: UInt32 = 0
        for duplicate in self {
            if next < duplicate.index { gaps.append(next..<duplicate.index) }
            next = duplicate.index + 1
        }
        if next < count { gaps.append(next..<count) }
        return gaps
    }
}

extension Failure {
    static func dedupConflict(_ place: Int, _ topic: String, _ offset: Offset) -> Failure {
        Failure(
            .alreadyExists, .dedupConflict,
            "the dedup id of member \(place) is that of offset \(offset) of topic \(topic), whose "
                + "payload is another: nothing of the batch is stored")
    }
}
