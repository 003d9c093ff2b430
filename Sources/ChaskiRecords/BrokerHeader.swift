package import ChaskiModel

extension [UInt8] {
    /// Writes the broker's part into a batch that starts at the first byte.
    ///
    /// - Precondition: the array holds at least a broker header (a checked batch does).
    package mutating func setBrokerHeader(baseOffset: Offset, appendTime: Int64) {
        set(littleEndian: baseOffset, at: 0)
        set(littleEndian: appendTime, at: RecordBatchLayout.appendTime)
    }
}

extension ArraySlice<UInt8> {
    /// Writes the broker's part into a batch that starts at the first byte. Writes in place where
    /// the bytes are shared with nobody.
    ///
    /// - Precondition: the slice holds at least a broker header (a checked batch does).
    package mutating func setBrokerHeader(baseOffset: Offset, appendTime: Int64) {
        precondition(count >= RecordBatchLayout.brokerHeaderBytes, "not a batch")
        withUnsafeMutableBytes {
            $0.storeBytes(of: baseOffset.littleEndian, as: UInt64.self)
            $0.storeBytes(
                of: appendTime.littleEndian, toByteOffset: RecordBatchLayout.appendTime,
                as: Int64.self)
        }
    }
}
