package import ChaskiModel

/// Which dead letters are meant, by what the core knows of them. Nothing given: all.
package struct DeadLetterFilter: Hashable, Sendable {
    /// Offsets, ascending, without overlap; empty for all.
    package var ranges: [Range<Offset>] = []
    package var cause: DeathCause?
    /// Part of the last reason, and the whole last code; empty for any.
    package var reason = ""
    package var code = ""
    /// Died at this moment of the wall clock or later, and before this one, nanoseconds.
    package var diedFromNanos: Int64?
    package var diedBeforeNanos: Int64?

    package init() {}

    func matches(_ letter: DeadLetter) -> Bool {
        if let cause, letter.cause != cause { return false }
        if !code.isEmpty, letter.code != code { return false }
        if let diedFromNanos, letter.wallNanos < diedFromNanos { return false }
        if let diedBeforeNanos, letter.wallNanos >= diedBeforeNanos { return false }
        return reason.isEmpty || letter.reason.utf8.contains(sequence: Array(reason.utf8))
    }

    /// The first offset of the ranges at `offset` or later; nil where there is none.
    func first(from offset: Offset) -> Offset? {
        guard !ranges.isEmpty else { return offset }
        guard let range = ranges.first(where: { $0.upperBound > offset }) else { return nil }
        return max(offset, range.lowerBound)
    }
}

/// An edited message that takes the place of a dead one: it is appended to the subscription's topic
/// as a new message, for all of the topic's subscriptions, with the attribute `redriveOf`; the dead
/// letter is settled for good in the same step.
package struct EditedRedrive: Sendable {
    package var subscription: String
    /// Of the dead letter.
    package var offset: Offset
    /// A record batch of one message, already checked by `RecordBatchView`, without a dedup id.
    package var batch: Bytes
    /// Kept in the journal, at most 1 KiB (longer is cut).
    package var note: String

    package init(subscription: String, offset: Offset, batch: Bytes, note: String) {
        self.subscription = subscription
        self.offset = offset
        self.batch = batch
        self.note = note
    }
}

/// Some of a subscription's dead letters.
package struct DeadLetterPage: Hashable, Sendable {
    /// Ascending by offset.
    package var letters: [DeadLetter]
    /// Where to go on; nil where that was all.
    package var next: Offset?
}

extension NamespaceMachine {
    /// The dead letters that match, from an offset on: at most `limit`, and no more than
    /// `examining` are looked at. Nil without such a subscription.
    package func deadLetters(
        subscription name: String, matching filter: DeadLetterFilter, from offset: Offset,
        limit: Int, examining: Int = 10_000
    ) -> DeadLetterPage? {
        guard let subscription = directory.subscription(named: name) else { return nil }
        var page = DeadLetterPage(letters: [], next: nil)
        var position = offset
        var left = examining
        while let from = filter.first(from: position),
            let record = subscription.dead.first(from: from)
        {
            guard filter.first(from: record.offset) == record.offset else {
                position = record.offset
                continue
            }
            guard page.letters.count < limit, left > 0 else {
                page.next = record.offset
                return page
            }
            left -= 1
            position = record.offset + 1
            let letter = record.letter
            if filter.matches(letter) { page.letters.append(letter) }
        }
        return page
    }

    /// What is kept of a message's past on a subscription, dead or not: empty for one that never
    /// failed, and for one that is settled. Nil without such a subscription.
    package func past(of offset: Offset, subscription name: String) -> MessagePast? {
        guard let subscription = directory.subscription(named: name) else { return nil }
        let history =
            subscription.dead[offset]?.history ?? subscription.histories[offset]?.history
        return (history ?? MessageHistory()).past
    }
}

extension String.UTF8View {
    /// Whether these bytes occur in it.
    fileprivate func contains(sequence: [UInt8]) -> Bool {
        let all = Array(self)
        guard sequence.count <= all.count else { return false }
        return (0...(all.count - sequence.count)).contains { start in
            all[start..<start + sequence.count].elementsEqual(sequence)
        }
    }
}
