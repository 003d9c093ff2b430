import ChaskiModel

/// The offsets of a topic that nobody needs any more. Bounded: past the bound the smallest range
/// is forgotten, which keeps a file longer than needed and loses nothing.
struct ReleasedOffsets {
    private static let bound = 1_024
    /// Everything below is released.
    private(set) var below: Offset = 0
    /// Above `below`: ascending, apart from one another.
    private var ranges: [Range<Offset>] = []

    mutating func insert(_ range: Range<Offset>) {
        guard !range.isEmpty, range.upperBound > below else { return }
        var merged = max(range.lowerBound, below)..<range.upperBound
        let first = ranges.firstIndex { $0.upperBound >= merged.lowerBound } ?? ranges.count
        var end = first
        while end < ranges.count, ranges[end].lowerBound <= merged.upperBound {
            merged =
                min(
                    merged.lowerBound, ranges[end].lowerBound)..<max(
                    merged.upperBound, ranges[end].upperBound)
            end += 1
        }
        if merged.lowerBound <= below {
            below = merged.upperBound
            ranges.removeSubrange(0..<end)
        } else {
            ranges.replaceSubrange(first..<end, with: [merged])
        }
        if ranges.count > Self.bound {
            // A range's count may exceed `Int`; its difference of bounds cannot.
            let smallest = ranges.indices.min {
                ranges[$0].upperBound - ranges[$0].lowerBound
                    < ranges[$1].upperBound - ranges[$1].lowerBound
            }
            if let smallest { ranges.remove(at: smallest) }
        }
        assert(ranges.first.map { $0.lowerBound > below } ?? true, "ranges lie above the mark")
    }

    func contains(_ range: Range<Offset>) -> Bool {
        if range.upperBound <= below { return true }
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < range.upperBound {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low < ranges.count else { return false }
        return ranges[low].lowerBound <= max(range.lowerBound, below)
            && range.upperBound <= ranges[low].upperBound
    }

    /// How many offsets of `range` are released.
    func count(in range: Range<Offset>) -> UInt64 {
        var total: UInt64 = 0
        if below > range.lowerBound { total = min(below, range.upperBound) - range.lowerBound }
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= range.lowerBound {
                low = middle + 1
            } else {
                high = middle
            }
        }
        for part in ranges[low...] {
            guard part.lowerBound < range.upperBound else { break }
            total +=
                min(part.upperBound, range.upperBound) - max(part.lowerBound, range.lowerBound)
        }
        assert(total <= range.upperBound - range.lowerBound, "no more than there are")
        return total
    }
}
