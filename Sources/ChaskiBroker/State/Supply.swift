import ChaskiModel
import DequeModule

/// A batch at hand, and how far it was walked.
struct SupplyBatch {
    let batch: StoredBatch
    /// Index of the next record, and where it begins in the batch's bytes.
    var index: UInt32 = 0
    var position = BatchWalk.firstRecord

    init(_ batch: StoredBatch) { self.batch = batch }

    var end: Offset { batch.baseOffset + Offset(batch.count) }
}

/// Reads the lengths in a stored batch's record headers, in order.
enum BatchWalk {
    /// The records begin behind the broker's and the envelope's header.
    static let firstRecord = 64

    /// Payload length of the record at `position`, which moves to the next; nil where the batch is
    /// damaged.
    @inline(__always)
    static func next(_ span: RawSpan, _ position: inout Int) -> UInt32? {
        guard let length = span.littleEndian(UInt32.self, at: position),
            let payload = span.littleEndian(UInt32.self, at: position + 16), length >= 32
        else { return nil }
        position += Int(length)
        return payload
    }

    /// The same, with what orders the message: a hash of its key.
    static func nextKeyed(_ span: RawSpan, _ position: inout Int) -> Keyed? {
        let start = position
        guard let payload = next(span, &position),
            let length = span.littleEndian(UInt16.self, at: start + 24),
            let flags = span.littleEndian(UInt16.self, at: start + 30)
        else { return nil }
        guard flags & 8 != 0 else { return Keyed(length: payload, key: nil) }
        // Behind the fixed part and up to three optional fields of 8 bytes.
        let key = start + 32 + 8 * (flags & 7).nonzeroBitCount
        guard key + Int(length) <= position, position <= span.byteCount else { return nil }
        return Keyed(length: payload, key: hash(span, key..<key + Int(length)))
    }

    struct Keyed {
        var length: UInt32
        var key: UInt64?
    }

    /// 64 bits of the bytes in a range; the same on every machine and in every run.
    private static func hash(_ span: RawSpan, _ range: Range<Int>) -> UInt64 {
        var hash = SplitMix64.mix(UInt64(range.count))
        var position = range.lowerBound
        while position + 8 <= range.upperBound {
            hash = SplitMix64.mix(hash ^ (span.littleEndian(UInt64.self, at: position) ?? 0))
            position += 8
        }
        var rest: UInt64 = 0
        while position < range.upperBound {
            rest = rest << 8 | UInt64(span.littleEndian(UInt8.self, at: position) ?? 0)
            position += 1
        }
        return SplitMix64.mix(hash ^ rest)
    }
}

/// The batches that a subscription has at hand, and the read it waits for.
struct Supply {
    enum Purpose { case fresh, again }

    /// Consecutive batches from the cursor on.
    var fresh: Deque<SupplyBatch> = []
    var freshBytes = 0
    /// Batches for messages that are handed out again, ascending.
    var again: [StoredBatch] = []
    /// The read under way.
    var reading: (id: ReadID, purpose: Purpose, from: Offset)?
    /// The last read was for messages handed out again: the next is for fresh ones, if needed.
    var lastWasAgain = false
    /// Why fresh messages, and those to be handed out again, cannot be read at the moment.
    var freshBlock: Block?
    var againBlock: Block?
    /// Consumers were told that messages cannot be read.
    var isStallTold = false

    /// A read that failed, and when to try again (broker clock).
    struct Block {
        var failure: Failure
        var retryAt: Int64
    }

    /// What consumers are told.
    var failure: Failure? { freshBlock?.failure ?? againBlock?.failure }

    func block(_ purpose: Purpose) -> Block? { purpose == .fresh ? freshBlock : againBlock }

    mutating func set(_ block: Block?, _ purpose: Purpose) {
        switch purpose {
        case .fresh: freshBlock = block
        case .again: againBlock = block
        }
    }

    /// The offset after the last batch at hand; nil when there is none.
    var freshEnd: Offset? { fresh.last?.end }

    mutating func append(_ batch: StoredBatch) {
        fresh.append(SupplyBatch(batch))
        freshBytes += batch.bytes.count
    }

    mutating func dropFirst() {
        guard let first = fresh.popFirst() else { return }
        freshBytes -= first.batch.bytes.count
        assert(freshBytes >= 0, "bytes of the supply are miscounted")
    }

    mutating func dropAll() {
        fresh.removeAll()
        freshBytes = 0
        again.removeAll()
    }

    /// The batch for messages handed out again that holds `offset`.
    func againBatch(holding offset: Offset) -> StoredBatch? {
        again.first {
            $0.baseOffset <= offset && offset - $0.baseOffset < Offset($0.count)
        }
    }
}
