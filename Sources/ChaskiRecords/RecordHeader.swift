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
    var optionalPosition: Int { position + RecordBatchLayout.recordFixedBytes }

    /// Where key, deduplication id and attributes begin, in the batch's bytes.
    var variablePosition: Int {
        optionalPosition + 8 * (flags & 7).nonzeroBitCount
    }

    /// Where the attributes begin, in the batch's bytes.
    var attributesPosition: Int { variablePosition + Int(keyLength) + Int(dedupLength) }

    /// Reads the fixed part at `position`; nil where it or the length it states passes `end`, or
    /// its variable parts do not fit its length. `end` is within the span.
    init?(_ span: RawSpan, at position: Int, end: Int) {
        assert(position >= 0 && end <= span.byteCount)
        guard end - position >= RecordBatchLayout.recordFixedBytes else { return nil }
        func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as _: T.Type) -> T {
            // Within the 32 bytes checked above.
            T(littleEndian: span.unsafeLoadUnaligned(
                fromUncheckedByteOffset: position + offset, as: T.self))
        }
        length = Int(load(0, as: UInt32.self))
        guard length >= RecordBatchLayout.recordFixedBytes, length <= end - position,
            length & (RecordBatchLayout.recordAlignment - 1) == 0
        else { return nil }
        self.position = position
        index = load(8, as: UInt32.self)
        payloadPosition = load(12, as: UInt32.self)
        payloadLength = load(16, as: UInt32.self)
        payloadChecksum = load(20, as: UInt32.self)
        keyLength = load(24, as: UInt16.self)
        attributeCount = load(26, as: UInt16.self)
        dedupLength = load(28, as: UInt16.self)
        flags = load(30, as: UInt16.self)
        guard attributesPosition <= position + length else { return nil }
    }
}
