import ChaskiModel

/// What the index knows of one topic.
struct TopicState {
    /// The offsets that one file holds.
    struct Run: Hashable {
        /// The journal file; of a segment, the last of those that its batches came from. So runs
        /// ascend by it, whether they are still in the journal or not.
        var file: UInt64
        /// Not nil once the batches have been moved to a segment.
        var segment: SegmentID?
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

    /// Puts a segment found at opening in its place; nil where others hold its offsets.
    ///
    /// - Parameter isReadable: otherwise it may hold any offsets, and gets what is left.
    mutating func insert(_ run: Run, isReadable: Bool) -> Run? {
        precondition(run.segment != nil, "journal files come in order")
        var low = 0
        while low < runs.count, runs[low].file < run.file { low += 1 }
        var run = run
        // What a later file claims was never acknowledged where an earlier one stands, as in `extend`.
        if low < runs.count {
            guard runs[low].file != run.file else { return nil }
            run.end = min(run.end, runs[low].first)
        }
        if !isReadable, low > 0 { run.first = max(run.first, runs[low - 1].end) }
        guard run.first < run.end else { return nil }
        while low > 0, runs[low - 1].end > run.first {
            if runs[low - 1].first < run.first {
                runs[low - 1].end = run.first
            } else {
                runs.remove(at: low - 1)
                low -= 1
            }
        }
        runs.insert(run, at: low)
        return run
    }

    /// Puts a segment in the place of the runs that it holds the living batches of.
    mutating func replace(_ old: [UInt64], with new: Run?) {
        precondition(!old.isEmpty, "something is replaced")
        guard let first = position(of: old[0]) else { return }
        runs.removeSubrange(first..<(first + old.count))
        if let new { runs.insert(new, at: first) }
    }

    /// Whether the runs of these files follow one another.
    func isConsecutive(_ files: [UInt64]) -> Bool {
        guard let first = files.first, let at = position(of: first) else { return false }
        return at + files.count <= runs.count
            && zip(files, runs[at..<(at + files.count)]).allSatisfy { $0 == $1.file }
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

    /// Forgets what journal file `file` held.
    mutating func removeRun(in file: UInt64) {
        if let position = position(of: file), runs[position].segment == nil {
            runs.remove(at: position)
        }
    }

    /// Forgets a segment.
    mutating func removeRun(of segment: SegmentID) {
        if let position = position(of: segment.source), runs[position].segment == segment {
            runs.remove(at: position)
        }
    }

    /// Whether nothing of the topic in journal file `file` is needed.
    func isDead(in file: UInt64) -> Bool {
        guard !isRemoved, let run = run(in: file), run.segment == nil else { return true }
        return released.contains(run.first..<run.end)
    }

    /// Whether nothing in a segment is needed.
    func isDead(_ segment: SegmentID) -> Bool {
        guard !isRemoved, let run = run(in: segment.source), run.segment == segment else {
            return true
        }
        return released.contains(run.first..<run.end)
    }

    /// Bytes of a run that are needed, about: batches are taken to be of one size.
    func aliveBytes(of run: Run) -> UInt64 {
        guard !isRemoved, run.first < run.end else { return 0 }
        let count = run.end - run.first
        let alive = count - released.count(in: run.first..<run.end)
        return count.dividingFullWidth(run.bytes.multipliedFullWidth(by: alive)).quotient
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
