package import ChaskiModel

/// A record batch over bytes that somebody else owns: nothing is copied, payload blocks are not
/// touched. Positions of records are checked once, when the view is made.
package struct RecordBatchView: Sendable {
    /// The whole batch, broker header first.
    package let bytes: Bytes
    /// Records in it, at least 1.
    package let count: Int
    /// Bytes of the uncompressed payload stream of the batch as it was published.
    package let payloadStreamBytes: Int
    /// Number of payload blocks.
    package let blockCount: Int
    /// Where the block table begins, in the batch's bytes; the records end there.
    let tablePosition: Int
    let locator: RecordLocator

    /// Checks everything but the blocks' contents: structure, both kinds of checksums, every
    /// limit. What it lets pass can be stored and handed on.
    ///
    /// Throws `invalid-batch`, `checksum-mismatch`, `too-large` or `too-many`.
    package init(
        validating bytes: Bytes, limits: RecordBatchLimits = RecordBatchLimits(),
        origin: RecordBatchOrigin = .published
    ) throws(Failure) {
        let envelope = try RecordBatchEnvelope(bytes, limits: limits)
        try envelope.verifyChecksum()
        if origin == .published { try envelope.verifyPublishedHeader() }
        let locator = try envelope.validatedRecords(limits: limits, origin: origin)
        self.init(envelope, locator)
    }

    /// Takes bytes whose checksums somebody has verified (the journal): checks the structure only.
    ///
    /// Throws `damaged` where even that does not add up.
    package init(trusted bytes: Bytes) throws(Failure) {
        do {
            let envelope = try RecordBatchEnvelope(bytes, limits: .maximum)
            self.init(envelope, try envelope.locatedRecords())
        } catch {
            throw Failure(.dataLoss, .damaged, "a stored record batch is damaged: \(error.message)")
        }
    }

    private init(_ envelope: RecordBatchEnvelope, _ locator: RecordLocator) {
        bytes = envelope.bytes
        count = envelope.count
        payloadStreamBytes = envelope.payloadStreamBytes
        blockCount = envelope.blockCount
        tablePosition = envelope.tablePosition
        self.locator = locator
        precondition(count >= 1 && tablePosition <= bytes.count, "an envelope checks this")
    }
}

extension RecordBatchView {
    /// The offset of the record with index 0; set by the broker.
    package var baseOffset: Offset { bytes.littleEndian(at: 0) ?? 0 }

    /// When the broker appended the batch, nanoseconds since 1970.
    package var appendTimeNanos: Int64 {
        bytes.littleEndian(at: RecordBatchLayout.appendTime) ?? 0
    }

    /// The record at a place of this batch, 0 to `count` - 1. In a subset the place is not the
    /// index.
    package func header(at place: Int) -> RecordHeader {
        precondition(place >= 0 && place < count, "no such record")
        let position = locator.position(of: place)
        let header = bytes.withUnsafeBytes { raw in
            raw.baseAddress.flatMap { RecordHeader($0, at: position, end: tablePosition) }
        }
        guard let header else {
            preconditionFailure("a view checks its records when it is made")
        }
        return header
    }

    /// Calls `body` with each record in order.
    @inline(__always)
    package func forEachRecord(_ body: (RecordHeader) -> Void) {
        bytes.withUnsafeBytes { raw in
            guard let base = raw.baseAddress else { return }
            precondition(raw.count >= tablePosition, "a view checks its records when it is made")
            var position = RecordBatchLayout.headerBytes
            for _ in 0..<count {
                guard let header = RecordHeader(base, at: position, end: tablePosition) else {
                    preconditionFailure("a view checks its records when it is made")
                }
                body(header)
                position = header.position &+ header.length
            }
        }
    }

    /// The place of the first record whose index is at least `index`; `count` where there is none.
    package func place(ofIndex index: UInt32) -> Int {
        // In a batch with all its records the place is the index.
        if let guess = Int(exactly: index), guess < count, header(at: guess).index == index {
            return guess
        }
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if header(at: middle).index < index { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The key's bytes, shared with the batch; nil without a key.
    package func key(of header: RecordHeader) -> Bytes? { header.keyRange.map { slice($0) } }

    /// The deduplication id's bytes, shared with the batch; nil without one.
    package func dedupID(of header: RecordHeader) -> Bytes? { header.dedupRange.map { slice($0) } }

    /// Whether the record with this place is a message of the topic, and not a duplicate that the
    /// broker left out (its bit in the bitmap behind the blocks is set).
    package func isStored(_ place: Int) -> Bool {
        let length = bitmapBytes
        guard length > 0, place >= 0, place / 8 < length else { return true }
        let at = bytes.count - length + place / 8
        return (bytes.littleEndian(UInt8.self, at: at) ?? 0) & (1 << UInt8(place % 8)) == 0
    }

    /// Bytes of the bitmap behind the blocks: 0 where all records are stored.
    var bitmapBytes: Int {
        Int(bytes.littleEndian(UInt32.self, at: RecordBatchLayout.bitmapLength) ?? 0)
    }

    /// A part of the batch, by position from its start.
    func slice(_ range: Range<Int>) -> Bytes {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "outside the batch")
        return bytes[bytes.startIndex + range.lowerBound..<bytes.startIndex + range.upperBound]
    }
}

/// Where each record begins: computed where all have one length, else from a table.
struct RecordLocator: Sendable {
    /// The length of every record; 0 where they differ.
    var stride: Int
    /// Where each record begins, in the batch's bytes; empty where they have one length.
    var positions: [UInt32]

    func position(of place: Int) -> Int {
        stride > 0
            ? RecordBatchLayout.headerBytes + place * stride : Int(positions[place])
    }
}

/// Builds a locator record by record; makes a table only where a length differs.
struct RecordLocatorBuilder {
    private let count: Int
    private var seen = 0
    private var stride = 0
    private var positions: [UInt32] = []

    /// For `count` records, whose positions are all below 16 MiB.
    init(count: Int) { self.count = count }

    @inline(__always)
    mutating func append(position: Int, length: Int) {
        assert(seen < count, "more records than announced")
        if seen == 0 { stride = length }
        if length != stride { appendOdd(position: position, length: length) }
        seen &+= 1
    }

    /// A record that is not as long as all others before it, or that goes into the table.
    private mutating func appendOdd(position: Int, length: Int) {
        if stride > 0 {
            positions.reserveCapacity(count)
            for place in 0..<seen {
                positions.append(UInt32(RecordBatchLayout.headerBytes + place * stride))
            }
            stride = 0
        }
        positions.append(UInt32(truncatingIfNeeded: position))
    }

    consuming func finish() -> RecordLocator {
        precondition(seen == count && (stride > 0 || positions.count == count))
        return RecordLocator(stride: stride, positions: positions)
    }
}
