package import ChaskiModel

extension RecordBatchView {
    /// The batch with only the records whose indices lie in `ranges`, and the blocks that they
    /// need. Record and block bytes are the publisher's; the envelope header is recomputed.
    ///
    /// - Parameter ranges: ascending, not overlapping.
    /// - Returns: nil where no record lies in them.
    /// Throws `damaged` where the block table does not hold what the records need.
    package func subset(indices ranges: [Range<UInt32>]) throws(Failure) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(RecordBatchLayout.headerBytes + bytes.count / 2)
        return try appendSubset(indices: ranges, to: &result) ? result : nil
    }

    /// As `subset`, appended to `output`; false, and nothing appended, where no record lies in the
    /// ranges.
    package func appendSubset(
        indices ranges: [Range<UInt32>], to output: inout [UInt8]
    )
        throws(Failure) -> Bool
    {
        typealias Layout = RecordBatchLayout
        let start = output.count
        let places = placeRanges(ranges)
        var kept = 0
        for range in places { kept += range.count }
        guard kept > 0 else { return false }

        output += bytes.prefix(Layout.headerBytes)
        output.set(littleEndian: UInt32(0), at: start + Layout.bitmapLength)
        bytes.withUnsafeBytes { raw in
            for range in places { output += raw[position(of: range)] }
        }
        let table = output.count
        guard let blocks = appendBlocks(of: places, to: &output) else {
            output.removeSubrange(start...)
            throw Failure(.dataLoss, .damaged, "the block table of a stored batch is damaged")
        }
        output.set(littleEndian: UInt32(kept), at: start + Layout.recordCount)
        output.set(
            littleEndian: UInt32(table - start - Layout.headerBytes), at: start + Layout.recordBytes
        )
        output.set(littleEndian: UInt32(blocks), at: start + Layout.blockCount)
        let checksum = RecordBatchEnvelope.checksum(
            output.span.bytes.extracting(start..<output.count), tablePosition: table - start,
            blockCount: blocks)
        output.set(littleEndian: checksum, at: start + Layout.checksum)
        return true
    }

    /// Where the records at these places lie, in the batch's bytes.
    private func position(of places: Range<Int>) -> Range<Int> {
        let end = places.upperBound
        return locator.position(
            of: places.lowerBound)..<(end < count ? locator.position(of: end) : tablePosition)
    }

    private func placeRanges(_ ranges: [Range<UInt32>]) -> [Range<Int>] {
        var places: [Range<Int>] = []
        places.reserveCapacity(ranges.count)
        var previous: UInt32 = 0
        // In a batch with all its records the place is the index.
        let isWhole = header(at: count - 1).index == UInt32(count - 1)
        for range in ranges {
            precondition(range.lowerBound >= previous, "ranges ascend")
            previous = range.upperBound
            let low = isWhole ? min(Int(range.lowerBound), count) : place(ofIndex: range.lowerBound)
            let high =
                isWhole ? min(Int(range.upperBound), count) : place(ofIndex: range.upperBound)
            if low < high { places.append(low..<high) }
        }
        return places
    }

    /// Appends the table entries and then the stored bytes of the blocks that the payloads at
    /// `places` need; their number, or nil where the table is damaged.
    private func appendBlocks(of places: [Range<Int>], to output: inout [UInt8]) -> Int? {
        let table = BlockTable(self)
        var cursor = BlockCursor(storedPosition: table.storedPosition)
        // Where the chosen blocks lie, neighbours joined.
        var stored: [Range<Int>] = []
        var chosen = 0
        var coveredTo = 0
        for range in places {
            for place in range {
                let header = header(at: place)
                let end = Int(header.payloadPosition) + Int(header.payloadLength)
                guard header.payloadLength > 0, end > coveredTo else { continue }
                while coveredTo < end {
                    guard let (block, bytes) = table.next(&cursor) else { return nil }
                    coveredTo = block.end
                    guard block.end > Int(header.payloadPosition) else { continue }
                    output += slice(entry(cursor.number - 1))
                    chosen += 1
                    if let last = stored.last, last.upperBound == bytes.lowerBound {
                        stored[stored.count - 1] = last.lowerBound..<bytes.upperBound
                    } else {
                        stored.append(bytes)
                    }
                }
            }
        }
        for bytes in stored { output += slice(bytes) }
        return chosen
    }

    private func entry(_ number: Int) -> Range<Int> {
        let start = tablePosition + number * RecordBatchLayout.blockEntryBytes
        return start..<start + RecordBatchLayout.blockEntryBytes
    }
}
