import ChaskiModel

/// 256 consecutive messages of a window: all of them, or the few that have something to tell, or
/// none.
struct Chunk {
    /// All slots; nil where the chunk shrank.
    private(set) var dense: UnsafeMutablePointer<Slot>?
    /// The open ones of a chunk that shrank.
    private(set) var sparse: UnsafeMutablePointer<SparseSlots>?
    /// How many of the 256 are settled.
    var settled: UInt16
    /// How many were passed over, and are still behind others of their key.
    var passed: UInt16 = 0
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

    /// Whether little enough is left in it that it may shrink.
    @inline(__always)
    var isCool: Bool { settled &+ passed >= Window.shrinkAt }

    @inline(never)
    func sparseSlot(_ place: Int) -> UnsafeMutablePointer<Slot>? {
        assert(place >= 0 && place < Window.chunkSlots)
        return sparse?.pointee.slot(place)
    }

    /// A message that was passed over is so no more. Answers whether it had no slot of its own, and
    /// is forgotten; a slot of its own is the caller's to change.
    @inline(never)
    mutating func leavePassed(_ place: Int) -> Bool {
        precondition(passed > 0, "passed over messages are miscounted")
        passed -= 1
        guard let sparse, sparse.pointee.isLight(place) else { return false }
        sparse.pointee.removeLight(place)
        return true
    }

    /// The slot of a message that was passed over and is to be handed out; other slots of the chunk
    /// may move.
    mutating func takePassed(_ place: Int) -> UnsafeMutablePointer<Slot>? {
        precondition(passed > 0, "passed over messages are miscounted")
        passed -= 1
        if let dense {
            // It has more to tell than before: it is named again when it has less.
            isCooled = false
            return dense + place
        }
        if let sparse, sparse.pointee.isLight(place) { sparse.pointee.thaw(place) }
        return sparseSlot(place)
    }

    /// Forgets the settled slots, and all but a bit of those that were passed over.
    mutating func shrink() {
        guard let dense else { return }
        self.dense = nil
        defer { dense.deallocate() }
        guard settled < UInt16(Window.chunkSlots) else { return }
        let small = UnsafeMutablePointer<SparseSlots>.allocate(capacity: 1)
        small.initialize(to: SparseSlots(keeping: dense))
        sparse = small
    }

    mutating func free() {
        dense?.deallocate()
        dense = nil
        if let sparse {
            sparse.pointee.free()
            sparse.deallocate()
            self.sparse = nil
        }
    }

    var memoryBytes: Int {
        if dense != nil { return Window.chunkSlots * MemoryLayout<Slot>.stride }
        return sparse?.pointee.memoryBytes ?? 0
    }

    func inconsistency() -> String? {
        var census = (open: 0, passed: 0)
        if let dense {
            census.open = (0..<Window.chunkSlots).count { !dense[$0].isSettled }
            census.passed = (0..<Window.chunkSlots).count { dense[$0].state == .passed }
        } else if let sparse {
            census = sparse.pointee.census
        }
        if census.open + Int(settled) != Window.chunkSlots {
            return "\(census.open) open and \(settled) settled"
        }
        return census.passed == Int(passed)
            ? nil : "\(census.passed) passed over, counted \(passed)"
    }
}
