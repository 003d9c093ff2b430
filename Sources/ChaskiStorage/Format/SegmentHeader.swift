package import ChaskiModel

/// The first 128 bytes of a segment, and, once more, its last. SegmentFormat.md explains them.
package struct SegmentHeader: Hashable, Sendable {
    static let size = 128
    /// "CHASKIS1", read as a little-endian integer.
    static let magic: UInt64 = 0x3153_494b_5341_4843
    static let version: UInt16 = 1
    /// Bytes of one row of the table that follows the header.
    static let row = 32
    /// Batches that one segment may hold.
    static let rowLimit: UInt32 = 1 << 24

    package var id: SegmentID
    package var identity: UInt128
    /// The lowest id of the journal files that its batches came from.
    package var firstSource: UInt64
    /// First offset and the offset after the last.
    package var first: Offset
    package var end: Offset
    /// Bytes of its batches' bodies.
    package var bytes: UInt64
    /// Batches in it.
    package var count: UInt32
    /// The chain value of the table's last row.
    package var chain: UInt32
    /// Bytes of the file.
    package var fileBytes: UInt64

    package enum Reading {
        case valid(SegmentHeader)
        case newer(version: UInt16, oldestReader: UInt16)
        case damaged
    }

    package init(
        id: SegmentID, identity: UInt128, firstSource: UInt64, first: Offset, end: Offset,
        bytes: UInt64, count: UInt32, chain: UInt32
    ) {
        precondition(
            firstSource <= id.source && first < end && count > 0, "a segment holds batches")
        self.id = id
        self.identity = identity
        self.firstSource = firstSource
        self.first = first
        self.end = end
        self.bytes = bytes
        self.count = count
        self.chain = chain
        fileBytes = Self.fileBytes(count: count, bytes: bytes)
    }

    /// Bytes of a segment with so many batches.
    static func fileBytes(count: UInt32, bytes: UInt64) -> UInt64 {
        UInt64(2 * size) + UInt64(row) * UInt64(count) &+ bytes
    }

    /// The position of the first body.
    var bodiesStart: Int { Self.size + Self.row * Int(count) }

    /// Reads one copy of the header; `bytes` may be shorter than it, which is damage.
    static func read(_ bytes: Bytes) -> Reading {
        guard bytes.count >= size, bytes.littleEndian(UInt64.self, at: 0) == magic,
            let stored = bytes.littleEndian(UInt32.self, at: 8),
            let written = bytes.littleEndian(UInt16.self, at: 12),
            let oldestReader = bytes.littleEndian(UInt16.self, at: 14)
        else { return .damaged }
        if oldestReader > version { return .newer(version: written, oldestReader: oldestReader) }
        guard CRC32C.checksum(bytes.prefix(size).dropFirst(12)) == stored,
            let header = SegmentHeader(fields: bytes)
        else { return .damaged }
        return .valid(header)
    }

    private init?(fields bytes: Bytes) {
        func u64(_ at: Int) -> UInt64 { bytes.littleEndian(UInt64.self, at: at) ?? 0 }
        func u32(_ at: Int) -> UInt32 { bytes.littleEndian(UInt32.self, at: at) ?? 0 }
        identity = bytes.littleEndian(UInt128.self, at: 16) ?? 0
        id = SegmentID(topic: TopicID(rawValue: u64(32)), source: u64(48), serial: u64(40))
        firstSource = u64(56)
        first = u64(64)
        end = u64(72)
        self.bytes = u64(80)
        count = u32(88)
        chain = u32(92)
        fileBytes = u64(96)
        guard firstSource > 0, firstSource <= id.source, id.source < Layout.countBound,
            id.serial < Layout.countBound, first < end, end <= Layout.countBound + (1 << 32),
            count > 0, count <= Self.rowLimit, self.bytes < 1 << 40,
            fileBytes == Self.fileBytes(count: count, bytes: self.bytes)
        else { return nil }
    }

    /// The header as it stands in a file: exactly `size` bytes.
    func encoded() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.size)
        bytes.set(littleEndian: Self.magic, at: 0)
        bytes.set(littleEndian: Self.version, at: 12)
        bytes.set(littleEndian: Self.version, at: 14)
        bytes.set(littleEndian: identity, at: 16)
        bytes.set(littleEndian: id.topic.rawValue, at: 32)
        bytes.set(littleEndian: id.serial, at: 40)
        bytes.set(littleEndian: id.source, at: 48)
        bytes.set(littleEndian: firstSource, at: 56)
        bytes.set(littleEndian: first, at: 64)
        bytes.set(littleEndian: end, at: 72)
        bytes.set(littleEndian: self.bytes, at: 80)
        bytes.set(littleEndian: count, at: 88)
        bytes.set(littleEndian: chain, at: 92)
        bytes.set(littleEndian: fileBytes, at: 96)
        bytes.set(littleEndian: CRC32C.checksum(bytes[12...]), at: 8)
        return bytes
    }
}
