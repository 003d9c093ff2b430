package import ChaskiModel

/// The first 128 bytes of a group. The entry table follows, then the bodies, then zeros up to a
/// multiple of 4096.
package struct GroupHeader: Hashable, Sendable {
    /// "CKG1", read as a little-endian integer.
    static let magic: UInt32 = 0x3147_4b43

    /// Bytes of the whole group, a multiple of 4096.
    package var length: UInt32
    package var entryCount: UInt32
    /// Dense from 1 over the journal's life.
    package var sequence: UInt64
    /// Where the group stands.
    package var place: JournalPosition
    /// Checksum of the group before it.
    package var chain: UInt32
    package var epoch: UInt32
    /// The end of what was durable when the group was written.
    package var durable: JournalPosition
    /// Where a recovery that finds this group last begins to replay.
    package var replayFrom: JournalPosition
    package var time: Now
    /// Checkpoint cycles that begin and end in this group; 0 for none.
    package var beginsCheckpoint: UInt64
    package var endsCheckpoint: UInt64
    /// CRC-32C, begun from the journal's salt, over header bytes 8..<128 and the entry table.
    package var checksum: UInt32 = 0

    /// Bytes of header and entry table.
    var bodiesStart: Int { Layout.groupHeader + Int(entryCount) * Layout.entryRow }

    /// The end of the group in its file.
    package var end: JournalPosition {
        JournalPosition(file: place.file, position: place.position + UInt64(length))
    }

    /// Reads the fixed part without its checksum; nil unless it could stand at `place` in a file
    /// of `fileBytes`.
    init?(unchecked bytes: Bytes, at place: JournalPosition, fileBytes: UInt64) {
        func u64(_ at: Int) -> UInt64 { bytes.littleEndian(UInt64.self, at: at) ?? 0 }
        func i64(_ at: Int) -> Int64 { bytes.littleEndian(Int64.self, at: at) ?? 0 }
        func u32(_ at: Int) -> UInt32 { bytes.littleEndian(UInt32.self, at: at) ?? 0 }
        guard bytes.count >= Layout.groupHeader, u32(0) == Self.magic else { return nil }
        checksum = u32(4)
        length = u32(8)
        entryCount = u32(12)
        sequence = u64(16)
        self.place = JournalPosition(file: u64(24), position: u64(32))
        chain = u32(40)
        epoch = u32(44)
        durable = JournalPosition(file: u64(48), position: u64(56))
        replayFrom = JournalPosition(file: u64(64), position: u64(72))
        time = Now(clock: i64(80), wall: i64(88))
        beginsCheckpoint = u64(96)
        endsCheckpoint = u64(104)
        guard self.place == place, place.position <= fileBytes,
            UInt64(length) <= fileBytes - place.position,
            length > 0, length % UInt32(Layout.block) == 0,
            sequence > 0, sequence < Layout.countBound,
            entryCount <= (length / UInt32(Layout.entryRow)), bodiesStart <= Int(length),
            replayFrom.file > 0, replayFrom.file <= place.file
        else { return nil }
    }

    package init(
        length: UInt32, entryCount: UInt32, sequence: UInt64, place: JournalPosition,
        chain: UInt32, epoch: UInt32, durable: JournalPosition, replayFrom: JournalPosition,
        time: Now, beginsCheckpoint: UInt64, endsCheckpoint: UInt64
    ) {
        precondition(length % UInt32(Layout.block) == 0 && sequence > 0, "whole blocks, numbered")
        self.length = length
        self.entryCount = entryCount
        self.sequence = sequence
        self.place = place
        self.chain = chain
        self.epoch = epoch
        self.durable = durable
        self.replayFrom = replayFrom
        self.time = time
        self.beginsCheckpoint = beginsCheckpoint
        self.endsCheckpoint = endsCheckpoint
    }

    /// Writes the fixed part over the first 128 bytes of `group`, whose entry table is in place,
    /// computing the checksum.
    mutating func seal(_ group: inout [UInt8], salt: UInt32) {
        precondition(group.count == Int(length), "the buffer holds the group and nothing else")
        group.set(littleEndian: Self.magic, at: 0)
        group.set(littleEndian: length, at: 8)
        group.set(littleEndian: entryCount, at: 12)
        group.set(littleEndian: sequence, at: 16)
        group.set(littleEndian: place.file, at: 24)
        group.set(littleEndian: place.position, at: 32)
        group.set(littleEndian: chain, at: 40)
        group.set(littleEndian: epoch, at: 44)
        group.set(littleEndian: durable.file, at: 48)
        group.set(littleEndian: durable.position, at: 56)
        group.set(littleEndian: replayFrom.file, at: 64)
        group.set(littleEndian: replayFrom.position, at: 72)
        group.set(littleEndian: time.clock, at: 80)
        group.set(littleEndian: time.wall, at: 88)
        group.set(littleEndian: beginsCheckpoint, at: 96)
        group.set(littleEndian: endsCheckpoint, at: 104)
        group.set(littleEndian: UInt64(0), at: 112)
        group.set(littleEndian: UInt64(0), at: 120)
        checksum = CRC32C.checksum(group[8..<bodiesStart], seed: salt)
        group.set(littleEndian: checksum, at: 4)
    }
}

/// One row of a group's entry table.
struct EntryRow: Hashable, Sendable {
    var kind: EntryKind
    var count: UInt32
    var topic: TopicID
    var baseOffset: Offset
    var length: UInt32
    var checksum: UInt32

    init?(_ bytes: Bytes, at position: Int) {
        guard let rawKind = bytes.littleEndian(UInt8.self, at: position),
            let kind = EntryKind(rawValue: rawKind),
            let count = bytes.littleEndian(UInt32.self, at: position + 4),
            let topic = bytes.littleEndian(UInt64.self, at: position + 8),
            let baseOffset = bytes.littleEndian(UInt64.self, at: position + 16),
            let length = bytes.littleEndian(UInt32.self, at: position + 24),
            let checksum = bytes.littleEndian(UInt32.self, at: position + 28)
        else { return nil }
        self.kind = kind
        self.count = count
        self.topic = TopicID(rawValue: topic)
        self.baseOffset = baseOffset
        self.length = length
        self.checksum = checksum
    }

    /// Whether a sound writer could have written it: a batch has offsets, and they do not overflow.
    var isPossible: Bool { kind != .batch || (count > 0 && baseOffset < Layout.countBound) }

    init(_ entry: JournalEntry, checksum: UInt32) {
        precondition(entry.body.count < 1 << 32, "a body fits its length field")
        kind = entry.kind
        count = entry.count
        topic = entry.topic
        baseOffset = entry.baseOffset
        length = UInt32(truncatingIfNeeded: entry.body.count)
        self.checksum = checksum
    }

    func write(to group: inout [UInt8], at position: Int) {
        group.set(littleEndian: UInt32(kind.rawValue), at: position)
        group.set(littleEndian: count, at: position + 4)
        group.set(littleEndian: topic.rawValue, at: position + 8)
        group.set(littleEndian: baseOffset, at: position + 16)
        group.set(littleEndian: length, at: position + 24)
        group.set(littleEndian: checksum, at: position + 28)
    }
}
