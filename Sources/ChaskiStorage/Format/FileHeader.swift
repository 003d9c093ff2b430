package import ChaskiModel

/// The first 4096 bytes of a journal file.
package struct FileHeader: Hashable, Sendable {
    /// Bytes of it; the first group begins here.
    package static let size = Layout.block
    /// "CHASKIJ1", read as a little-endian integer.
    static let magic: UInt64 = 0x314a_494b_5341_4843

    package var file: UInt64
    /// 128 random bits, the same in all files of a journal: groups of another never look valid.
    package var identity: UInt128
    /// Bytes of the whole file.
    package var fileBytes: UInt64
    /// The file before this one and where its groups end; `.none` in a journal's first file.
    package var previous: JournalPosition
    /// Header checksum of the last group before this file's first; 0 when there was none.
    package var chain: UInt32
    /// Raised each time that the journal opens.
    package var epoch: UInt32
    /// Number of the last group before this file's first; 0 when there was none.
    package var sequence: UInt64
    /// All groups below this position were durable before the file got its name.
    package var attestedEnd: UInt64
    /// Where a recovery that finds no group in this file begins to replay.
    package var replayFrom: JournalPosition
    /// The boot during which the file was begun, and broker clock less boot time in it.
    package var bootID: UInt128
    package var clockOffset: Int64
    /// The time of the last group before this file's first.
    package var lastTime: Now

    /// What the first bytes of a file turn out to be.
    enum Reading {
        case valid(FileHeader)
        /// Written by a release whose format this one may not open.
        case newer(version: UInt16, oldestReader: UInt16)
        case damaged
    }

    /// Checks and reads a header; `bytes` may be shorter than a header, which is damage.
    static func read(_ bytes: Bytes) -> Reading {
        guard bytes.count >= size, bytes.littleEndian(UInt64.self, at: 0) == magic,
            let stored = bytes.littleEndian(UInt32.self, at: 8),
            let version = bytes.littleEndian(UInt16.self, at: 12),
            let oldestReader = bytes.littleEndian(UInt16.self, at: 14)
        else { return .damaged }
        if oldestReader > Layout.version {
            return .newer(version: version, oldestReader: oldestReader)
        }
        let content = bytes.prefix(size).dropFirst(12)
        guard CRC32C.checksum(content) == stored, let header = FileHeader(fields: bytes) else {
            return .damaged
        }
        return .valid(header)
    }

    private init?(fields bytes: Bytes) {
        func u64(_ at: Int) -> UInt64 { bytes.littleEndian(UInt64.self, at: at) ?? 0 }
        func i64(_ at: Int) -> Int64 { bytes.littleEndian(Int64.self, at: at) ?? 0 }
        func u32(_ at: Int) -> UInt32 { bytes.littleEndian(UInt32.self, at: at) ?? 0 }
        func u128(_ at: Int) -> UInt128 { bytes.littleEndian(UInt128.self, at: at) ?? 0 }
        file = u64(16)
        identity = u128(24)
        fileBytes = u64(40)
        previous = JournalPosition(file: u64(48), position: u64(56))
        chain = u32(64)
        epoch = u32(68)
        sequence = u64(72)
        attestedEnd = u64(80)
        replayFrom = JournalPosition(file: u64(88), position: u64(96))
        bootID = u128(104)
        clockOffset = i64(120)
        lastTime = Now(clock: i64(128), wall: i64(136))
        // What a sound writer never wrote is damage even when its checksum fits.
        guard file > 0, file < Layout.countBound, sequence < Layout.countBound,
            previous.file < file, replayFrom.file > 0, replayFrom.file <= file,
            attestedEnd >= UInt64(Self.size), attestedEnd <= fileBytes, fileBytes < 1 << 32
        else { return nil }
    }

    package init(
        file: UInt64, identity: UInt128, fileBytes: UInt64, previous: JournalPosition,
        chain: UInt32, epoch: UInt32, sequence: UInt64, attestedEnd: UInt64,
        replayFrom: JournalPosition, bootID: UInt128, clockOffset: Int64, lastTime: Now
    ) {
        precondition(file > 0 && previous.file < file, "files follow one another by ascending id")
        precondition(attestedEnd >= UInt64(Self.size), "the header lies below the attested end")
        self.file = file
        self.identity = identity
        self.fileBytes = fileBytes
        self.previous = previous
        self.chain = chain
        self.epoch = epoch
        self.sequence = sequence
        self.attestedEnd = attestedEnd
        self.replayFrom = replayFrom
        self.bootID = bootID
        self.clockOffset = clockOffset
        self.lastTime = lastTime
    }

    /// The header as it stands in a file: exactly `size` bytes.
    func encoded() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.size)
        bytes.set(littleEndian: Self.magic, at: 0)
        bytes.set(littleEndian: Layout.version, at: 12)
        bytes.set(littleEndian: Layout.version, at: 14)
        bytes.set(littleEndian: file, at: 16)
        bytes.set(littleEndian: identity, at: 24)
        bytes.set(littleEndian: fileBytes, at: 40)
        bytes.set(littleEndian: previous.file, at: 48)
        bytes.set(littleEndian: previous.position, at: 56)
        bytes.set(littleEndian: chain, at: 64)
        bytes.set(littleEndian: epoch, at: 68)
        bytes.set(littleEndian: sequence, at: 72)
        bytes.set(littleEndian: attestedEnd, at: 80)
        bytes.set(littleEndian: replayFrom.file, at: 88)
        bytes.set(littleEndian: replayFrom.position, at: 96)
        bytes.set(littleEndian: bootID, at: 104)
        bytes.set(littleEndian: clockOffset, at: 120)
        bytes.set(littleEndian: lastTime.clock, at: 128)
        bytes.set(littleEndian: lastTime.wall, at: 136)
        bytes.set(littleEndian: CRC32C.checksum(bytes[12...]), at: 8)
        return bytes
    }

    /// What the checksums of this journal's groups and sidecars begin from.
    var salt: UInt32 { Self.salt(identity) }

    static func salt(_ identity: UInt128) -> UInt32 {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: identity)
        return CRC32C.checksum(bytes[...])
    }
}
