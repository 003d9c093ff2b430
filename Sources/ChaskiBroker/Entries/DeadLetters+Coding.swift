package import ChaskiModel

/// Dead letters that go back to be handed out, with what whoever asked for it said.
struct Redriven: Hashable {
    var subscription: SubscriptionID
    var note: String
    var ranges: [Range<Offset>]
}

/// Why dead letters were removed for good.
enum PurgeCause: UInt8 {
    /// Somebody asked for it.
    case asked = 1
    /// They had been kept for long enough.
    case retention = 2
}

/// Dead letters that are removed for good.
struct Purged: Hashable {
    var subscription: SubscriptionID
    var cause: PurgeCause
    var ranges: [Range<Offset>]
}

/// Where a batch that the broker made of dead messages is, and when it was appended. It follows in
/// the same group.
struct AppendedCopies: Hashable {
    var topic: TopicID
    var baseOffset: Offset
    var appendTimeNanos: Int64
}

/// A dead letter that gave way to an edited message.
struct RedrivenEdited: Hashable {
    var subscription: SubscriptionID
    var offset: Offset
    var note: String
    var appended: AppendedCopies
}

/// Messages that had failed for good, and are dead now.
struct Died: Hashable {
    var subscription: SubscriptionID
    var ranges: [Range<Offset>]
    /// Their copies; nil where they were not forwarded.
    var forwarded: AppendedCopies?
}

extension [UInt8] {
    mutating func append(redriven: Redriven) {
        append(varint: redriven.subscription.rawValue)
        append(text: redriven.note)
        append(offsets: redriven.ranges)
    }

    mutating func append(purged: Purged) {
        append(varint: purged.subscription.rawValue)
        append(purged.cause.rawValue)
        append(offsets: purged.ranges)
    }

    mutating func append(edited: RedrivenEdited) {
        append(varint: edited.subscription.rawValue)
        append(varint: edited.offset)
        append(text: edited.note)
        append(copies: edited.appended)
    }

    mutating func append(died: Died) {
        append(varint: died.subscription.rawValue)
        append(offsets: died.ranges)
        append(died.forwarded == nil ? 0 : 1)
        if let forwarded = died.forwarded { append(copies: forwarded) }
    }

    private mutating func append(copies: AppendedCopies) {
        append(varint: copies.topic.rawValue)
        append(varint: copies.baseOffset)
        append(zigzag: copies.appendTimeNanos)
    }

    /// Each range as its distance from the end of the one before, and its count.
    private mutating func append(offsets ranges: [Range<Offset>]) {
        append(varint: UInt64(ranges.count))
        var position: Offset = 0
        for range in ranges {
            precondition(range.lowerBound >= position && !range.isEmpty, "ranges do not ascend")
            append(varint: range.lowerBound - position)
            append(varint: UInt64(range.count))
            position = range.upperBound
        }
    }

    mutating func append(record: DeadRecord) {
        append(varint: record.offset)
        append(record.cause.rawValue)
        append(varint: UInt64(record.failed))
        append(varint: UInt64(record.handedOut))
        append(zigzag: record.diedNanos)
        append(history: record.history)
    }

    mutating func append(history: MessageHistory) {
        append(varint: UInt64(history.bytes.count))
        append(contentsOf: history.bytes)
    }
}

extension ByteReader {
    mutating func redriven() throws(Failure) -> Redriven {
        Redriven(
            subscription: SubscriptionID(rawValue: try varint()),
            note: try text(limit: StateEncoding.reasonBytes), ranges: try offsets())
    }

    mutating func purged() throws(Failure) -> Purged {
        let subscription = SubscriptionID(rawValue: try varint())
        guard let cause = PurgeCause(rawValue: try byte()) else {
            throw .corruptEntry("a cause of removal is not known")
        }
        return Purged(subscription: subscription, cause: cause, ranges: try offsets())
    }

    mutating func redrivenEdited() throws(Failure) -> RedrivenEdited {
        RedrivenEdited(
            subscription: SubscriptionID(rawValue: try varint()), offset: try varint(),
            note: try text(limit: StateEncoding.reasonBytes), appended: try appendedCopies())
    }

    mutating func died() throws(Failure) -> Died {
        let subscription = SubscriptionID(rawValue: try varint())
        let ranges = try offsets()
        return Died(
            subscription: subscription, ranges: ranges,
            forwarded: try flag() ? try appendedCopies() : nil)
    }

    private mutating func appendedCopies() throws(Failure) -> AppendedCopies {
        let copies = AppendedCopies(
            topic: TopicID(rawValue: try varint()), baseOffset: try varint(),
            appendTimeNanos: try zigzag())
        guard copies.baseOffset <= Offset(Int64.max) else {
            throw .corruptEntry("a batch has no valid offset")
        }
        return copies
    }

    mutating func deathCause() throws(Failure) -> DeathCause {
        guard let cause = DeathCause(rawValue: try byte()) else {
            throw .corruptEntry("a cause of death is not known")
        }
        return cause
    }

    private mutating func offsets() throws(Failure) -> [Range<Offset>] {
        var ranges: [Range<Offset>] = []
        var position: Offset = 0
        var total: UInt64 = 0
        for _ in 0..<(try count(each: 2)) {
            let (first, low) = position.addingReportingOverflow(try varint())
            let count = try varint()
            let (end, high) = first.addingReportingOverflow(count)
            total = total &+ count
            guard !low, !high, count > 0, count <= 10_000, total <= 10_000 else {
                throw .corruptEntry("a range of dead letters is not valid")
            }
            ranges.append(first..<end)
            position = end
        }
        return ranges
    }

    mutating func deadRecord() throws(Failure) -> DeadRecord {
        let offset = try varint()
        let cause = try deathCause()
        guard offset < Offset(Int64.max) else { throw .corruptEntry("an offset is too high") }
        return DeadRecord(
            offset: offset, cause: cause, failed: try varint32(), handedOut: try varint32(),
            diedNanos: try zigzag(), history: try history())
    }

    mutating func history() throws(Failure) -> MessageHistory {
        let length = try count(each: 1)
        guard length <= MessageHistory.maximumBytes, let bytes = take(length) else {
            throw .corruptEntry("a history is too long")
        }
        return try MessageHistory(decoding: bytes)
    }
}

extension JournalEntry {
    /// The dead letters that it removes since they were kept for long enough; nil for another entry.
    package var agedOut: (subscription: SubscriptionID, ranges: [Range<Offset>])? {
        guard kind == .state, body.first == StateKind.purged.rawValue,
            case .purged(let purged)? = try? StateEntry(decoding: body), purged.cause == .retention
        else { return nil }
        return (purged.subscription, purged.ranges)
    }
}
