/// The fixed part of a record: all that is needed to route, count and read it, without its bytes.
@frozen
@usableFromInline
package struct RecordHeader: Hashable, Sendable {
    /// The record's number in the batch as it was published; its offset is the base offset plus
    /// this.
    package let index: UInt32
    /// Where the record lies in the batch's bytes, and its padded length.
    package let position: Int
    package let length: Int
    /// Where its payload lies in the batch's uncompressed payload stream, its length and CRC-32C.
    package let payloadPosition: UInt32
    package let payloadLength: UInt32
    package let payloadChecksum: UInt32
    /// Lengths of its variable parts, bytes; number of attributes; field flags.
    package let keyLength: UInt16
    package let attributeCount: UInt16
    package let dedupLength: UInt16
    package let flags: UInt16

    /// Whether it has a key; the key may be empty.
    package var hasKey: Bool { flags & RecordBatchLayout.hasKey != 0 }

    /// Where its key lies in the batch's bytes; nil without one.
    package var keyRange: Range<Int>? {
        guard hasKey else { return nil }
        return variablePosition..<variablePosition + Int(keyLength)
    }

    /// Where its deduplication id lies in the batch's bytes; nil without one.
    package var dedupRange: Range<Int>? {
        guard dedupLength > 0 else { return nil }
        let start = variablePosition + Int(keyLength)
        return start..<start + Int(dedupLength)
    }

    /// Bytes that count against a consumer's limit: the record and its payload, uncompressed.
    package var creditBytes: Int { length + Int(payloadLength) }

    /// Where the optional times and the schema id begin, in the batch's bytes.
    @inline(__always)
    var optionalPosition: Int { position &+ RecordBatchLayout.recordFixedBytes }

    /// Where key, deduplication id and attributes begin, in the batch's bytes.
    @inline(__always)
    var variablePosition: Int {
        let bits = Int(flags)
        return optionalPosition &+ 8 &* ((bits & 1) &+ (bits >> 1 & 1) &+ (bits >> 2 & 1))
    }

    /// Where the attributes begin, in the batch's bytes.
    @inline(__always)
    var attributesPosition: Int { variablePosition &+ Int(keyLength) &+ Int(dedupLength) }

    /// Reads the fixed part at `position`; nil where it or the length it states passes `end`, or
    /// its variable parts do not fit its length.
    ///
    /// - Precondition: `position` is not negative, and `base` has at least `end` bytes.
    @inline(__always)
    init?(_ base: UnsafeRawPointer, at position: Int, end: Int) {
        assert(position >= 0)
        guard end &- position >= RecordBatchLayout.recordFixedBytes else { return nil }
        // Within the 32 bytes checked above.
        let fixed = base + position
        length = Int(UInt32(littleEndian: fixed.loadUnaligned(as: UInt32.self)))
        guard length >= RecordBatchLayout.recordFixedBytes, length <= end &- position,
            length & (RecordBatchLayout.recordAlignment - 1) == 0
        else { return nil }
        self.position = position
        index = UInt32(littleEndian: fixed.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
        payloadPosition = UInt32(
            littleEndian: fixed.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        payloadLength = UInt32(
            littleEndian: fixed.loadUnaligned(fromByteOffset: 16, as: UInt32.self))
        payloadChecksum = UInt32(
            littleEndian: fixed.loadUnaligned(fromByteOffset: 20, as: UInt32.self))
        keyLength = UInt16(littleEndian: fixed.loadUnaligned(fromByteOffset: 24, as: UInt16.self))
        attributeCount = UInt16(
            littleEndian: fixed.loadUnaligned(fromByteOffset: 26, as: UInt16.self))
        dedupLength = UInt16(
            littleEndian: fixed.loadUnaligned(fromByteOffset: 28, as: UInt16.self))
        flags = UInt16(littleEndian: fixed.loadUnaligned(fromByteOffset: 30, as: UInt16.self))
        guard attributesPosition <= position &+ length else { return nil }
    }
}
