import ChaskiModel

/// What the index knows of one topic.
struct TopicState {
    /// The offsets that one file holds.
    struct Run: Hashable {
        var file: UInt64
        var first: Offset
        var end: Offset
        var bytes: UInt64
    }

    /// Ascending by file and by offset, apart from one another.
    private(set) var runs: [Run] = []
    var released = ReleasedOffsets()
    var isRemoved = false
    /// The latest batches, consecutive up to the topic's end.
    var recent = RecentBatches()

    /// The offset after the last.
    var end: Offset { runs.last?.end ?? 0 }

    /// Adds offsets met in `file`, which is the last or a later one.
    mutating func extend(file: UInt64, first: Offset, end: Offset, bytes: UInt64) {
        precondition(runs.last.map { $0.file <= file } ?? true, "files come in order")
        // What a later file claims was never acknowledged where an earlier one stands.
        while let last = runs.last, last.file < file, last.end > first {
            if last.first >= first {
                runs.removeLast()
            } else {
                runs[runs.count - 1].end = first
            }
        }
        if let last = runs.last, last.file == file {
            runs[runs.count - 1].end = max(last.end, end)
            runs[runs.count - 1].bytes = last.bytes &+ bytes
        } else {
            runs.append(Run(file: file, first: first, end: end, bytes: bytes))
        }
    }

    /// The run that holds `offset`, or the next one.
    func run(from offset: Offset) -> Run? {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        return low < runs.count ? runs[low] : nil
    }

    /// The run in `file`.
    func run(in file: UInt64) -> Run? { position(of: file).map { runs[$0] } }

    mutating func removeRun(in file: UInt64) {
        if let position = position(of: file) { runs.remove(at: position) }
    }

    /// Whether nothing of the topic in `file` is needed.
    func isDead(in file: UInt64) -> Bool {
        guard !isRemoved, let run = run(in: file) else { return true }
        return released.contains(run.first..<run.end)
    }

    private func position(of file: UInt64) -> Int? {
        var low = 0
        var high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].file < file { low = middle + 1 } else { high = middle }
        }
        return low < runs.count && runs[low].file == file ? low : nil
    }
}

/// The latest batches of one topic.
struct RecentBatches {
    private var batches: [StoredBatch] = []
    private var head = 0

    /// The first offset in it.
    var first: Offset? { head < batches.count ? batches[head].baseOffset : nil }

    mutating func append(_ batch: StoredBatch) { batches.append(batch) }

    mutating func removeFirst() -> StoredBatch? {
        guard head < batches.count else { return nil }
        let batch = batches[head]
        batches[head].bytes = []
        head += 1
        if head > 32, head * 2 > batches.count {
            batches.removeFirst(head)
            head = 0
        }
        return batch
    }

    /// Batches from the one that holds `offset` on, at least one.
    func batches(from offset: Offset, maximumBytes: Int) -> [StoredBatch] {
        var low = head
        var high = batches.count
        while low < high {
            let middle = (low + high) / 2
            let end = batches[middle].baseOffset &+ Offset(batches[middle].count)
            if end <= offset { low = middle + 1 } else { high = middle }
        }
        var chosen: [StoredBatch] = []
        var bytes = 0
        for batch in batches[low...] {
            if !chosen.isEmpty, bytes + batch.bytes.count > maximumBytes { break }
            chosen.append(batch)
            bytes += batch.bytes.count
        }
        return chosen
    }

    /// All batches, oldest first.
    var all: ArraySlice<StoredBatch> { batches[head...] }
}
