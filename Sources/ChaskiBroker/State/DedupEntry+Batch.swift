import ChaskiModel
import ChaskiRecords

extension DedupEntry {
    /// The ids in a stored batch, in order.
    ///
    /// Throws `damaged` where the batch's structure does not add up.
    static func entries(
        of batch: Bytes, baseOffset: Offset, clock: Int64
    ) throws(Failure) -> [DedupEntry] {
        let view = try RecordBatchView(trusted: batch)
        var entries: [DedupEntry] = []
        view.forEachRecord { header in
            guard let id = view.dedupID(of: header) else { return }
            entries.append(
                DedupEntry(
                    key: SipHash128.hash(id), offset: baseOffset &+ Offset(header.index),
                    clock: clock, checksum: header.payloadChecksum))
        }
        return entries
    }
}
