import ChaskiModel

/// The dead letters of one subscription, ascending by offset.
struct DeadStore {
    private static let pageLetters = 512
    /// Never an empty page.
    private var pages: [[DeadLetter]] = []
    private(set) var count = 0

    /// Inserts, or replaces the letter of the same offset.
    mutating func insert(_ letter: DeadLetter) {
        if pages.isEmpty { pages.append([]) }
        let number = page(for: letter.offset)
        let place = DeadStore.place(in: pages[number], of: letter.offset)
        if place < pages[number].count, pages[number][place].offset == letter.offset {
            pages[number][place] = letter
            return
        }
        pages[number].insert(letter, at: place)
        count += 1
        if pages[number].count > DeadStore.pageLetters {
            let half = pages[number].count / 2
            pages.insert(Array(pages[number][half...]), at: number + 1)
            pages[number].removeSubrange(half...)
        }
    }

    subscript(_ offset: Offset) -> DeadLetter? {
        first(from: offset).flatMap { $0.offset == offset ? $0 : nil }
    }

    /// The first letter at `offset` or later.
    func first(from offset: Offset) -> DeadLetter? {
        guard !pages.isEmpty else { return nil }
        let number = page(for: offset)
        let place = DeadStore.place(in: pages[number], of: offset)
        if place < pages[number].count { return pages[number][place] }
        return number + 1 < pages.count ? pages[number + 1].first : nil
    }

    func contains(_ range: Range<Offset>) -> Bool {
        first(from: range.lowerBound).map { $0.offset < range.upperBound } ?? false
    }

    /// At most `limit` letters from `offset` on.
    func list(from offset: Offset, limit: Int) -> [DeadLetter] {
        guard limit > 0, !pages.isEmpty else { return [] }
        var list: [DeadLetter] = []
        var number = page(for: offset)
        var place = DeadStore.place(in: pages[number], of: offset)
        while number < pages.count, list.count < limit {
            let take = min(limit - list.count, pages[number].count - place)
            list.append(contentsOf: pages[number][place..<place + take])
            number += 1
            place = 0
        }
        return list
    }

    /// The last page that may hold the offset.
    private func page(for offset: Offset) -> Int {
        var low = 0
        var high = pages.count
        while low < high {
            let middle = low + (high - low) / 2
            if let first = pages[middle].first, first.offset <= offset {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return max(0, low - 1)
    }

    private static func place(in page: [DeadLetter], of offset: Offset) -> Int {
        var low = 0
        var high = page.count
        while low < high {
            let middle = low + (high - low) / 2
            if page[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
