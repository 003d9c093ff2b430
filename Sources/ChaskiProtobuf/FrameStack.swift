/// The frames of the messages around the one being unpacked: on the stack while they are few, then
/// in one block of the heap.
struct FrameStack {
    private var base: UnsafeMutablePointer<WireUnpacker.Frame>
    private var capacity: Int
    private var isOwned = false
    private(set) var count = 0
    /// The field that holds the message being unpacked; for errors.
    var current: UInt32 = 0

    /// Begins in `capacity` frames at `base`, which the caller owns.
    init(_ base: UnsafeMutablePointer<WireUnpacker.Frame>, capacity: Int) {
        precondition(capacity > 0, "a stack without room")
        self.base = base
        self.capacity = capacity
    }

    @inline(__always)
    mutating func push(_ frame: WireUnpacker.Frame) {
        if count == capacity { grow() }
        (base + count).initialize(to: frame)
        count &+= 1
    }

    @inline(__always)
    mutating func pop() -> WireUnpacker.Frame? {
        guard count > 0 else { return nil }
        count &-= 1
        let frame = base[count]
        current = frame.number
        return frame
    }

    /// The fields from the outermost message to the one being unpacked.
    var numbers: [Int32] {
        var result: [Int32] = []
        for index in 0..<count where index > 0 {
            result.append(Int32(truncatingIfNeeded: base[index].number))
        }
        if count > 0 { result.append(Int32(truncatingIfNeeded: current)) }
        return result
    }

    @inline(never)
    private mutating func grow() {
        let larger = UnsafeMutablePointer<WireUnpacker.Frame>.allocate(capacity: capacity &* 2)
        larger.moveInitialize(from: base, count: count)
        if isOwned { base.deallocate() }
        base = larger
        capacity &*= 2
        isOwned = true
    }

    /// Gives back what it took from the heap.
    func free() {
        if isOwned { base.deallocate() }
    }
}
