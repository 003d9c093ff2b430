import ChaskiModel
import DequeModule

/// What is kept of a dead message: 40 bytes and its history.
struct DeadRecord: OffsetKeyed, Hashable {
    var offset: Offset
    var cause: DeathCause
    /// Failures of its last life.
    var failed: UInt32
    var handedOut: UInt32
    /// When it died, broker clock.
    var diedNanos: Int64
    var history: MessageHistory
    /// Its redrive or removal is on its way to the disk.
    var isLeaving = false

    /// Decoded, with what its last attempt tells.
    var letter: DeadLetter {
        let items = history.items
        let last = items.last { $0.end != .redriven }
        return DeadLetter(
            offset: offset, cause: cause, reason: last?.reason ?? "", code: last?.code ?? "",
            failed: failed, handedOut: handedOut, session: last?.session ?? SessionID(rawValue: 0),
            clockNanos: diedNanos, wallNanos: last?.endedWallNanos ?? 0,
            redriven: history.redriven)
    }
}

/// The dead letters of one subscription, by offset and by age.
struct DeadStore {
    private var records = PagedStore<DeadRecord>()
    /// In the order in which they died; some are dead no more, or died again.
    private var order: Deque<(diedNanos: Int64, offset: Offset)> = []

    var count: Int { records.count }

    /// Inserts, or replaces the record of the same offset. Answers whether it is new.
    @discardableResult
    mutating func insert(_ record: DeadRecord) -> Bool {
        order.append((record.diedNanos, record.offset))
        if order.count > 2 * records.count + 1_024 { sortByAge() }
        return records.insert(record)
    }

    mutating func remove(_ offset: Offset) -> DeadRecord? { records.remove(offset) }

    /// Marks a record as on its way out, or as staying after all.
    mutating func mark(_ offset: Offset, isLeaving: Bool) {
        records.update(offset) { $0.isLeaving = isLeaving }
    }

    subscript(_ offset: Offset) -> DeadRecord? { records[offset] }

    func first(from offset: Offset) -> DeadRecord? { records.first(from: offset) }
    func contains(_ range: Range<Offset>) -> Bool { records.contains(range) }
    func list(from offset: Offset, limit: Int) -> [DeadRecord] {
        records.list(from: offset, limit: limit)
    }
    func forEach(_ body: (DeadRecord) -> Void) { records.forEach(body) }

    /// The one that is dead for longest and not on its way out; nil where there is none.
    mutating func oldest() -> DeadRecord? {
        while let first = order.first {
            if let record = records[first.offset], record.diedNanos == first.diedNanos,
                !record.isLeaving
            {
                return record
            }
            order.removeFirst()
        }
        return nil
    }

    /// After a restart, or when many of the order are gone.
    mutating func sortByAge() {
        var ages: [(diedNanos: Int64, offset: Offset)] = []
        ages.reserveCapacity(records.count)
        records.forEach { if !$0.isLeaving { ages.append(($0.diedNanos, $0.offset)) } }
        ages.sort {
            $0.diedNanos != $1.diedNanos ? $0.diedNanos < $1.diedNanos : $0.offset < $1.offset
        }
        order = Deque(ages)
    }
}
