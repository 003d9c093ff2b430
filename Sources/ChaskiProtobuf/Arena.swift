#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Memory of one decoding or encoding: handed out by moving a cursor, given back all at once.
///
/// It begins in memory of the caller's, usually on the stack, so that a small message costs no
/// `malloc`; its bookkeeping lies at the head of that. Further blocks double up to 64 KiB (larger
/// ones cost `malloc` a mapping); their sum never passes the budget.
struct Arena {
    struct State {
        var cursor: UnsafeMutableRawPointer
        var end: UnsafeMutableRawPointer
        /// Bytes that further blocks may take.
        var budget: Int
        var nextBlockBytes: Int
        /// The newest block; each begins with a pointer to the one before.
        var blocks: UnsafeMutableRawPointer?
        /// Bytes that the message under construction takes at most when packed.
        var packedBound: Int
    }

    static let alignment = 8
    static let largestBlock = 64 << 10

    let state: UnsafeMutablePointer<State>

    /// Begins in `memory`, which must stay until the arena is closed. The first block has
    /// `blockBytes` bytes.
    init(in memory: UnsafeMutableRawBufferPointer, blockBytes: Int, budget: Int) {
        let stateBytes = Arena.rounded(MemoryLayout<State>.size)
        guard let base = memory.baseAddress, memory.count >= stateBytes else {
            preconditionFailure("no room for the arena's state")
        }
        state = base.bindMemory(to: State.self, capacity: 1)
        state.initialize(
            to: State(
                cursor: base + stateBytes, end: base + memory.count, budget: max(budget, 0),
                nextBlockBytes: min(max(blockBytes, 1024), Arena.largestBlock), blocks: nil,
                packedBound: 0))
    }

    /// Gives the blocks back; whoever made the arena calls it, once.
    func close() {
        var next = state.pointee.blocks
        while let block = next {
            next = block.load(as: UnsafeMutableRawPointer?.self)
            free(block)
        }
    }

    /// Bytes of the budget not yet taken by blocks.
    var remainingBudget: Int { state.pointee.budget }

    static func rounded(_ size: Int) -> Int {
        (size &+ (alignment - 1)) & ~(alignment - 1)
    }

    /// `size` bytes aligned to 8, not zeroed; nil when the budget or the machine's memory ends.
    @inline(__always)
    static func allocate(
        _ state: UnsafeMutablePointer<State>, _ size: Int
    ) -> UnsafeMutableRawPointer? {
        let room = state.pointee.end - state.pointee.cursor
        guard size <= room - alignment else { return allocateBlock(state, size) }
        let result = state.pointee.cursor
        state.pointee.cursor = result + rounded(size)
        return result
    }

    /// Opens a block that holds `size` bytes.
    @inline(never)
    private static func allocateBlock(
        _ state: UnsafeMutablePointer<State>, _ size: Int
    ) -> UnsafeMutableRawPointer? {
        let header = alignment
        guard size <= Int(Int32.max) &* 64 else { return nil }
        let needed = rounded(size) + header + alignment
        let wanted = max(needed, min(state.pointee.nextBlockBytes, state.pointee.budget))
        guard wanted <= state.pointee.budget, let block = malloc(wanted) else { return nil }
        block.storeBytes(of: state.pointee.blocks, as: UnsafeMutableRawPointer?.self)
        state.pointee.blocks = block
        state.pointee.budget -= wanted
        state.pointee.nextBlockBytes = min(
            state.pointee.nextBlockBytes &* 2, Arena.largestBlock)
        let result = block + header
        state.pointee.cursor = result + rounded(size)
        state.pointee.end = block + wanted
        precondition(state.pointee.cursor <= state.pointee.end, "arena block too small")
        return result
    }
}
