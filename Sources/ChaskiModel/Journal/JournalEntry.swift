/// What an entry of the journal is for, as far as storage must know it.
package enum EntryKind: UInt8, Sendable, CaseIterable {
    /// A record batch: occupies `count` offsets of `topic` from `baseOffset`.
    case batch = 1
    /// A change of broker state (topology, hand-outs, verdicts, sessions, producers).
    case state = 2
    /// One section of a checkpoint: the whole state of one topic, subscription, or table.
    case section = 3
}

/// One thing to keep. Storage understands `kind`, `topic`, `baseOffset`, `count`; the body is the
/// broker's own, versioned encoding.
package struct JournalEntry: Sendable, Hashable {
    package var kind: EntryKind
    /// The topic of a batch; zero otherwise.
    package var topic: TopicID
    /// The first offset of a batch; zero otherwise.
    package var baseOffset: Offset
    /// Offsets that a batch occupies, at least 1; zero otherwise.
    package var count: UInt32
    package var body: Bytes

    package init(
        kind: EntryKind, topic: TopicID = TopicID(rawValue: 0), baseOffset: Offset = 0,
        count: UInt32 = 0, body: Bytes
    ) {
        self.kind = kind
        self.topic = topic
        self.baseOffset = baseOffset
        self.count = count
        self.body = body
    }
}

/// What is written and synced at once.
package struct JournalGroup: Sendable {
    /// In order; never empty.
    package var entries: [JournalEntry]
    /// The broker's moment when it was gathered; recovery continues the broker clock from the last.
    package var time: Now
    /// The checkpoint cycle that the first section of this group begins; nil when none begins.
    package var beginsCheckpoint: UInt64?
    /// The checkpoint cycle whose last section is in this group; nil when none ends.
    package var endsCheckpoint: UInt64?
    /// Whether it holds nothing but what may use the disk reserve (verdicts, checkpoints,
    /// deletions): no batch.
    package var mayUseReserve: Bool { entries.allSatisfy { $0.kind != .batch } }

    package init(
        entries: [JournalEntry], time: Now, beginsCheckpoint: UInt64? = nil,
        endsCheckpoint: UInt64? = nil
    ) {
        self.entries = entries
        self.time = time
        self.beginsCheckpoint = beginsCheckpoint
        self.endsCheckpoint = endsCheckpoint
    }
}

/// A batch as it was stored.
package struct StoredBatch: Sendable, Hashable {
    package var topic: TopicID
    package var baseOffset: Offset
    package var count: UInt32
    /// The record batch, broker header included.
    package var bytes: Bytes

    package init(topic: TopicID, baseOffset: Offset, count: UInt32, bytes: Bytes) {
        self.topic = topic
        self.baseOffset = baseOffset
        self.count = count
        self.bytes = bytes
    }
}
