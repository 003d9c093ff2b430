/// Positions and sizes of the record batch, in bytes; the page RecordBatch says what they mean.
@usableFromInline
enum RecordBatchLayout {
    /// The broker header, and positions in it.
    @usableFromInline static let brokerHeaderBytes = 32
    static let appendTime = 8
    static let bitmapLength = 16

    /// The envelope header, and positions in the batch.
    @usableFromInline static let headerBytes = 64
    static let magic = 32
    static let version = 36
    static let flags = 38
    static let recordCount = 40
    static let recordBytes = 44
    static let blockCount = 48
    static let payloadBytes = 52
    static let reserved = 56
    static let checksum = 60

    static let magicValue: UInt32 = 0x3142_4b43  // "CKB1"
    static let versionValue: UInt16 = 1

    /// The fixed part of a record; records are padded to this alignment.
    static let recordFixedBytes = 32
    static let recordAlignment = 4
    /// What the record's own checksum does not cover: its length and itself.
    static let recordChecksummedFrom = 8

    static let blockEntryBytes = 16

    /// Bits of a record's field flags.
    static let hasEventTime: UInt16 = 1
    static let hasExpiry: UInt16 = 2
    static let hasSchema: UInt16 = 4
    static let hasKey: UInt16 = 8
    static let knownFlags: UInt16 = 15

    /// The largest record that the limits of a message allow: what a record's length may not pass.
    static let recordBytesMaximum = 24 * 1024

    /// `length` rounded up to the alignment of records. `length` is at most a few MiB.
    static func padded(_ length: Int) -> Int {
        (length + (recordAlignment - 1)) & ~(recordAlignment - 1)
    }
}

/// How a block of payload bytes is stored.
package enum BlockCodec: UInt8, Sendable, CaseIterable {
    /// As it is.
    case none = 0
    /// Raw deflate (RFC 1951).
    case deflate = 1
}
