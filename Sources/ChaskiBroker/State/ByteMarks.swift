import ChaskiModel

/// How many bytes a topic's batches take, by coarse stretches of offsets, so that a quota can count
/// what is released. At most `maximum` stretches, whatever the topic holds.
struct ByteMarks {
    struct Mark: Hashable {
        /// Offsets of the stretch; it ends where the next begins.
        var first: Offset
        var end: Offset
        var bytes: UInt64
        /// Offsets of it that are still needed.
        var needed: UInt64
    }

    static let maximum = 4_096
    private(set) var marks: [Mark] = []
    /// A stretch is closed when it holds as many bytes.
    private(set) var markBytes: UInt64 = 1 << 20

    mutating func append(first: Offset, count: UInt64, bytes: UInt64) {
        if let last = marks.last, last.bytes < markBytes, last.end == first {
            marks[marks.count - 1].end = first + count
            marks[marks.count - 1].bytes += bytes
            marks[marks.count - 1].needed += count
        } else {
            if marks.count >= ByteMarks.maximum { merge() }
            marks.append(Mark(first: first, end: first + count, bytes: bytes, needed: count))
        }
    }

    /// Pairs of stretches become one.
    private mutating func merge() {
        markBytes = markBytes &* 2
        var merged: [Mark] = []
        merged.reserveCapacity(marks.count / 2 + 1)
        for mark in marks {
            if let last = merged.last, last.end == mark.first, last.bytes + mark.bytes <= markBytes
            {
                merged[merged.count - 1].end = mark.end
                merged[merged.count - 1].bytes += mark.bytes
                merged[merged.count - 1].needed += mark.needed
            } else {
                merged.append(mark)
            }
        }
        // Where nothing was small enough to merge, the oldest two become one: the bound holds.
        if merged.count >= ByteMarks.maximum, merged.count >= 2 {
            let first = merged.removeFirst()
            merged[0].first = first.first
            merged[0].bytes += first.bytes
            merged[0].needed += first.needed
        }
        marks = merged
    }

    /// Offsets that are not needed any more, each given once.
    mutating func release(_ range: Range<Offset>) {
        var low = 0
        var high = marks.count
        while low < high {
            let middle = low + (high - low) / 2
            if marks[middle].end <= range.lowerBound { low = middle + 1 } else { high = middle }
        }
        var index = low
        while index < marks.count, marks[index].first < range.upperBound {
            let from = max(range.lowerBound, marks[index].first)
            let to = min(range.upperBound, marks[index].end)
            if from < to { marks[index].needed -= min(marks[index].needed, to - from) }
            index += 1
        }
        let gone = marks.prefix { $0.needed == 0 }.count
        if gone > 0 { marks.removeFirst(gone) }
    }

    /// Bytes that are still needed, about.
    var bytes: UInt64 {
        marks.reduce(0) { sum, mark in
            let (product, overflow) = mark.bytes.multipliedReportingOverflow(by: mark.needed)
            let span = max(1, mark.end - mark.first)
            return sum &+ (overflow ? mark.bytes : product / span)
        }
    }

    /// From a checkpoint; what is released is told again.
    mutating func restore(_ marks: [Mark], markBytes: UInt64) {
        self.marks = marks
        self.markBytes = max(1, markBytes)
    }
}
