package import ChaskiModel

/// Reads payloads of one batch: inflates a block when it is first needed and keeps the last one,
/// so that reading in order inflates each block once. Every payload's checksum is verified.
package struct PayloadReader {
    private let view: RecordBatchView
    private let table: BlockTable
    private var inflater: Inflater?
    /// The block in hand, and its bytes uncompressed; nothing before the first.
    private var current: (number: Int, block: BlockEntry, bytes: Bytes)?
    private var cursor: BlockCursor

    init(_ view: RecordBatchView, inflater: Inflater?) {
        self.view = view
        self.inflater = inflater
        table = BlockTable(view)
        cursor = BlockCursor(storedPosition: table.storedPosition)
    }

    /// The payload of a record of this batch: shared with the batch or with the inflated block,
    /// copied only where it spans blocks.
    ///
    /// Throws `damaged` where the blocks do not hold it, `checksum-mismatch` where they hold
    /// something else.
    package mutating func payload(of header: RecordHeader) throws(Failure) -> Bytes {
        let start = Int(header.payloadPosition)
        let end = start + Int(header.payloadLength)
        guard header.payloadLength <= Limits.payloadBytesMaximum else { throw damaged(header) }
        let payload: Bytes
        if start == end {
            payload = []
        } else {
            try seek(start, header)
            if let current, end <= current.block.end {
                payload = Self.part(
                    current.bytes, from: start - current.block.position, end - start)
            } else {
                payload = try assemble(start, end, header)
            }
        }
        guard CRC32C.checksum(payload) == header.payloadChecksum else {
            throw .checksum("of the payload of record \(header.index)")
        }
        return payload
    }

    /// Copies a payload that spans blocks.
    private mutating func assemble(
        _ start: Int, _ end: Int, _ header: RecordHeader
    )
        throws(Failure) -> Bytes
    {
        var result: [UInt8] = []
        // No more than blocks of the batch could hold, each at most 64 KiB.
        result.reserveCapacity(min(end - start, table.count * Limits.blockBytes))
        var position = start
        while position < end {
            try seek(position, header)
            guard let current else { throw damaged(header) }
            let taken = min(end, current.block.end) - position
            result += Self.part(current.bytes, from: position - current.block.position, taken)
            position += taken
        }
        return result[...]
    }

    private static func part(_ bytes: Bytes, from start: Int, _ length: Int) -> Bytes {
        precondition(start >= 0 && length >= 0 && start + length <= bytes.count)
        return bytes[bytes.startIndex + start..<bytes.startIndex + start + length]
    }

    /// Makes the block that holds `position` the one in hand.
    private mutating func seek(_ position: Int, _ header: RecordHeader) throws(Failure) {
        if let current, current.block.position <= position, position < current.block.end { return }
        if let current, position < current.block.position {
            cursor = BlockCursor(storedPosition: table.storedPosition)
        }
        current = nil
        while let (block, stored) = table.next(&cursor) {
            guard position < block.end else { continue }
            guard block.position <= position else { break }
            current = (cursor.number - 1, block, try load(block, stored, header))
            return
        }
        throw damaged(header)
    }

    private mutating func load(
        _ block: BlockEntry, _ stored: Range<Int>, _ header: RecordHeader
    )
        throws(Failure) -> Bytes
    {
        let bytes = view.slice(stored)
        switch block.codec {
        case .none: return bytes
        case .deflate:
            let inflater = self.inflater ?? Inflater()
            self.inflater = inflater
            var outcome = Inflater.Outcome.malformed
            let inflated = [UInt8](unsafeUninitializedCapacity: block.inflatedBytes) {
                buffer, count in
                outcome = bytes.withUnsafeBytes {
                    inflater.inflate($0, into: UnsafeMutableRawBufferPointer(buffer))
                }
                if case .inflated(let written) = outcome { count = written } else { count = 0 }
            }
            guard inflated.count == block.inflatedBytes else { throw damaged(header) }
            return inflated[...]
        }
    }

    private func damaged(_ header: RecordHeader) -> Failure {
        Failure(
            .dataLoss, .damaged, "the blocks of the batch do not hold record \(header.index)")
    }
}

/// Where a walk over the blocks stands: the next block, and where its stored bytes begin.
struct BlockCursor {
    var number = 0
    var storedPosition: Int
}

/// The block table of a checked view.
struct BlockTable {
    private let view: RecordBatchView
    let count: Int
    /// Where the stored blocks begin and end, in the batch's bytes.
    let storedPosition: Int
    private let storedEnd: Int

    init(_ view: RecordBatchView) {
        self.view = view
        count = view.blockCount
        storedPosition = view.tablePosition + RecordBatchLayout.blockEntryBytes * count
        storedEnd = view.bytes.count - view.bitmapBytes
    }

    /// The block at the cursor and where its stored bytes lie; moves on. Nil behind the last, and
    /// where an entry is none or passes the end.
    func next(_ cursor: inout BlockCursor) -> (BlockEntry, Range<Int>)? {
        let at = view.tablePosition + RecordBatchLayout.blockEntryBytes * cursor.number
        guard cursor.number < count,
            let block = BlockEntry(view.bytes.span.bytes, at: at, end: storedPosition),
            block.storedBytes <= storedEnd - cursor.storedPosition
        else { return nil }
        let stored = cursor.storedPosition..<cursor.storedPosition + block.storedBytes
        cursor.number += 1
        cursor.storedPosition = stored.upperBound
        return (block, stored)
    }
}

extension RecordBatchView {
    /// A reader of this batch's payloads; give it the inflater of the last batch to spare zlib's
    /// set-up.
    package func payloads(using inflater: Inflater? = nil) -> PayloadReader {
        PayloadReader(self, inflater: inflater)
    }
}
