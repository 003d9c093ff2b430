import ChaskiModel

/// 256 consecutive messages of a window: all of them, or the few that are unsettled, or none.
struct Chunk {
    /// All slots; nil where the chunk shrank.
    private(set) var dense: UnsafeMutablePointer<Slot>?
    /// The unsettled ones of a chunk that shrank.
    private(set) var sparse: UnsafeMutablePointer<SparseSlots>?
    /// How many of the 256 are settled.
    var settled: UInt16
    /// Whether it was named as one that may shrink.
    var isCooled = false

    /// Unsettled, except for what lies below `settledBelow`.
    init(settledBelow: Offset, number: UInt64) {
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: Window.chunkSlots)
        slots.initialize(repeating: Slot(), count: Window.chunkSlots)
        let first = number << Window.chunkBits
        let before = settledBelow > first ? min(settledBelow - first, 256) : 0
        for place in 0..<Int(before) { slots[place].state = .acked }
        dense = slots
        sparse = nil
        settled = UInt16(before)
    }

    /// All settled, nothing kept.
    static var settledChunk: Chunk { Chunk() }

    private init() {
        settled = UInt16(Window.chunkSlots)
        isCooled = true
    }

    var isFree: Bool { dense == nil && sparse == nil }

    @inline(never)
    func sparseSlot(_ place: Int) -> UnsafeMutablePointer<Slot>? {
        assert(place >= 0 && place < Window.chunkSlots)
        return sparse?.pointee.slot(place)
    }

    /// Forgets the settled slots.
    mutating func shrink() {
        guard let dense else { return }
        let kept = Window.chunkSlots - Int(settled)
        self.dense = nil
        defer { dense.deallocate() }
        guard kept > 0 else { return }
        let small = UnsafeMutablePointer<SparseSlots>.allocate(capacity: 1)
        small.initialize(to: SparseSlots(keeping: dense, count: kept))
        sparse = small
    }

    mutating func free() {
        dense?.deallocate()
        dense = nil
        if let sparse {
            sparse.pointee.slots.deallocate()
            sparse.deallocate()
            self.sparse = nil
        }
    }

    var memoryBytes: Int {
        if dense != nil { return Window.chunkSlots * MemoryLayout<Slot>.stride }
        guard let sparse else { return 0 }
        return MemoryLayout<SparseSlots>.stride + sparse.pointee.count * MemoryLayout<Slot>.stride
    }

    func inconsistency() -> String? {
        guard let dense else {
            guard let sparse else { return settled == 256 ? nil : "free with \(settled) settled" }
            let open = (0..<sparse.pointee.count).count { !sparse.pointee.slots[$0].isSettled }
            return open + Int(settled) == 256 ? nil : "\(open) open and \(settled) settled"
        }
        let seen = (0..<Window.chunkSlots).count { dense[$0].isSettled }
        return seen == Int(settled) ? nil : "\(seen) settled, counted \(settled)"
    }
}

/// The slots that were unsettled when their chunk shrank, found by a bitmap.
struct SparseSlots {
    private var bits: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    let slots: UnsafeMutablePointer<Slot>
    let count: Int

    init(keeping dense: UnsafeMutablePointer<Slot>, count: Int) {
        precondition(count > 0 && count <= Window.chunkSlots)
        slots = .allocate(capacity: count)
        self.count = count
        var next = 0
        for place in 0..<Window.chunkSlots where !dense[place].isSettled {
            precondition(next < count, "more unsettled slots than counted")
            (slots + next).initialize(to: dense[place])
            next += 1
            set(place)
        }
        precondition(next == count, "fewer unsettled slots than counted")
    }

    func slot(_ place: Int) -> UnsafeMutablePointer<Slot>? {
        let word = place >> 6
        let bit = UInt64(1) << UInt64(place & 63)
        guard self[word] & bit != 0 else { return nil }
        var rank = (self[word] & (bit - 1)).nonzeroBitCount
        for before in 0..<word { rank += self[before].nonzeroBitCount }
        return slots + rank
    }

    private subscript(word: Int) -> UInt64 {
        switch word {
        case 0: bits.0
        case 1: bits.1
        case 2: bits.2
        default: bits.3
        }
    }

    private mutating func set(_ place: Int) {
        let bit = UInt64(1) << UInt64(place & 63)
        switch place >> 6 {
        case 0: bits.0 |= bit
        case 1: bits.1 |= bit
        case 2: bits.2 |= bit
        default: bits.3 |= bit
        }
    }
}
