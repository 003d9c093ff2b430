import ChaskiModel

extension RecordBatchEnvelope {
    /// Checks every record (bounds, checksum, limits, order) and that the blocks hold exactly the
    /// payloads. Throws `invalid-batch`, `checksum-mismatch`, `too-large`, `too-many`.
    func validatedRecords(
        limits: RecordBatchLimits, origin: RecordBatchOrigin
    )
        throws(Failure) -> RecordLocator
    {
        try bytes.span.bytes.withUnsafeBytes { raw throws(Failure) -> RecordLocator in
            precondition(raw.count >= tablePosition, "the envelope is within the bytes")
            guard let base = raw.baseAddress else { throw .invalidBatch("it is empty") }
            return try validatedRecords(base, limits, gapless: origin == .published)
        }
    }

    /// - Precondition: `base` has at least `tablePosition` bytes.
    private func validatedRecords(
        _ base: UnsafeRawPointer, _ limits: RecordBatchLimits, gapless: Bool
    ) throws(Failure) -> RecordLocator {
        var builder = RecordLocatorBuilder(count: count)
        var coverage = PayloadCoverage(envelope: self, gapless: gapless)
        var position = RecordBatchLayout.headerBytes
        var nextIndex: UInt64 = 0
        for place in 0..<count {
            guard let header = RecordHeader(base, at: position, end: tablePosition) else {
                throw .invalidBatch("record \(place) passes its bounds")
            }
            try Self.check(header, place, base, payloadLimit: limits.payloadBytes)
            // Rising, and without a gap where nothing may be missing.
            let index = UInt64(header.index)
            guard index == nextIndex || (index > nextIndex && !gapless) else {
                throw .invalidBatch("record \(place) has index \(header.index)")
            }
            nextIndex = index &+ 1
            try coverage.add(header, place)
            builder.append(position: position, length: header.length)
            position = position &+ header.length
        }
        guard position == tablePosition else {
            throw .invalidBatch("bytes are left behind the last record")
        }
        try coverage.finish()
        return builder.finish()
    }

    /// One record for itself: its checksum, limits, attributes, padding.
    @inline(__always)
    private static func check(
        _ header: RecordHeader, _ place: Int, _ base: UnsafeRawPointer, payloadLimit: Int
    ) throws(Failure) {
        let start = base + header.position
        let covered = UnsafeRawBufferPointer(
            start: start + RecordBatchLayout.recordChecksummedFrom,
            count: header.length &- RecordBatchLayout.recordChecksummedFrom)
        let stated = UInt32(littleEndian: start.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        guard stated == CRC32C.checksum(covered.bytes) else {
            throw .checksum("of record \(place)")
        }
        guard header.flags & ~RecordBatchLayout.knownFlags == 0,
            header.hasKey || header.keyLength == 0
        else { throw .invalidBatch("record \(place) has unknown or contradicting flags") }
        if header.payloadLength > payloadLimit || header.keyLength > Limits.keyBytes
            || header.dedupLength > Limits.dedupIDBytes || header.attributeCount > Limits.attributes
        {
            throw beyondLimits(header, payloadLimit: payloadLimit)
        }
        let end = header.position &+ header.length
        var contentEnd = header.attributesPosition
        if header.attributeCount > 0 {
            contentEnd = try checkAttributes(header, place, base, end)
        }
        guard end &- contentEnd < RecordBatchLayout.recordAlignment else {
            throw .invalidBatch("record \(place) is longer than its content")
        }
        for filler in contentEnd..<end where base.load(fromByteOffset: filler, as: UInt8.self) != 0
        {
            throw .invalidBatch("record \(place) is not padded with zeros")
        }
    }

    /// Which of the limits it is.
    private static func beyondLimits(_ header: RecordHeader, payloadLimit: Int) -> Failure {
        do throws(Failure) {
            try MessageLimits.check(payload: Int(header.payloadLength), limit: payloadLimit)
            try MessageLimits.check(key: Int(header.keyLength))
            if header.dedupLength > 0 {
                try MessageLimits.check(dedupID: Int(header.dedupLength))
            }
            try MessageLimits.check(attributes: Int(header.attributeCount))
        } catch {
            return error
        }
        preconditionFailure("called for a record beyond its limits")
    }

    /// Walks the attributes; returns where they end. `base` has at least `end` bytes.
    @inline(__always)
    private static func checkAttributes(
        _ header: RecordHeader, _ place: Int, _ base: UnsafeRawPointer, _ end: Int
    ) throws(Failure) -> Int {
        let textStart = header.attributesPosition
        var position = textStart
        var total = 0
        for _ in 0..<header.attributeCount {
            guard end &- position >= 4 else { throw attributePastEnd(place) }
            let lengths = UInt32(
                littleEndian: base.loadUnaligned(fromByteOffset: position, as: UInt32.self))
            let name = Int(lengths & 0xffff)
            let value = Int(lengths >> 16)
            total &+= name &+ value
            position = position &+ 4 &+ name &+ value
            guard position <= end else { throw attributePastEnd(place) }
            if name &- 1 >= Limits.attributeNameBytes || name == 0
                || value > Limits.attributeValueBytes || total > Limits.attributesBytes
            {
                // Throws, since one of its limits is passed.
                var before = total &- name &- value
                try MessageLimits.check(name: name, value: value, total: &before)
            }
        }
        // Names and values are nearly always ASCII; then the whole run is, lengths included.
        if !isASCII(base, textStart, position) { try checkUTF8(header, place, base, end) }
        return position
    }

    private static func attributePastEnd(_ place: Int) -> Failure {
        .invalidBatch("an attribute of record \(place) passes its bounds")
    }

    @inline(__always)
    private static func isASCII(_ base: UnsafeRawPointer, _ start: Int, _ end: Int) -> Bool {
        var position = start
        var union: UInt64 = 0
        while end &- position >= 8 {
            union |= base.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            position = position &+ 8
        }
        while position < end {
            union |= UInt64(base.load(fromByteOffset: position, as: UInt8.self))
            position = position &+ 1
        }
        return union & 0x8080_8080_8080_8080 == 0
    }

    /// The slow way, attribute by attribute, whose bounds are already checked.
    private static func checkUTF8(
        _ header: RecordHeader, _ place: Int, _ base: UnsafeRawPointer, _ end: Int
    ) throws(Failure) {
        let span = UnsafeRawBufferPointer(start: base, count: end).bytes
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

    init(envelope: RecordBatchEnvelope, gapless: Bool) {
        self.envelope = envelope
        self.gapless = gapless
        stored = envelope.blocksPosition
    }

    @inline(__always)
    mutating func add(_ header: RecordHeader, _ place: Int) throws(Failure) {
        let start = Int(header.payloadPosition)
        let payloadEnd = start &+ Int(header.payloadLength)
        guard start == end || (start > end && !gapless), payloadEnd <= envelope.payloadStreamBytes
        else { throw .invalidBatch("the payload of record \(place) is out of order") }
        end = payloadEnd
        guard start < payloadEnd else { return }
        if blockStart <= start, payloadEnd <= blockEnd {
            touched = true
            return
        }
        try addBeyondBlock(start, payloadEnd, place)
    }

    /// A payload that is not within the block in hand.
    private mutating func addBeyondBlock(
        _ start: Int, _ payloadEnd: Int, _ place: Int
    )
        throws(Failure)
    {
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
