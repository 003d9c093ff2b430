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

    /// Remembers a stored batch; forgets the oldest beyond `limit`.
    func remember(_ batch: Stored, limit: Int) {
        if let last = stored.last, last.endSequence == batch.sequence,
            last.offset + last.count == batch.offset, last.appendTimeNanos == batch.appendTimeNanos
        {
            stored[stored.count - 1].count += batch.count
        } else {
            stored.append(batch)
            while stored.count > max(1, limit) { stored.removeFirst() }
        }
    }

    /// What there is to say about a batch with this epoch and these sequences.
    enum Verdict {
        case next
        case duplicate(Offset, appendTimeNanos: Int64)
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
        // The batch may span several pieces, where their offsets go on as their sequences do.
        let offset = stored[at].offset + (base - stored[at].sequence)
        var index = at
        while stored[index].endSequence < end {
            guard index + 1 < stored.count,
                stored[index + 1].sequence == stored[index].endSequence,
                stored[index + 1].offset == stored[index].offset + stored[index].count
            else { return .failure(.sequenceOverlap(base, end)) }
            index += 1
        }
        return .duplicate(offset, appendTimeNanos: stored[at].appendTimeNanos)
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
