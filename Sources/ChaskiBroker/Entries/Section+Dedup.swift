import ChaskiModel

extension [UInt8] {
    /// Dedup ids in order of time: the distances of their offsets and times from the one before.
    mutating func append(dedupIDs entries: [DedupEntry]) {
        append(varint: UInt64(entries.count))
        var before = DedupEntry(key: DedupKey(high: 0, low: 0), offset: 0, clock: 0, checksum: 0)
        for entry in entries {
            append(littleEndian: entry.key.high)
            append(littleEndian: entry.key.low)
            append(littleEndian: entry.checksum)
            append(zigzag: Int64(bitPattern: entry.offset &- before.offset))
            append(zigzag: entry.clock &- before.clock)
            before = entry
        }
    }
}

extension ByteReader {
    mutating func dedupIDs() throws(Failure) -> [DedupEntry] {
        let number = try count(each: 22)
        var entries: [DedupEntry] = []
        entries.reserveCapacity(number)
        var before = DedupEntry(key: DedupKey(high: 0, low: 0), offset: 0, clock: 0, checksum: 0)
        for _ in 0..<number {
            let high: UInt64 = try fixed()
            let low: UInt64 = try fixed()
            let checksum: UInt32 = try fixed()
            let offset = before.offset &+ UInt64(bitPattern: try zigzag())
            let clock = before.clock &+ (try zigzag())
            guard offset <= Offset(Int64.max) else {
                throw .corruptEntry("a dedup id has an impossible offset")
            }
            before = DedupEntry(
                key: DedupKey(high: high, low: low), offset: offset, clock: clock,
                checksum: checksum)
            entries.append(before)
        }
        return entries
    }
}
