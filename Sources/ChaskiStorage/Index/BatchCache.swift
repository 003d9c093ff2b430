import ChaskiModel

/// Counts the bytes of recent batches over all topics, and says whose oldest goes next.
struct BatchCache {
    /// Bytes that a cached batch costs beside its own.
    private static let overhead = 128
    private static let batchesBound = 65_536
    private let limit: Int
    private var order: [TopicID] = []
    private var head = 0
    private(set) var bytes = 0

    init(limit: Int) { self.limit = limit }

    static func cost(_ batch: StoredBatch) -> Int { batch.bytes.count + overhead }

    mutating func added(_ batch: StoredBatch) {
        order.append(batch.topic)
        bytes += Self.cost(batch)
    }

    mutating func removed(_ batch: StoredBatch) {
        bytes -= Self.cost(batch)
        assert(bytes >= 0, "what is removed was added")
    }

    /// The topic whose oldest batch must go; nil while all is within bounds. A topic may be named
    /// that has none any more.
    mutating func nextToEvict() -> TopicID? {
        guard bytes > limit || order.count - head > Self.batchesBound, head < order.count else {
            return nil
        }
        let topic = order[head]
        head += 1
        if head > 1_024, head * 2 > order.count {
            order.removeFirst(head)
            head = 0
        }
        return topic
    }
}

/// Indexes of closed files read from disk, least recently used first out.
struct FileIndexCache {
    private struct Entry {
        var file: BatchFile
        var index: FileIndex
        var used: UInt64
    }
    private let limit: Int
    private var entries: [Entry] = []
    private var clock: UInt64 = 0
    private var cost = 0

    init(limit: Int) { self.limit = limit }

    mutating func index(of file: BatchFile) -> FileIndex? {
        guard let at = entries.firstIndex(where: { $0.file == file }) else { return nil }
        clock &+= 1
        entries[at].used = clock
        return entries[at].index
    }

    mutating func insert(_ index: FileIndex, of file: BatchFile) {
        remove(file)
        clock &+= 1
        entries.append(Entry(file: file, index: index, used: clock))
        cost += index.cost
        // One always stays, or a large file would be read again for every batch.
        while cost > limit, entries.count > 1,
            let oldest = entries.indices.min(by: { entries[$0].used < entries[$1].used })
        {
            cost -= entries.remove(at: oldest).index.cost
        }
    }

    mutating func remove(_ file: BatchFile) {
        if let at = entries.firstIndex(where: { $0.file == file }) {
            cost -= entries.remove(at: at).index.cost
        }
    }
}
