import ChaskiModel

/// The two headers of a batch, read and held against its size: from here on each region lies
/// within the bytes.
struct RecordBatchEnvelope {
    let bytes: Bytes
    let count: Int
    let payloadStreamBytes: Int
    let blockCount: Int
    /// Where the block table begins; the records lie between the headers and it.
    let tablePosition: Int
    /// Where the stored blocks begin, and end.
    let blocksPosition: Int
    let blocksEnd: Int

    /// Throws `invalid-batch` where the sizes do not add up, `too-large` or `too-many` beyond the
    /// limits. All sums are of values below 2^32 in 64 bits: they cannot overflow.
    init(_ bytes: Bytes, limits: RecordBatchLimits) throws(Failure) {
        typealias Layout = RecordBatchLayout
        self.bytes = bytes
        guard bytes.count <= limits.batchBytes else {
            throw .tooLarge("record batch", bytes.count, limits.batchBytes)
        }
        let span = bytes.span.bytes
        guard bytes.count >= Layout.headerBytes,
            let magic = span.littleEndian(UInt32.self, at: Layout.magic),
            let version = span.littleEndian(UInt16.self, at: Layout.version),
            let flags = span.littleEndian(UInt16.self, at: Layout.flags),
            let count = span.littleEndian(UInt32.self, at: Layout.recordCount),
            let recordBytes = span.littleEndian(UInt32.self, at: Layout.recordBytes),
            let blocks = span.littleEndian(UInt32.self, at: Layout.blockCount),
            let payloadBytes = span.littleEndian(UInt32.self, at: Layout.payloadBytes),
            let reserved = span.littleEndian(UInt32.self, at: Layout.reserved),
            let bitmap = span.littleEndian(UInt32.self, at: Layout.bitmapLength)
        else { throw .invalidBatch("\(bytes.count) bytes are too few for the headers") }
        guard magic == Layout.magicValue else { throw .invalidBatch("no CKB1 at byte 32") }
        guard version == Layout.versionValue else {
            throw .invalidBatch("version \(version) is not known; this side speaks 1")
        }
        guard flags == 0, reserved == 0 else { throw .invalidBatch("a reserved field is not zero") }
        guard count >= 1 else { throw .invalidBatch("it holds no record") }
        guard count <= limits.messages else {
            throw Failure(
                .invalidArgument, .tooMany,
                "a batch of \(count) messages; at most \(limits.messages) are allowed")
        }
        guard bitmap == 0 || bitmap == (count + 7) / 8 else {
            throw .invalidBatch("the bitmap has \(bitmap) bytes for \(count) records")
        }
        self.count = Int(count)
        payloadStreamBytes = Int(payloadBytes)
        blockCount = Int(blocks)
        tablePosition = Layout.headerBytes + Int(recordBytes)
        blocksPosition = tablePosition + Layout.blockEntryBytes * Int(blocks)
        blocksEnd = bytes.count - Int(bitmap)
        guard Int(recordBytes) >= Int(count) * Layout.recordFixedBytes,
            blocksPosition <= blocksEnd
        else { throw .invalidBatch("\(bytes.count) bytes do not hold what the envelope states") }
    }

    /// Throws `checksum-mismatch` unless envelope header and block table are as they were made.
    func verifyChecksum() throws(Failure) {
        let stated = bytes.littleEndian(UInt32.self, at: RecordBatchLayout.checksum)
        let actual = RecordBatchEnvelope.checksum(
            bytes.span.bytes, tablePosition: tablePosition, blockCount: blockCount)
        guard stated == actual else { throw .checksum("of the envelope") }
    }

    /// Throws `invalid-batch` unless the broker header is all zero.
    func verifyPublishedHeader() throws(Failure) {
        let span = bytes.span.bytes
        for position in stride(from: 0, to: RecordBatchLayout.brokerHeaderBytes, by: 8)
        where span.littleEndian(UInt64.self, at: position) != 0 {
            throw .invalidBatch("the broker header of a published batch is not zero")
        }
    }

    /// The checksum over the envelope header (without the checksum itself) and the block table.
    static func checksum(_ batch: RawSpan, tablePosition: Int, blockCount: Int) -> UInt32 {
        let header = batch.extracting(
            RecordBatchLayout.brokerHeaderBytes..<RecordBatchLayout.checksum)
        let table = batch.extracting(
            tablePosition..<tablePosition + blockCount * RecordBatchLayout.blockEntryBytes)
        return CRC32C.checksum(table, seed: CRC32C.checksum(header))
    }

    /// Block `number` of the table; nil where it is none (a wrong codec, size or filler).
    func block(_ number: Int) -> BlockEntry? {
        BlockEntry(
            bytes.span.bytes, at: tablePosition + number * RecordBatchLayout.blockEntryBytes,
            end: blocksPosition)
    }

    /// Walks the records by their lengths only. Throws `invalid-batch`.
    func locatedRecords() throws(Failure) -> RecordLocator {
        try bytes.span.bytes.withUnsafeBytes { raw throws(Failure) -> RecordLocator in
            precondition(raw.count >= tablePosition, "the envelope is within the bytes")
            guard let base = raw.baseAddress else { throw .invalidBatch("it is empty") }
            var builder = RecordLocatorBuilder(count: count)
            var position = RecordBatchLayout.headerBytes
            for place in 0..<count {
                guard let header = RecordHeader(base, at: position, end: tablePosition) else {
                    throw .invalidBatch("record \(place) passes its bounds")
                }
                builder.append(position: position, length: header.length)
                position = position &+ header.length
            }
            guard position == tablePosition else {
                throw .invalidBatch("bytes are left behind the last record")
            }
            return builder.finish()
        }
    }
}

/// One entry of the block table.
struct BlockEntry {
    /// Where its bytes lie in the payload stream.
    let position: Int
    /// Bytes uncompressed, 1 to 65,536; bytes as stored.
    let inflatedBytes: Int
    let storedBytes: Int
    let codec: BlockCodec

    var end: Int { position + inflatedBytes }

    init?(_ span: RawSpan, at offset: Int, end: Int) {
        guard offset >= 0, end - offset >= RecordBatchLayout.blockEntryBytes,
            let position = span.littleEndian(UInt32.self, at: offset),
            let inflated = span.littleEndian(UInt32.self, at: offset + 4),
            let stored = span.littleEndian(UInt32.self, at: offset + 8),
            let tail = span.littleEndian(UInt32.self, at: offset + 12),
            inflated >= 1, inflated <= Limits.blockBytes,
            // The three reserved bytes are zero where the word is the codec.
            let raw = UInt8(exactly: tail), let codec = BlockCodec(rawValue: raw),
            stored >= 1, stored <= inflated, codec != .none || stored == inflated
        else { return nil }
        self.position = Int(position)
        inflatedBytes = Int(inflated)
        storedBytes = Int(stored)
        self.codec = codec
    }
}

extension Failure {
    static func invalidBatch(_ what: String) -> Failure {
        Failure(.invalidArgument, .invalidBatch, "not a record batch: \(what)")
    }

    static func checksum(_ whose: String) -> Failure {
        Failure(.dataLoss, .checksumMismatch, "the checksum \(whose) does not match its bytes")
    }

    static func tooLarge(_ what: String, _ length: Int, _ limit: Int) -> Failure {
        Failure(
            .invalidArgument, .tooLarge,
            "\(what) of \(length) bytes; at most \(limit) are allowed")
    }
}
