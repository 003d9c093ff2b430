import ChaskiModel
import DequeModule

/// The hash of a dedup id.
struct DedupKey: Hashable {
    var high: UInt64
    var low: UInt64
}

/// A message of a topic that remembers dedup ids. 40 bytes.
struct DedupEntry: Hashable {
    var key: DedupKey
    var offset: Offset
    /// Broker clock of the group that stored it, nanoseconds.
    var clock: Int64
    /// CRC-32C of its payload.
    var checksum: UInt32
}

/// The dedup ids of one topic, for as long as its window: a ring in order of time, and an index of
/// it by hash with open addressing, in shards so that growing stays short. About 48 bytes an id.
///
/// Two ids with one hash would count as one; that takes 2^64 ids.
final class DedupTable {
    /// For how long an id is remembered, nanoseconds of the broker clock.
    let window: Int64
    private var chunks: Deque<Chunk> = []
    /// Positions of entries rise by one and never come again. The first entry that is kept; the
    /// first that was not seen to be past its window; and the next to be given.
    private(set) var head: UInt64 = 0
    private(set) var liveFrom: UInt64 = 0
    private(set) var end: UInt64 = 0
    private var shards = [[UInt32]](repeating: [], count: DedupTable.shardCount)
    private var counts = [Int](repeating: 0, count: DedupTable.shardCount)
    /// Entries of a checkpoint came behind later ones.
    private var isUnordered = false
    /// A timer of the namespace will look at it.
    var hasTimer = false

    private static let chunkBits: UInt64 = 10
    private static let shardCount = 64
    private static let codeMask: UInt64 = 0x7FFF_FFFF

    private final class Chunk {
        var entries: [DedupEntry] = []
    }

    init(window: Int64) {
        precondition(window > 0, "a window has a length")
        self.window = window
    }

    /// Ids that count against the namespace's maximum.
    var liveCount: Int { Int(end - liveFrom) }
    var isEmpty: Bool { head == end }

    /// When the newest, and the oldest that counts, leave their window; nil without any.
    var lastExpiry: Int64? { end > head ? expiry(entry(end - 1)) : nil }
    var firstExpiry: Int64? { end > liveFrom ? expiry(entry(liveFrom)) : nil }

    private func expiry(_ entry: DedupEntry) -> Int64 { entry.clock.addingSaturating(window) }

    /// The message with this id, unless its window is over at `clock`.
    func find(_ key: DedupKey, at clock: Int64) -> DedupEntry? {
        guard let position = position(of: key) else { return nil }
        let found = entry(position)
        return expiry(found) > clock ? found : nil
    }

    /// Remembers an id; an older message with it is superseded.
    func insert(_ new: DedupEntry) {
        append(new)
        setIndex(new.key, end - 1)
    }

    /// Puts back an id that a checkpoint kept; the later of two messages with one id counts.
    func restore(_ kept: DedupEntry) {
        if let position = position(of: kept.key), entry(position).offset >= kept.offset { return }
        if end > head, entry(end - 1).offset > kept.offset { isUnordered = true }
        insert(kept)
    }

    /// After replay: in order again. Answers how many count.
    func arrange() {
        guard isUnordered else { return }
        isUnordered = false
        let sorted = entries(in: head..<end).sorted { $0.offset < $1.offset }
        removeAll()
        for entry in sorted { insert(entry) }
    }

    /// Counts no more what is past its window at `clock`; answers how many those are.
    func expire(at clock: Int64) -> Int {
        let before = liveFrom
        while liveFrom < end, expiry(entry(liveFrom)) <= clock { liveFrom += 1 }
        return Int(liveFrom - before)
    }

    /// Forgets what is past its window at `clock`, a time that is on disk; answers how many of them
    /// counted until now.
    func purge(at clock: Int64) -> Int {
        let expired = expire(at: clock)
        while head < liveFrom, expiry(entry(head)) <= clock { dropFirst() }
        if head == end { removeAll() }
        return expired
    }

    /// Entries by position, in order of time; those that are kept.
    func entries(in range: Range<UInt64>) -> [DedupEntry] {
        range.clamped(to: head..<end).map { entry($0) }
    }

    // MARK: the ring

    private var base: UInt64 { head & ~((1 << DedupTable.chunkBits) - 1) }

    private func entry(_ position: UInt64) -> DedupEntry {
        precondition(position >= head && position < end, "outside the ring")
        let place = Int((position - base) >> DedupTable.chunkBits)
        return chunks[place].entries[Int(position & ((1 << DedupTable.chunkBits) - 1))]
    }

    private func append(_ entry: DedupEntry) {
        precondition(end - head < DedupTable.codeMask, "more ids than an index can name")
        if end & ((1 << DedupTable.chunkBits) - 1) == 0 { chunks.append(Chunk()) }
        guard let last = chunks.last else { preconditionFailure("a ring has its last chunk") }
        last.entries.append(entry)
        end += 1
    }

    private func dropFirst() {
        let key = entry(head).key
        removeIndex(key, head)
        head += 1
        if head & ((1 << DedupTable.chunkBits) - 1) == 0 { chunks.removeFirst() }
        liveFrom = max(liveFrom, head)
    }

    /// Gives all memory back.
    private func removeAll() {
        chunks.removeAll()
        // The next chunk begins with its first entry.
        end = (end | ((1 << DedupTable.chunkBits) - 1)) + 1
        head = end
        liveFrom = end
        for shard in shards.indices {
            shards[shard] = []
            counts[shard] = 0
        }
    }

    // MARK: the index

    /// What a slot holds for a position; 0 is an empty slot.
    private static func code(_ position: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: position & codeMask) + 1
    }

    private func position(code: UInt32) -> UInt64 {
        head + ((UInt64(code - 1) &- head) & DedupTable.codeMask)
    }

    private static func shard(_ key: DedupKey) -> Int { Int(key.high >> 58) }

    private func position(of key: DedupKey) -> UInt64? {
        let shard = DedupTable.shard(key)
        let mask = shards[shard].count - 1
        guard mask > 0 else { return nil }
        var slot = Int(truncatingIfNeeded: key.low) & mask
        while shards[shard][slot] != 0 {
            let position = position(code: shards[shard][slot])
            if entry(position).key == key { return position }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private func setIndex(_ key: DedupKey, _ position: UInt64) {
        let shard = DedupTable.shard(key)
        if (counts[shard] + 1) * 4 > shards[shard].count * 3 { growIndex(shard) }
        let mask = shards[shard].count - 1
        var slot = Int(truncatingIfNeeded: key.low) & mask
        while shards[shard][slot] != 0 {
            if entry(self.position(code: shards[shard][slot])).key == key {
                shards[shard][slot] = DedupTable.code(position)
                return
            }
            slot = (slot + 1) & mask
        }
        shards[shard][slot] = DedupTable.code(position)
        counts[shard] += 1
    }

    private func growIndex(_ shard: Int) {
        let old = shards[shard]
        shards[shard] = [UInt32](repeating: 0, count: max(8, old.count * 2))
        let mask = shards[shard].count - 1
        for code in old where code != 0 {
            var slot = Int(truncatingIfNeeded: entry(position(code: code)).key.low) & mask
            while shards[shard][slot] != 0 { slot = (slot + 1) & mask }
            shards[shard][slot] = code
        }
    }

    /// Takes a position out, unless a later message took its place; what lies behind moves up, so
    /// that searches end at the first empty slot.
    private func removeIndex(_ key: DedupKey, _ position: UInt64) {
        let shard = DedupTable.shard(key)
        let mask = shards[shard].count - 1
        guard mask > 0 else { return }
        let code = DedupTable.code(position)
        var hole = Int(truncatingIfNeeded: key.low) & mask
        while shards[shard][hole] != code {
            if shards[shard][hole] == 0 { return }
            hole = (hole + 1) & mask
        }
        var next = (hole + 1) & mask
        while shards[shard][next] != 0 {
            let moving = entry(self.position(code: shards[shard][next])).key
            let home = Int(truncatingIfNeeded: moving.low) & mask
            if (next - home) & mask >= (next - hole) & mask {
                shards[shard][hole] = shards[shard][next]
                hole = next
            }
            next = (next + 1) & mask
        }
        shards[shard][hole] = 0
        counts[shard] -= 1
    }
}
