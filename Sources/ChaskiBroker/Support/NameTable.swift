/// Ids by name, and the names in their order, so that a page of them costs what is on it.
struct NameTable<ID> {
    private static var pageNames: Int { 512 }
    private var ids: [String: ID] = [:]
    /// Ascending, never an empty page.
    private var pages: [[String]] = []

    var count: Int { ids.count }

    subscript(_ name: String) -> ID? {
        get { ids[name] }
        set {
            guard let newValue else {
                if ids.removeValue(forKey: name) != nil { remove(name) }
                return
            }
            if ids.updateValue(newValue, forKey: name) == nil { insert(name) }
        }
    }

    /// Calls `body` with the names behind `name`, ascending, while it answers true.
    func forEach(after name: String, _ body: (String, ID) -> Bool) {
        guard !pages.isEmpty else { return }
        var number = page(for: name)
        var place = Self.place(in: pages[number]) { $0 <= name }
        while number < pages.count {
            for name in pages[number][place...] {
                guard let id = ids[name] else { preconditionFailure("a name without its id") }
                guard body(name, id) else { return }
            }
            number += 1
            place = 0
        }
    }

    private mutating func insert(_ name: String) {
        guard !pages.isEmpty else {
            pages = [[name]]
            return
        }
        let number = page(for: name)
        pages[number].insert(name, at: Self.place(in: pages[number]) { $0 < name })
        guard pages[number].count > Self.pageNames else { return }
        let half = pages[number].count / 2
        pages.insert(Array(pages[number][half...]), at: number + 1)
        pages[number].removeSubrange(half...)
    }

    private mutating func remove(_ name: String) {
        let number = page(for: name)
        let place = Self.place(in: pages[number]) { $0 < name }
        precondition(pages[number][place] == name, "a name is out of its place")
        pages[number].remove(at: place)
        if pages[number].isEmpty { pages.remove(at: number) }
    }

    /// The last page that may hold the name.
    private func page(for name: String) -> Int {
        var low = 0
        var high = pages.count
        while low < high {
            let middle = low + (high - low) / 2
            if pages[middle][0] <= name { low = middle + 1 } else { high = middle }
        }
        return max(0, low - 1)
    }

    /// How many names, from the first on, are before some place.
    private static func place(in page: [String], _ isBefore: (String) -> Bool) -> Int {
        var low = 0
        var high = page.count
        while low < high {
            let middle = low + (high - low) / 2
            if isBefore(page[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
