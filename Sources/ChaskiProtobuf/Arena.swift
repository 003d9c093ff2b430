import CProtobufC

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Memory of one decoding or encoding: handed out by moving a cursor, given back all at once.
///
/// Its bookkeeping lies at the head of the first block, so that a small message costs one `malloc`.
/// Blocks double up to 64 KiB (larger ones cost `malloc` a mapping); their sum never passes the budget.
struct Arena {
    struct State {
        var cursor: UnsafeMutableRawPointer
        var end: UnsafeMutableRawPointer
        /// Bytes that further blocks may take.
        var budget: Int
        var nextBlockBytes: Int
        /// The newest block but the first; each begins with a pointer to the one before.
        var blocks: UnsafeMutableRawPointer?
        var exhausted: Bool
        var allocator: ProtobufCAllocator
    }

    static let alignment = 8
    static let largestBlock = 64 << 10

    let state: UnsafeMutablePointer<State>

    /// Begins with a block of `firstBlock` usable bytes; nil when that is over `budget`.
    init?(firstBlock: Int, budget: Int) {
        let stateBytes = Arena.rounded(MemoryLayout<State>.size)
        let usable = Arena.rounded(max(firstBlock, 64))
        guard usable <= budget, let block = malloc(stateBytes + usable) else { return nil }
        state = block.bindMemory(to: State.self, capacity: 1)
        let cursor = block + stateBytes
        state.initialize(
            to: State(
                cursor: cursor, end: cursor + usable, budget: budget - usable,
                nextBlockBytes: min(max(usable &* 2, 1024), Arena.largestBlock), blocks: nil,
                exhausted: false,
                allocator: ProtobufCAllocator(
                    alloc: { data, size in
                        guard let data, size >= 0 else { return nil }
                        let state = data.assumingMemoryBound(to: State.self)
                        return Arena.allocate(state, size)
                    },
                    free: { _, _ in }, allocator_data: block)))
    }

    /// Gives all memory back; whoever made the arena calls it, once.
    func close() {
        var next = state.pointee.blocks
        while let block = next {
            next = block.load(as: UnsafeMutableRawPointer?.self)
            free(block)
        }
        free(state)
    }

    /// What protobuf-c allocates through; valid as long as the arena.
    var allocator: UnsafeMutablePointer<ProtobufCAllocator> {
        UnsafeMutableRawPointer(state)
            .advanced(by: MemoryLayout<State>.offset(of: \.allocator) ?? 0)
            .assumingMemoryBound(to: ProtobufCAllocator.self)
    }

    /// Bytes of the budget not yet taken by blocks.
    var remainingBudget: Int { state.pointee.budget }

    /// True after an allocation was refused.
    var isExhausted: Bool { state.pointee.exhausted }

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
        guard size <= Int(Int32.max) &* 64 else {
            state.pointee.exhausted = true
            return nil
        }
        let needed = rounded(size) + header + alignment
        let wanted = max(needed, min(state.pointee.nextBlockBytes, state.pointee.budget))
        guard wanted <= state.pointee.budget, let block = malloc(wanted) else {
            state.pointee.exhausted = true
            return nil
        }
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
