import ChaskiModel
import DequeModule

/// An atomic request that was carried out: stands before its batches and verdicts in their group.
struct AtomicApplied: Hashable {
    var transaction: TransactionID
    var published: [AtomicPublished]

    /// What it counts in the table.
    var weight: Int { published.reduce(1) { $0 + 1 + $1.duplicates.count } }
}

/// Atomic requests that were carried out lately, so that one sent again is answered alike.
struct TransactionTable {
    struct Record: Hashable {
        var applied: AtomicApplied
        /// Broker clock of its group, nanoseconds.
        var clock: Int64
    }

    private var records: [TransactionID: Record] = [:]
    /// In order of time; the first has position `head`.
    private var order: Deque<TransactionID> = []
    private(set) var head: UInt64 = 0
    /// What all records count together.
    private(set) var weight = 0
    private var isUnordered = false
    /// Requests on their way.
    var pending: [TransactionID: TailItem] = [:]
    /// A timer of the namespace will look at it.
    var hasTimer = false

    var count: Int { order.count }
    var end: UInt64 { head + UInt64(order.count) }
    /// Times of the oldest and the newest record; nil without any.
    var firstClock: Int64? { order.first.flatMap { records[$0]?.clock } }
    var lastClock: Int64? { order.last.flatMap { records[$0]?.clock } }

    /// The request with this id, unless its window is over at `clock`.
    func find(_ id: TransactionID, at clock: Int64, window: Int64) -> AtomicApplied? {
        guard let record = records[id], record.clock.addingSaturating(window) > clock else {
            return nil
        }
        return record.applied
    }

    /// Remembers a request; of two with one id the later counts.
    mutating func insert(_ applied: AtomicApplied, clock: Int64) {
        let id = applied.transaction
        if let old = records[id] {
            if old.clock >= clock { return }
            weight -= old.applied.weight
            order.removeAll { $0 == id }
        }
        if let last = lastClock, last > clock { isUnordered = true }
        records[id] = Record(applied: applied, clock: clock)
        order.append(id)
        weight += applied.weight
    }

    /// Forgets what is past its window at `clock`, a time that is on disk.
    mutating func purge(at clock: Int64, window: Int64) {
        while let first = order.first, let record = records[first],
            record.clock.addingSaturating(window) <= clock
        {
            order.removeFirst()
            records[first] = nil
            head += 1
            weight -= record.applied.weight
        }
        assert(weight >= 0, "what is remembered is miscounted")
        if order.isEmpty { records = [:] }
    }

    /// After replay: in order of time again.
    mutating func arrange() {
        guard isUnordered else { return }
        isUnordered = false
        order = Deque(
            kept(in: head..<end).sorted { $0.clock < $1.clock }.map(\.applied.transaction))
    }

    /// What a slice of records counts, about: each part and duplicate takes some 40 bytes.
    static let sliceWeight = 1_024

    /// Where a slice of a checkpoint ends: at least one record, of at most about 2 MiB.
    func end(ofSliceFrom from: UInt64, to end: UInt64) -> UInt64 {
        var next = min(end, max(from, head))
        var weight = 0
        while next < end, weight < Self.sliceWeight {
            let record = next < self.end ? records[order[Int(next - head)]] : nil
            weight += record?.applied.weight ?? 1
            next += 1
        }
        return next
    }

    /// Records by position, in order of time; those that are kept.
    func kept(in range: Range<UInt64>) -> [Record] {
        range.clamped(to: head..<end).compactMap { records[order[Int($0 - head)]] }
    }
}
