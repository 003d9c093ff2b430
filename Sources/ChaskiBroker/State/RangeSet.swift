import ChaskiModel

/// Disjoint, not touching ranges of offsets, ascending.
struct RangeSet {
    private(set) var ranges: [Range<Offset>] = []

    /// Adds a range; calls `added` with each part of it that was not there.
    mutating func insert(_ range: Range<Offset>, added: (Range<Offset>) -> Void) {
        guard !range.isEmpty else { return }
        // The ranges that overlap or touch the new one.
        let first = partition { $0.upperBound < range.lowerBound }
        let last = partition { $0.lowerBound <= range.upperBound }
        precondition(first <= last, "the ranges are not ascending")
        var lower = range.lowerBound
        var position = range.lowerBound
        var upper = range.upperBound
        for old in ranges[first..<last] {
            if position < old.lowerBound { added(position..<old.lowerBound) }
            position = max(position, min(old.upperBound, range.upperBound))
            lower = min(lower, old.lowerBound)
            upper = max(upper, old.upperBound)
        }
        if position < range.upperBound { added(position..<range.upperBound) }
        if last == first + 1 {
            ranges[first] = lower..<upper
        } else {
            ranges.replaceSubrange(first..<last, with: CollectionOfOne(lower..<upper))
        }
    }

    func contains(_ offset: Offset) -> Bool {
        let index = partition { $0.upperBound <= offset }
        return index < ranges.count && ranges[index].contains(offset)
    }

    /// The end of the range that begins at 0; 0 when there is none.
    var prefixEnd: Offset {
        guard let first = ranges.first, first.lowerBound == 0 else { return 0 }
        return first.upperBound
    }

    /// The end of the last range; 0 when there is none.
    var end: Offset { ranges.last?.upperBound ?? 0 }

    /// The first index for which `isBefore` is false.
    private func partition(_ isBefore: (Range<Offset>) -> Bool) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = low + (high - low) / 2
            if isBefore(ranges[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
