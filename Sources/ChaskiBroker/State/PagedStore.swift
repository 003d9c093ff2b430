import ChaskiModel

/// Something that belongs to one offset.
protocol OffsetKeyed {
    var offset: Offset { get }
}

/// Items by offset, ascending, one at most for each.
struct PagedStore<Item: OffsetKeyed> {
    private static var pageItems: Int { 512 }
    /// Never an empty page.
    private var pages: [[Item]] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    var first: Item? { pages.first?.first }
    var last: Item? { pages.last?.last }

    /// Inserts, or replaces the item of the same offset. Answers whether it is new.
    @discardableResult
    mutating func insert(_ item: Item) -> Bool {
        if pages.isEmpty { pages.append([]) }
        let number = page(for: item.offset)
        let place = Self.place(in: pages[number], of: item.offset)
        if place < pages[number].count, pages[number][place].offset == item.offset {
            pages[number][place] = item
            return false
        }
        pages[number].insert(item, at: place)
        count += 1
        if pages[number].count > Self.pageItems {
            let half = pages[number].count / 2
            pages.insert(Array(pages[number][half...]), at: number + 1)
            pages[number].removeSubrange(half...)
        }
        return true
    }

    /// Takes the item of an offset out; nil where there is none.
    @discardableResult
    mutating func remove(_ offset: Offset) -> Item? {
        guard let (number, place) = find(offset) else { return nil }
        let item = pages[number].remove(at: place)
        if pages[number].isEmpty { pages.remove(at: number) }
        count -= 1
        assert(count >= 0, "items are miscounted")
        return item
    }

    /// Changes the item of an offset in place. Answers whether there is one.
    @discardableResult
    mutating func update(_ offset: Offset, _ change: (inout Item) -> Void) -> Bool {
        guard let (number, place) = find(offset) else { return false }
        change(&pages[number][place])
        assert(pages[number][place].offset == offset, "an item keeps its offset")
        return true
    }

    subscript(_ offset: Offset) -> Item? {
        find(offset).map { pages[$0.page][$0.place] }
    }

    /// The first item at `offset` or later.
    func first(from offset: Offset) -> Item? {
        guard !pages.isEmpty else { return nil }
        let number = page(for: offset)
        let place = Self.place(in: pages[number], of: offset)
        if place < pages[number].count { return pages[number][place] }
        return number + 1 < pages.count ? pages[number + 1].first : nil
    }

    func contains(_ range: Range<Offset>) -> Bool {
        first(from: range.lowerBound).map { $0.offset < range.upperBound } ?? false
    }

    /// At most `limit` items from `offset` on.
    func list(from offset: Offset, limit: Int) -> [Item] {
        guard limit > 0, !pages.isEmpty else { return [] }
        var list: [Item] = []
        var number = page(for: offset)
        var place = Self.place(in: pages[number], of: offset)
        while number < pages.count, list.count < limit {
            let take = min(limit - list.count, pages[number].count - place)
            list.append(contentsOf: pages[number][place..<place + take])
            number += 1
            place = 0
        }
        return list
    }

    func forEach(_ body: (Item) -> Void) {
        for page in pages { page.forEach(body) }
    }

    private func find(_ offset: Offset) -> (page: Int, place: Int)? {
        guard !pages.isEmpty else { return nil }
        let number = page(for: offset)
        let place = Self.place(in: pages[number], of: offset)
        guard place < pages[number].count, pages[number][place].offset == offset else { return nil }
        return (number, place)
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

    private static func place(in page: [Item], of offset: Offset) -> Int {
        var low = 0
        var high = page.count
        while low < high {
            let middle = low + (high - low) / 2
            if page[middle].offset < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
