import DequeModule

/// One direction of a simulated TCP connection: bytes on their way, in order, in pieces of any
/// size. What the writer and the reader hold of it in their kernels is bounded.
struct BytePipe {
    private struct Piece {
        var arrival: Int64
        var bytes: [UInt8]
    }

    private var pieces: Deque<Piece> = []
    /// Bytes written and not read yet.
    private(set) var count = 0
    /// Bytes that may be on their way.
    let capacity: Int
    /// When the last byte arrives; the next arrives no earlier.
    private(set) var lastArrival: Int64 = 0
    /// The reader gets nothing before this moment.
    var stalledUntil: Int64 = 0
    /// Nothing arrives any more, and nobody is told.
    var isDead = false
    /// The writer has closed its side: the end comes after the last byte.
    private(set) var isFinished = false
    /// The connection was reset: nothing is taken any more.
    private(set) var isBroken = false

    init(capacity: Int) { self.capacity = capacity }

    var isEmpty: Bool { pieces.isEmpty }
    /// How many bytes the writer may write.
    var room: Int { isFinished || isBroken ? 0 : max(0, capacity - count) }

    /// Takes bytes that arrive at `arrival`, or with the last ones if those arrive later; says
    /// when.
    mutating func append(_ bytes: [UInt8], arrival: Int64) -> Int64 {
        precondition(!isFinished && !isBroken && !bytes.isEmpty, "a write to a closed pipe")
        lastArrival = max(lastArrival, arrival)
        pieces.append(Piece(arrival: lastArrival, bytes: bytes))
        count += bytes.count
        return lastArrival
    }

    /// The next piece that has arrived; nil when there is none.
    mutating func take(now: Int64) -> [UInt8]? {
        guard let first = pieces.first, first.arrival <= now else { return nil }
        pieces.removeFirst()
        count -= first.bytes.count
        return first.bytes
    }

    /// The writer closes its side; says when the reader sees it.
    mutating func finish(arrival: Int64) -> Int64 {
        isFinished = true
        lastArrival = max(lastArrival, arrival)
        return lastArrival
    }

    /// The connection is reset: of what is on its way only the first `bytes` arrive.
    mutating func reset(keeping bytes: Int) {
        isBroken = true
        var left = bytes
        var kept: Deque<Piece> = []
        count = 0
        while left > 0, var piece = pieces.popFirst() {
            if piece.bytes.count > left { piece.bytes.removeLast(piece.bytes.count - left) }
            left -= piece.bytes.count
            count += piece.bytes.count
            kept.append(piece)
        }
        pieces = kept
        lastArrival = pieces.last?.arrival ?? 0
    }
}
