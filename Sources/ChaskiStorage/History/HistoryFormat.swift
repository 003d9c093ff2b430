package import ChaskiModel

/// The first 4096 bytes of a history file. HistoryFormat.md explains them.
package struct HistoryHeader: Hashable, Sendable {
    static let size = Layout.block
    /// "CHASKIH1", read as a little-endian integer.
    static let magic: UInt64 = 0x3148_494b_5341_4843
    static let version: UInt16 = 1

    package var serial: UInt64
    package var identity: UInt128
    /// When it was begun.
    package var begun: Now

    package enum Reading {
        case valid(HistoryHeader)
        case newer(version: UInt16, oldestReader: UInt16)
        case damaged
    }

    static func read(_ bytes: Bytes) -> Reading {
        guard bytes.count >= size, bytes.littleEndian(UInt64.self, at: 0) == magic,
            let stored = bytes.littleEndian(UInt32.self, at: 8),
            let written = bytes.littleEndian(UInt16.self, at: 12),
            let oldestReader = bytes.littleEndian(UInt16.self, at: 14)
        else { return .damaged }
        if oldestReader > version { return .newer(version: written, oldestReader: oldestReader) }
        guard CRC32C.checksum(bytes.prefix(size).dropFirst(12)) == stored,
            let identity = bytes.littleEndian(UInt128.self, at: 16),
            let serial = bytes.littleEndian(UInt64.self, at: 32), serial < Layout.countBound,
            let clock = bytes.littleEndian(Int64.self, at: 40),
            let wall = bytes.littleEndian(Int64.self, at: 48)
        else { return .damaged }
        return .valid(
            HistoryHeader(serial: serial, identity: identity, begun: Now(clock: clock, wall: wall)))
    }

    func encoded() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.size)
        bytes.set(littleEndian: Self.magic, at: 0)
        bytes.set(littleEndian: Self.version, at: 12)
        bytes.set(littleEndian: Self.version, at: 14)
        bytes.set(littleEndian: identity, at: 16)
        bytes.set(littleEndian: serial, at: 32)
        bytes.set(littleEndian: begun.clock, at: 40)
        bytes.set(littleEndian: begun.wall, at: 48)
        bytes.set(littleEndian: CRC32C.checksum(bytes[12...]), at: 8)
        return bytes
    }

    var salt: UInt32 { FileHeader.salt(identity) }
}

/// What stands before each block of a history file.
package struct HistoryBlock: Hashable, Sendable {
    static let headerSize = 128
    /// "CKH1", read as a little-endian integer.
    static let magic: UInt32 = 0x3148_4b43
    /// Content of a block, inflated, at most: one entry of any size that is kept fits.
    static let contentLimit = 20 << 20

    /// Bytes of the whole block, a multiple of 4096.
    package var length: UInt32 = 0
    /// Bytes of the body, deflated where `isDeflated`, and of what comes out.
    package var stored: UInt32 = 0
    package var inflated: UInt32 = 0
    package var bodyChecksum: UInt32 = 0
    package var isDeflated = false
    /// Checksum of the block before it in the file; 0 for the first.
    package var chain: UInt32
    /// Where it stands: serial of the file, and position.
    package var serial: UInt64
    package var position: UInt64
    /// Numbers and times of its first and last group.
    package var firstGroup: UInt64
    package var lastGroup: UInt64
    package var firstTime: Now
    package var lastTime: Now
    /// The journal file that its entries stood in.
    package var file: UInt64
    package var groups: UInt32
    package var entries: UInt32
    /// From the salt, over bytes 8..<128.
    package var checksum: UInt32 = 0

    /// The header at `position` of the file of `serial`; nil when there is none.
    static func read(
        _ bytes: Bytes, serial: UInt64, position: UInt64, salt: UInt32
    ) -> HistoryBlock? {
        func u64(_ at: Int) -> UInt64 { bytes.littleEndian(UInt64.self, at: at) ?? 0 }
        func i64(_ at: Int) -> Int64 { bytes.littleEndian(Int64.self, at: at) ?? 0 }
        func u32(_ at: Int) -> UInt32 { bytes.littleEndian(UInt32.self, at: at) ?? 0 }
        guard bytes.count >= headerSize, u32(0) == magic,
            CRC32C.checksum(bytes.prefix(headerSize).dropFirst(8), seed: salt) == u32(4)
        else { return nil }
        var block = HistoryBlock(
            chain: u32(28), serial: u64(32), position: u64(40), firstGroup: u64(48),
            lastGroup: u64(56), firstTime: Now(clock: i64(64), wall: i64(72)),
            lastTime: Now(clock: i64(80), wall: i64(88)), file: u64(96), groups: u32(104),
            entries: u32(108))
        block.length = u32(8)
        block.stored = u32(12)
        block.inflated = u32(16)
        block.bodyChecksum = u32(20)
        let codec = u32(24)
        block.isDeflated = codec == 1
        block.checksum = u32(4)
        guard block.serial == serial, block.position == position, codec <= 1,
            block.inflated <= contentLimit, block.stored <= contentLimit,
            block.isDeflated || block.stored == block.inflated,
            Layout.padded(headerSize + Int(block.stored)) == Int(block.length),
            block.firstGroup <= block.lastGroup, block.lastGroup < Layout.countBound
        else { return nil }
        return block
    }

    /// The block as it stands in a file, `body` included.
    mutating func encoded(_ body: Bytes, salt: UInt32) -> [UInt8] {
        precondition(body.count <= Self.contentLimit, "the content of a block is bounded")
        stored = UInt32(body.count)
        bodyChecksum = CRC32C.checksum(body)
        let whole = Layout.padded(Self.headerSize + body.count) ?? 0
        length = UInt32(whole)
        var bytes = [UInt8](repeating: 0, count: Self.headerSize)
        bytes.reserveCapacity(whole)
        bytes.set(littleEndian: Self.magic, at: 0)
        bytes.set(littleEndian: length, at: 8)
        bytes.set(littleEndian: stored, at: 12)
        bytes.set(littleEndian: inflated, at: 16)
        bytes.set(littleEndian: bodyChecksum, at: 20)
        bytes.set(littleEndian: UInt32(isDeflated ? 1 : 0), at: 24)
        bytes.set(littleEndian: chain, at: 28)
        bytes.set(littleEndian: serial, at: 32)
        bytes.set(littleEndian: position, at: 40)
        bytes.set(littleEndian: firstGroup, at: 48)
        bytes.set(littleEndian: lastGroup, at: 56)
        bytes.set(littleEndian: firstTime.clock, at: 64)
        bytes.set(littleEndian: firstTime.wall, at: 72)
        bytes.set(littleEndian: lastTime.clock, at: 80)
        bytes.set(littleEndian: lastTime.wall, at: 88)
        bytes.set(littleEndian: file, at: 96)
        bytes.set(littleEndian: groups, at: 104)
        bytes.set(littleEndian: entries, at: 108)
        checksum = CRC32C.checksum(bytes[8...], seed: salt)
        bytes.set(littleEndian: checksum, at: 4)
        bytes += body
        bytes += [UInt8](repeating: 0, count: whole - bytes.count)
        return bytes
    }
}

/// State entries of one group of the journal, as history keeps them.
package struct HistoryGroup: Hashable, Sendable {
    /// Number of the group, dense over the journal's life.
    package var sequence: UInt64
    package var time: Now
    /// Place of the first of `entries` among the group's state entries: a large group may come in
    /// several pieces.
    package var firstEntry: UInt32
    /// The broker's encoding, as it stood in the journal.
    package var entries: [Bytes]

    package init(sequence: UInt64, time: Now, firstEntry: UInt32, entries: [Bytes]) {
        self.sequence = sequence
        self.time = time
        self.firstEntry = firstEntry
        self.entries = entries
    }

    /// Bytes before the entries of a group.
    static let headerSize = 32

    func append(to content: inout [UInt8]) {
        content.append(littleEndian: sequence)
        content.append(littleEndian: time.clock)
        content.append(littleEndian: time.wall)
        content.append(littleEndian: firstEntry)
        content.append(littleEndian: UInt32(entries.count))
        for entry in entries {
            content.append(littleEndian: UInt32(entry.count))
            content += entry
        }
    }

    /// The groups in the content of a block; nil where it is not what was written.
    static func decode(_ content: Bytes) -> [HistoryGroup]? {
        var groups: [HistoryGroup] = []
        var at = 0
        while at < content.count {
            guard let sequence = content.littleEndian(UInt64.self, at: at),
                let clock = content.littleEndian(Int64.self, at: at + 8),
                let wall = content.littleEndian(Int64.self, at: at + 16),
                let firstEntry = content.littleEndian(UInt32.self, at: at + 24),
                let count = content.littleEndian(UInt32.self, at: at + 28)
            else { return nil }
            at += headerSize
            var entries: [Bytes] = []
            for _ in 0..<count {
                guard let length = content.littleEndian(UInt32.self, at: at),
                    Int(length) <= content.count - at - 4
                else { return nil }
                let start = content.startIndex + at + 4
                entries.append(content[start..<(start + Int(length))])
                at += 4 + Int(length)
            }
            groups.append(
                HistoryGroup(
                    sequence: sequence, time: Now(clock: clock, wall: wall),
                    firstEntry: firstEntry, entries: entries))
        }
        return groups
    }
}
