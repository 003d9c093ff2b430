import ChaskiModel

extension RecordBatchEnvelope {
    /// Checks every record (bounds, checksum, limits, order) and that the blocks hold exactly the
    /// payloads. Throws `invalid-batch`, `checksum-mismatch`, `too-large`, `too-many`.
    func validatedRecords(limits: RecordBatchLimits, origin: RecordBatchOrigin)
        throws(Failure) -> RecordLocator
    {
        let span = bytes.span.bytes
        var builder = RecordLocatorBuilder(count: count)
        var coverage = PayloadCoverage(envelope: self, origin: origin)
        var position = RecordBatchLayout.headerBytes
        var nextIndex: UInt64 = 0
        for place in 0..<count {
            guard let header = RecordHeader(span, at: position, end: tablePosition) else {
                throw .invalidBatch("record \(place) passes its bounds")
            }
            try Self.check(header, place, span, limits)
            // Rising, and without a gap where nothing may be missing.
            guard header.index >= nextIndex, origin == .delivered || header.index == nextIndex
            else { throw .invalidBatch("record \(place) has index \(header.index)") }
            nextIndex = UInt64(header.index) + 1
            try coverage.add(header, place)
            builder.append(position: position, length: header.length)
            position += header.length
        }
        guard position == tablePosition else {
            throw .invalidBatch("bytes are left behind the last record")
        }
        try coverage.finish()
        return builder.finish()
    }

    /// One record for itself: its checksum, limits, attributes, padding.
    private static func check(
        _ header: RecordHeader, _ place: Int, _ span: RawSpan, _ limits: RecordBatchLimits
    ) throws(Failure) {
        let end = header.position + header.length
        let covered = span.extracting(
            unchecked: header.position + RecordBatchLayout.recordChecksummedFrom..<end)
        let stated = span.littleEndian(UInt32.self, at: header.position + 4)
        guard stated == CRC32C.checksum(covered) else { throw .checksum("of record \(place)") }
        guard header.flags & ~RecordBatchLayout.knownFlags == 0,
            header.hasKey || header.keyLength == 0
        else { throw .invalidBatch("record \(place) has unknown or contradicting flags") }
        let payload = Int(header.payloadLength)
        if payload > limits.payloadBytes {
            throw .tooLarge("payload of record \(place)", payload, limits.payloadBytes)
        }
        try MessageLimits.check(key: Int(header.keyLength))
        if header.dedupLength > 0 {
            try MessageLimits.check(dedupID: Int(header.dedupLength))
        }
        try MessageLimits.check(attributes: Int(header.attributeCount))
        let contentEnd = try checkAttributes(header, place, span, end)
        guard end - contentEnd < RecordBatchLayout.recordAlignment else {
            throw .invalidBatch("record \(place) is longer than its content")
        }
        for filler in contentEnd..<end where span.littleEndian(UInt8.self, at: filler) != 0 {
            throw .invalidBatch("record \(place) is not padded with zeros")
        }
    }

    /// Walks the attributes; returns where they end.
    private static func checkAttributes(
        _ header: RecordHeader, _ place: Int, _ span: RawSpan, _ end: Int
    ) throws(Failure) -> Int {
        var position = header.attributesPosition
        let textStart = position
        var total = 0
        for _ in 0..<header.attributeCount {
            guard let lengths = span.littleEndian(UInt32.self, at: position), end - position >= 4
            else { throw .invalidBatch("an attribute of record \(place) passes its bounds") }
            let name = Int(lengths & 0xffff)
            let value = Int(lengths >> 16)
            guard end - position - 4 >= name + value else {
                throw .invalidBatch("an attribute of record \(place) passes its bounds")
            }
            try MessageLimits.check(name: name, value: value, total: &total)
            position += 4 + name + value
        }
        // Names and values are nearly always ASCII; then the whole run is, lengths included.
        if total > 0, !isASCII(span, textStart..<position) {
            try checkUTF8(header, place, span)
        }
        return position
    }

    private static func isASCII(_ span: RawSpan, _ range: Range<Int>) -> Bool {
        var position = range.lowerBound
        var union: UInt64 = 0
        while range.upperBound - position >= 8 {
            union |= span.unsafeLoadUnaligned(fromUncheckedByteOffset: position, as: UInt64.self)
            position += 8
        }
        while position < range.upperBound {
            let byte = span.unsafeLoadUnaligned(fromUncheckedByteOffset: position, as: UInt8.self)
            union |= UInt64(byte)
            position += 1
        }
        return union & 0x8080_8080_8080_8080 == 0
    }

    /// The slow way, attribute by attribute, whose bounds are already checked.
    private static func checkUTF8(_ header: RecordHeader, _ place: Int, _ span: RawSpan)
        throws(Failure)
    {
        var position = header.attributesPosition
        for _ in 0..<header.attributeCount {
            let lengths = span.littleEndian(UInt32.self, at: position) ?? 0
            let name = Int(lengths & 0xffff)
            let value = Int(lengths >> 16)
            position += 4
            for length in [name, value] {
                let text = span.extracting(position..<position + length)
                guard UTF8Check.isValid(text) else {
                    throw .invalidBatch("an attribute of record \(place) is not UTF-8")
                }
                position += length
            }
        }
    }
}

/// Follows payloads and blocks side by side: each payload lies in blocks that are there, no block
/// is idle, and a payload that spans blocks fills those in its middle.
struct PayloadCoverage {
    private let envelope: RecordBatchEnvelope
    private let gapless: Bool
    /// The end of the last payload, in the payload stream.
    private var end = 0
    /// The block in hand (-1 before the first), its place in the stream, and whether any payload
    /// touched it.
    private var number = -1
    private var blockStart = 0
    private var blockEnd = 0
    private var stored: Int
    private var touched = true

    init(envelope: RecordBatchEnvelope, origin: RecordBatchOrigin) {
        self.envelope = envelope
        gapless = origin == .published
        stored = envelope.blocksPosition
    }

    mutating func add(_ header: RecordHeader, _ place: Int) throws(Failure) {
        let start = Int(header.payloadPosition)
        let payloadEnd = start + Int(header.payloadLength)
        guard start >= end, !gapless || start == end, payloadEnd <= envelope.payloadStreamBytes
        else { throw .invalidBatch("the payload of record \(place) is out of order") }
        end = payloadEnd
        guard start < payloadEnd else { return }
        while blockEnd <= start { try next() }
        guard blockStart <= start else {
            throw .invalidBatch("no block holds the payload of record \(place)")
        }
        touched = true
        while blockEnd < payloadEnd {
            let previousEnd = blockEnd
            try next()
            guard blockStart == previousEnd,
                blockEnd >= payloadEnd || blockEnd - blockStart == Limits.blockBytes
            else { throw .invalidBatch("the blocks of record \(place) have a gap or are split") }
            touched = true
        }
    }

    mutating func finish() throws(Failure) {
        guard touched, number + 1 == envelope.blockCount, stored == envelope.blocksEnd,
            !gapless || (end == envelope.payloadStreamBytes && blockEnd == end)
        else { throw .invalidBatch("the blocks are not those of the payloads") }
    }

    private mutating func next() throws(Failure) {
        number += 1
        guard touched, number < envelope.blockCount, let block = envelope.block(number),
            block.position >= blockEnd, !gapless || block.position == blockEnd
        else { throw .invalidBatch("block \(number) is missing, idle or out of order") }
        blockStart = block.position
        blockEnd = block.end
        stored += block.storedBytes
        touched = false
        guard stored <= envelope.blocksEnd else {
            throw .invalidBatch("block \(number) passes the end of the batch")
        }
    }
}
