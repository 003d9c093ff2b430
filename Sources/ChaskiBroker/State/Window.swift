import ChaskiModel

/// What a subscription knows of each message between the oldest unsettled one and its cursor.
///
/// 256 messages share a chunk. A chunk in which little is left shrinks to what is left; one in which
/// all is settled vanishes. So one straggler costs little, however far the cursor is ahead, and what
/// waits behind a busy key costs a bit.
final class Window {
    static let chunkBits: UInt64 = 8
    static let chunkSlots = 256
    /// A chunk with at least this many slots that are settled, or only passed over, may shrink.
    static let shrinkAt: UInt16 = 224
    /// Offsets between the oldest unsettled message and the cursor, at most.
    static let maximumSpan: UInt64 = 1 << 34

    /// Everything below is settled.
    private(set) var settledBelow: Offset
    /// The cursor: nothing from here on was looked at.
    private(set) var end: Offset
    /// Numbers of chunks that had become wholly settled since they were last taken.
    private(set) var cleaned: [UInt64] = []
    /// Numbers of chunks that may shrink, likewise.
    private(set) var cooled: [UInt64] = []

    /// The number of the first chunk in `chunks` that counts, which is at `head`.
    private var firstChunk: UInt64
    /// Messages that were dead and are open again, whatever their chunk says.
    private let revived = RevivedSlots()
    /// Memory of its own: each message is looked up several times, and an array in a class is checked
    /// for exclusive access each time. What counts is from `head` on, up to `chunkCount`.
    private var chunks: UnsafeMutablePointer<Chunk>?
    private var chunkCapacity = 0
    private var chunkCount = 0
    private var head = 0

    init(start: Offset) {
        settledBelow = start
        end = start
        firstChunk = start >> Window.chunkBits
    }

    deinit {
        for index in head..<chunkCount { chunk(index).pointee.free() }
        chunks?.deallocate()
    }

    @inline(__always)
    private func chunk(_ index: Int) -> UnsafeMutablePointer<Chunk> {
        guard let chunks, index >= head, index < chunkCount else {
            preconditionFailure("beyond the window")
        }
        return chunks + index
    }

    private func append(_ chunk: Chunk) {
        if chunkCount == chunkCapacity {
            let capacity = max(4, chunkCapacity * 2)
            let larger = UnsafeMutablePointer<Chunk>.allocate(capacity: capacity)
            if let chunks {
                larger.moveInitialize(from: chunks, count: chunkCount)
                chunks.deallocate()
            }
            chunks = larger
            chunkCapacity = capacity
        }
        guard let chunks else { preconditionFailure("no memory for chunks") }
        (chunks + chunkCount).initialize(to: chunk)
        chunkCount += 1
    }

    /// Gives back the memory of those before `head`, which are free.
    private func dropBeforeHead() {
        let count = chunkCount - head
        let capacity = max(4, count * 2)
        let smaller = UnsafeMutablePointer<Chunk>.allocate(capacity: capacity)
        if let chunks {
            smaller.moveInitialize(from: chunks + head, count: count)
            chunks.deallocate()
        }
        chunks = smaller
        chunkCapacity = capacity
        chunkCount = count
        head = 0
    }

    /// The slot of an offset below `end`; nil when it is settled and forgotten. That of a message
    /// which was passed over is for reading only (`takePassed`).
    @inline(__always)
    func slot(_ offset: Offset) -> UnsafeMutablePointer<Slot>? {
        if offset < revived.end, let slot = revived.slot(offset) { return slot }
        return chunkSlot(offset)
    }

    /// What its chunk says of an offset.
    @inline(__always)
    private func chunkSlot(_ offset: Offset) -> UnsafeMutablePointer<Slot>? {
        assert(offset < end, "beyond the cursor")
        let number = offset >> Window.chunkBits
        guard number >= firstChunk else { return nil }
        let index = head &+ Int(truncatingIfNeeded: number &- firstChunk)
        guard index < chunkCount else { return nil }
        let place = Int(truncatingIfNeeded: offset & 255)
        if let dense = chunk(index).pointee.dense { return dense + place }
        return chunk(index).pointee.sparseSlot(place)
    }

    /// Whether an offset is settled.
    func isSettled(_ offset: Offset) -> Bool {
        if offset < revived.end, let slot = revived.slot(offset) { return slot.pointee.isSettled }
        return isSettledInChunk(offset)
    }

    /// The same, revived ones aside.
    private func isSettledInChunk(_ offset: Offset) -> Bool {
        if offset < settledBelow { return true }
        guard offset < end else { return false }
        return chunkSlot(offset)?.pointee.isSettled ?? true
    }

    /// Moves the cursor on, to at most `maximumSpan` past the oldest unsettled.
    func extend(to newEnd: Offset) {
        guard newEnd > end else { return }
        precondition(newEnd - settledBelow <= Window.maximumSpan, "the window is too wide")
        if settledBelow == end, head == chunkCount {
            // Nothing is kept: start over at the cursor's chunk.
            firstChunk = end >> Window.chunkBits
        }
        let last = (newEnd - 1) >> Window.chunkBits
        while firstChunk + UInt64(chunkCount - head) <= last {
            let number = firstChunk + UInt64(chunkCount - head)
            append(Chunk(settledBelow: settledBelow, number: number))
        }
        end = newEnd
    }

    /// Moves the cursor on by one message, which was looked at and waits behind others of its key.
    func pass(_ offset: Offset) {
        precondition(offset >= end, "it was looked at before")
        extend(to: offset + 1)
        guard let slot = chunkSlot(offset) else {
            preconditionFailure("a fresh message has a slot")
        }
        slot.pointee.state = .passed
        let number = offset >> Window.chunkBits
        let index = head &+ Int(truncatingIfNeeded: number &- firstChunk)
        chunk(index).pointee.passed &+= 1
        if chunk(index).pointee.isCool { cool(number, index) }
    }

    /// The slot of a message that was passed over, which is now to be handed out. Slots that were
    /// got before may have moved.
    func takePassed(_ offset: Offset) -> UnsafeMutablePointer<Slot>? {
        precondition(chunkSlot(offset)?.pointee.state == .passed, "it was not passed over")
        let number = offset >> Window.chunkBits
        let index = head &+ Int(truncatingIfNeeded: number &- firstChunk)
        return chunk(index).pointee.takePassed(Int(truncatingIfNeeded: offset & 255))
    }

    /// Moves the cursor on over messages that are all settled; whole chunks of them take no memory.
    func extendSettled(to newEnd: Offset) {
        while end < newEnd {
            let aligned = end & (UInt64(Window.chunkSlots) - 1) == 0
            if aligned, newEnd - end >= UInt64(Window.chunkSlots), head < chunkCount {
                append(Chunk.settledChunk)
                end += UInt64(Window.chunkSlots)
            } else {
                let offset = end
                extend(to: offset + 1)
                _ = settleInChunk(offset, as: .acked)
            }
        }
    }

    /// Settles one message below `end`; answers what it was, nil where it was settled before.
    @inline(__always)
    func settle(_ offset: Offset, as state: SlotState, a: UInt32 = 0, b: UInt32 = 0) -> Slot? {
        if offset < revived.end, let slot = revived.slot(offset) {
            guard !slot.pointee.isSettled else { return nil }
            let previous = slot.pointee
            slot.pointee.settle(as: state, a: a, b: b)
            let isRevived = revived.noteSettled(offset)
            precondition(isRevived, "its slot was just there")
            noteCleaned(offset)
            return previous
        }
        return settleInChunk(offset, as: state, a: a, b: b)
    }

    /// The same for what its chunk says of the message, whether it is revived or not.
    @inline(__always)
    func settleInChunk(
        _ offset: Offset, as state: SlotState, a: UInt32 = 0, b: UInt32 = 0
    ) -> Slot? {
        guard let slot = chunkSlot(offset), !slot.pointee.isSettled else { return nil }
        let previous = slot.pointee
        let number = offset >> Window.chunkBits
        let index = head &+ Int(truncatingIfNeeded: number &- firstChunk)
        if previous.state != .passed
            || !chunk(index).pointee.leavePassed(Int(truncatingIfNeeded: offset & 255))
        {
            slot.pointee.settle(as: state, a: a, b: b)
        }
        chunk(index).pointee.settled &+= 1
        if chunk(index).pointee.isCool { cool(number, index) }
        return previous
    }

    /// Little is left in a chunk.
    private func cool(_ number: UInt64, _ index: Int) {
        let settled = chunk(index).pointee.settled
        precondition(settled <= UInt16(Window.chunkSlots), "a message settled twice")
        if !chunk(index).pointee.isCooled {
            chunk(index).pointee.isCooled = true
            cooled.append(number)
        }
        if settled == UInt16(Window.chunkSlots) {
            cleaned.append(number)
            if chunk(index).pointee.sparse != nil { chunk(index).pointee.free() }
        }
    }

    /// Moves `settledBelow` over what is settled.
    func advance() {
        while settledBelow < end {
            let number = settledBelow >> Window.chunkBits
            let index = head + Int(truncatingIfNeeded: number &- firstChunk)
            if number < firstChunk || chunk(index).pointee.settled == UInt16(Window.chunkSlots) {
                settledBelow = min(end, (number + 1) << Window.chunkBits)
                continue
            }
            guard chunkSlot(settledBelow)?.pointee.isSettled ?? true else { break }
            settledBelow += 1
        }
        dropHead()
    }

    /// Drops chunks at the head that are settled and forgotten.
    private func dropHead() {
        while head < chunkCount, chunk(head).pointee.isFree,
            (firstChunk + 1) << Window.chunkBits <= settledBelow
        {
            head += 1
            firstChunk += 1
        }
        if head > 64, head * 2 > chunkCount {
            dropBeforeHead()
        }
    }

    /// Makes a chunk small: forgets its settled messages.
    func shrink(_ number: UInt64) {
        guard number >= firstChunk else { return }
        let index = head + Int(truncatingIfNeeded: number &- firstChunk)
        guard index < chunkCount, chunk(index).pointee.dense != nil else { return }
        guard chunk(index).pointee.isCool else {
            // What was passed over was handed out meanwhile.
            chunk(index).pointee.isCooled = false
            return
        }
        chunk(index).pointee.shrink()
        dropHead()
    }

    /// The first unsettled offset from `offset` on and below the cursor; nil when there is none.
    func nextOpen(from offset: Offset) -> Offset? {
        let open = nextChunkOpen(from: offset)
        guard let again = revived.nextOpen(from: offset) else { return open }
        return min(again, open ?? .max)
    }

    /// The same, revived ones aside. Skips settled chunks.
    func nextChunkOpen(from offset: Offset) -> Offset? {
        var offset = max(offset, settledBelow)
        while offset < end {
            let number = offset >> Window.chunkBits
            if isClean(number) {
                offset = (number + 1) << Window.chunkBits
                continue
            }
            if let slot = chunkSlot(offset), !slot.pointee.isSettled { return offset }
            offset += 1
        }
        return nil
    }

    /// Whether all of a chunk is settled.
    func isClean(_ number: UInt64) -> Bool {
        if (number + 1) << Window.chunkBits <= settledBelow { return true }
        guard number >= firstChunk else { return false }
        let index = head + Int(truncatingIfNeeded: number &- firstChunk)
        return index < chunkCount && chunk(index).pointee.settled == UInt16(Window.chunkSlots)
    }

    /// The slot of an offset that its chunk says is unsettled.
    func openChunkSlot(_ offset: Offset) -> UnsafeMutablePointer<Slot>? {
        guard offset >= settledBelow, let slot = chunkSlot(offset), !slot.pointee.isSettled else {
            return nil
        }
        return slot
    }

    // MARK: Revived messages

    /// A message that was dead is open again.
    func revive(_ offset: Offset, _ slot: Slot) {
        precondition(offset < end, "beyond the cursor")
        revived.revive(offset, slot)
    }

    /// The first revived and open offset from `offset` on.
    func nextRevived(from offset: Offset) -> Offset? { revived.nextOpen(from: offset) }

    /// Whether a message was dead and is open again.
    func isRevived(_ offset: Offset) -> Bool {
        offset < revived.end && revived.slot(offset)?.pointee.isSettled == false
    }

    /// Forgets a revived message, as if it had stayed dead.
    func dropRevived(_ offset: Offset) -> Slot? { revived.drop(offset) }

    /// The lowest unsettled offset, or the cursor.
    var firstOpen: Offset { min(settledBelow, revived.nextOpen(from: 0) ?? .max) }

    /// Something in a chunk was given up that had kept it from being released.
    func noteCleaned(_ offset: Offset) { cleaned.append(offset >> Window.chunkBits) }

    func takeCleaned() -> [UInt64] {
        defer { cleaned.removeAll(keepingCapacity: true) }
        return cleaned
    }

    func takeCooled() -> [UInt64] {
        defer { cooled.removeAll(keepingCapacity: true) }
        return cooled
    }

    /// Bytes of memory that the chunks take, about.
    var memoryBytes: Int {
        (head..<chunkCount).reduce(
            chunkCapacity * MemoryLayout<Chunk>.stride + revived.memoryBytes
        ) { $0 + chunk($1).pointee.memoryBytes }
    }

    /// Counts that must agree with what is there; nil when they do.
    func inconsistency() -> String? {
        for index in head..<chunkCount {
            let number = firstChunk + UInt64(index - head)
            if let text = chunk(index).pointee.inconsistency() { return "chunk \(number): \(text)" }
        }
        if settledBelow < end, isSettledInChunk(settledBelow),
            chunkSlot(settledBelow)?.pointee.isSettled ?? true
        {
            return "settledBelow \(settledBelow) is settled itself"
        }
        return nil
    }
}
