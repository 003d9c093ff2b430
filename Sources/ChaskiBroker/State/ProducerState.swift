import ChaskiModel
import DequeModule

/// What a topic remembers of one producer.
final class ProducerState {
    /// Sequences that were stored one after the other at consecutive offsets, in one group.
    struct Stored: Hashable {
        var sequence: UInt64
        var count: UInt64
        var offset: Offset
        var appendTimeNanos: Int64
        /// By their dedup ids they are messages stored before.
        var areDuplicates = false

        var endSequence: UInt64 { sequence + count }
    }

    let id: ProducerID
    // Durable
    var epoch: UInt32 = 0
    /// The sequence that comes after the last stored or skipped one.
    var next: UInt64 = 0
    var stored: Deque<Stored> = []
    /// Broker clock, nanoseconds, of the group that last changed it.
    var lastUsed: Int64
    /// Whether any of this is on disk.
    var isDurable = false
    // Of the tail
    var tailEpoch: UInt32 = 0
    var tailNext: UInt64 = 0
    /// Batches on their way, in order of sequence.
    var pending: Deque<TailItem> = []
    /// Opens and skips on their way.
    var pendingAdvances = 0
    /// Where the last skip on its way leads; 0 without one.
    var pendingSkip: UInt64 = 0
    /// Something was refused, and its sequence neither came again nor was skipped.
    var wasRefused = false

    init(id: ProducerID, lastUsed: Int64) {
        self.id = id
        self.lastUsed = lastUsed
    }

    var isBusy: Bool { !pending.isEmpty || pendingAdvances > 0 }

    /// Idle for so long that it counts as not known.
    func isExpired(at clock: Int64, after expiry: Int64) -> Bool {
        let (end, overflow) = lastUsed.addingReportingOverflow(expiry)
        return !overflow && end <= clock
    }

    /// Forgets what expired.
    func reset() {
        epoch = 0
        next = 0
        stored.removeAll()
        isDurable = false
        if !isBusy {
            tailEpoch = 0
            tailNext = 0
        }
    }

    /// Remembers a stored batch; forgets the oldest beyond `limit` pieces, but for its own.
    func remember(_ published: Published, limit: Int) {
        var own = 0
        for piece in published.pieces {
            if let last = stored.last, last.endSequence == piece.sequence,
                last.offset + last.count == piece.offset,
                last.appendTimeNanos == piece.appendTimeNanos,
                last.areDuplicates == piece.areDuplicates
            {
                stored[stored.count - 1].count += piece.count
            } else {
                stored.append(piece)
            }
            own += 1
        }
        while stored.count > max(own, limit) { stored.removeFirst() }
    }

    /// A batch was refused: its sequence comes next again, unless a skip on its way gives it up.
    func goBack(to sequence: UInt64) {
        tailNext = max(min(tailNext, sequence), pendingSkip)
        wasRefused = true
    }

    /// What there is to say about a batch with this epoch and these sequences.
    enum Verdict {
        case next
        case duplicate(Reply)
        case inFlight(TailItem)
        case failure(Failure)
    }

    /// `base` + `count` does not overflow.
    func judge(epoch: UInt32, base: UInt64, count: UInt64) -> Verdict {
        guard epoch >= max(self.epoch, tailEpoch) else {
            return .failure(.fenced(epoch, by: max(self.epoch, tailEpoch)))
        }
        if base == tailNext { return .next }
        if base > tailNext {
            return .failure(.sequenceGap(base, expected: tailNext, wasRefused: wasRefused))
        }
        let end = base + count
        if end <= next { return judgeStored(base: base, end: end) }
        guard base >= next, end <= tailNext,
            let item = pending.first(where: { $0.publish?.baseSequence == base }),
            item.publish.map({ UInt64($0.count) }) == count
        else { return .failure(.sequenceOverlap(base, end)) }
        return .inFlight(item)
    }

    private func judgeStored(base: UInt64, end: UInt64) -> Verdict {
        guard let oldest = stored.first, base >= oldest.sequence else {
            return .failure(.sequenceExpired(base))
        }
        guard let at = stored.lastIndex(where: { $0.sequence <= base }),
            base < stored[at].endSequence
        else { return .failure(.sequenceOverlap(base, end)) }
        // The batch may span several pieces. Where the offsets of what is no duplicate go on as
        // the sequences do, it is one of ours.
        var first: Offset?
        var next: Offset?
        var duplicates: [DuplicateMember] = []
        var sequence = base
        var index = at
        while sequence < end {
            guard index < stored.count, stored[index].sequence <= sequence else {
                return .failure(.sequenceOverlap(base, end))
            }
            let piece = stored[index]
            let skipped = sequence - piece.sequence
            let count = min(piece.endSequence, end) - sequence
            if piece.areDuplicates {
                for place in 0..<count {
                    duplicates.append(
                        DuplicateMember(
                            index: UInt32(clamping: sequence - base + place),
                            offset: piece.offset + skipped + place))
                }
            } else {
                guard next == nil || next == piece.offset + skipped else {
                    return .failure(.sequenceOverlap(base, end))
                }
                first = first ?? piece.offset + skipped
                next = piece.offset + skipped + count
            }
            sequence += count
            index += 1
        }
        return .duplicate(
            .published(
                baseOffset: first ?? duplicates.first?.offset ?? 0,
                appendTimeNanos: stored[at].appendTimeNanos, duplicate: true,
                duplicates: duplicates))
    }
}

/// When a producer was last used, for finding the oldest.
struct ProducerAge: Comparable {
    var lastUsed: Int64
    var topic: TopicID
    var producer: ProducerID

    static func < (a: Self, b: Self) -> Bool {
        if a.lastUsed != b.lastUsed { return a.lastUsed < b.lastUsed }
        if a.topic != b.topic { return a.topic < b.topic }
        return a.producer.rawValue < b.producer.rawValue
    }
}

extension Published {
    /// Runs of its members that are all duplicates, or none, at consecutive offsets.
    var pieces: [ProducerState.Stored] {
        var pieces: [ProducerState.Stored] = []
        var next: UInt32 = 0
        var offset = baseOffset
        func add(_ count: UInt32, _ first: Offset, _ areDuplicates: Bool) {
            if let last = pieces.last, last.areDuplicates == areDuplicates,
                last.offset + last.count == first
            {
                pieces[pieces.count - 1].count += UInt64(count)
            } else {
                pieces.append(
                    ProducerState.Stored(
                        sequence: baseSequence + UInt64(next), count: UInt64(count), offset: first,
                        appendTimeNanos: appendTimeNanos, areDuplicates: areDuplicates))
            }
            next += count
        }
        for duplicate in duplicates {
            let fresh = duplicate.index - next
            if fresh > 0 {
                add(fresh, offset, false)
                offset += Offset(fresh)
            }
            add(1, duplicate.offset, true)
        }
        if next < count { add(count - next, offset, false) }
        return pieces
    }
}
