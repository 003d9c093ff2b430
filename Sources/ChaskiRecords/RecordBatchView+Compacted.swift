package import ChaskiModel

extension RecordBatchView {
    /// A batch of its own with only the records whose indices lie in `ranges`: as `subset`, but
    /// numbered from 0 without gaps, so that it can be stored at consecutive offsets. Payload
    /// checksums are the publisher's; the records' own are computed again.
    ///
    /// - Parameter ranges: ascending, not overlapping.
    /// - Returns: nil where no record lies in them.
    /// Throws `damaged` where the block table does not hold what the records need.
    package func compacted(indices ranges: [Range<UInt32>]) throws(Failure) -> [UInt8]? {
        guard var result = try subset(indices: ranges) else { return nil }
        var position = RecordBatchLayout.headerBytes
        var index: UInt32 = 0
        let number = result.span.bytes.littleEndian(
            UInt32.self, at: RecordBatchLayout.recordCount)
        while index < number ?? 0 {
            guard
                let length = result.span.bytes.littleEndian(UInt32.self, at: position),
                length >= RecordBatchLayout.recordFixedBytes,
                result.count - position >= Int(length)
            else { preconditionFailure("a subset holds the records that it counts") }
            result.set(littleEndian: index, at: position + 8)
            let covered =
                position + RecordBatchLayout.recordChecksummedFrom..<position + Int(length)
            let checksum = CRC32C.checksum(result.span.bytes.extracting(covered))
            result.set(littleEndian: checksum, at: position + 4)
            position += Int(length)
            index += 1
        }
        return result
    }
}
