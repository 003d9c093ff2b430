/// What is open in a chunk that shrank: a slot for each message that has something to tell, and a
/// bit for each that was only passed over.
struct SparseSlots {
    private var kept = Bits256()
    private var passed = Bits256()
    private(set) var slots: UnsafeMutablePointer<Slot>?
    private(set) var count: Int
    private var capacity: Int

    /// What every message says that was only passed over. Never written to.
    nonisolated(unsafe) private static let passedOver: UnsafeMutablePointer<Slot> = {
        let slot = UnsafeMutablePointer<Slot>.allocate(capacity: 1)
        slot.initialize(to: Slot(state: .passed))
        return slot
    }()

    init(keeping dense: UnsafeMutablePointer<Slot>) {
        for place in 0..<Window.chunkSlots {
            switch dense[place].state {
            case .acked, .dead: break
            case .passed: passed.insert(place)
            case .unseen, .leased, .returned, .waiting, .unresolved, .dying: kept.insert(place)
            }
        }
        count = kept.count
        capacity = count
        guard count > 0 else { return }
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: count)
        var next = 0
        for place in 0..<Window.chunkSlots where kept.contains(place) {
            (slots + next).initialize(to: dense[place])
            next += 1
        }
        precondition(next == count, "as many as were counted")
        self.slots = slots
    }

    /// Nil where it was settled. What `isLight` is for reading only.
    func slot(_ place: Int) -> UnsafeMutablePointer<Slot>? {
        if kept.contains(place), let slots { return slots + kept.rank(place) }
        return passed.contains(place) ? Self.passedOver : nil
    }

    /// Whether a message was passed over, and has no slot of its own.
    func isLight(_ place: Int) -> Bool { passed.contains(place) }

    /// Forgets a message that was only passed over.
    mutating func removeLight(_ place: Int) {
        precondition(passed.contains(place), "it is not there")
        passed.remove(place)
    }

    /// A message that was only passed over gets a slot of its own; those of the others move.
    mutating func thaw(_ place: Int) {
        removeLight(place)
        let rank = kept.rank(place)
        if count == capacity {
            capacity = min(Window.chunkSlots, max(4, capacity * 2))
            let larger = UnsafeMutablePointer<Slot>.allocate(capacity: capacity)
            if let slots {
                larger.moveInitialize(from: slots, count: count)
                slots.deallocate()
            }
            slots = larger
        }
        guard let slots, count < capacity else { preconditionFailure("there is room") }
        (slots + rank + 1).moveInitialize(from: slots + rank, count: count - rank)
        (slots + rank).initialize(to: Slot(state: .passed))
        kept.insert(place)
        count += 1
    }

    func free() { slots?.deallocate() }

    var memoryBytes: Int {
        MemoryLayout<SparseSlots>.stride + capacity * MemoryLayout<Slot>.stride
    }

    /// How many are open, and how many of these were passed over.
    var census: (open: Int, passed: Int) {
        var census = (open: passed.count, passed: passed.count)
        guard let slots else { return census }
        for index in 0..<count {
            if !slots[index].isSettled { census.open += 1 }
            if slots[index].state == .passed { census.passed += 1 }
        }
        return census
    }
}

/// A set of numbers below 256.
struct Bits256 {
    private var words: InlineArray<4, UInt64> = .init(repeating: 0)

    var count: Int {
        words[0].nonzeroBitCount + words[1].nonzeroBitCount + words[2].nonzeroBitCount
            + words[3].nonzeroBitCount
    }

    func contains(_ place: Int) -> Bool {
        assert(place >= 0 && place < 256)
        return words[place >> 6] & Self.bit(place) != 0
    }

    mutating func insert(_ place: Int) { words[place >> 6] |= Self.bit(place) }
    mutating func remove(_ place: Int) { words[place >> 6] &= ~Self.bit(place) }

    /// How many are below.
    func rank(_ place: Int) -> Int {
        var rank = (words[place >> 6] & (Self.bit(place) - 1)).nonzeroBitCount
        for before in 0..<(place >> 6) { rank += words[before].nonzeroBitCount }
        return rank
    }

    private static func bit(_ place: Int) -> UInt64 { 1 << UInt64(place & 63) }
}
