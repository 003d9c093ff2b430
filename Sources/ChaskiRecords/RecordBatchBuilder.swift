package import ChaskiModel

/// How the payload blocks of a batch are to be stored.
package enum BatchCompression: Hashable, Sendable {
    case none
    /// Raw deflate where the body has at least `minimumBytes` and a sample of it shrinks.
    case deflate(minimumBytes: Int = 1024)
}

/// Encodes messages into a record batch. Keeps its buffers from one batch to the next, so that a
/// message allocates nothing. A copy is a builder of its own.
package struct RecordBatchBuilder {
    /// What a batch of this builder may hold.
    package let limits: RecordBatchLimits
    /// Messages in it so far.
    package private(set) var count = 0

    /// Encoded records, and payload bytes, each at the front of a buffer that only grows.
    private var records: ByteBuilder
    private var payloads: ByteBuilder
    /// Where blocks begin in the payload stream, ascending from 0; empty without payload bytes.
    private var blockStarts: [UInt32] = []
    private var compressor = BlockCompressor()

    package init(limits: RecordBatchLimits = RecordBatchLimits()) {
        self.limits = limits
        records = ByteBuilder()
        payloads = ByteBuilder()
    }

    package var isEmpty: Bool { count == 0 }

    /// Bytes that the batch has at most when finished now.
    package var byteCount: Int {
        RecordBatchLayout.headerBytes + records.count + payloads.count
            + blockStarts.count * RecordBatchLayout.blockEntryBytes
    }

    /// Bytes that a message adds to a batch at most: record, payload, block entries.
    package static func encodedBytes(of message: Message) -> Int {
        var length = RecordBatchLayout.recordFixedBytes + 3 * 8 + 3
        length += (message.key?.count ?? 0) + (message.dedupID?.count ?? 0)
        for attribute in message.attributes {
            length += 4 + attribute.name.utf8.count + attribute.value.utf8.count
        }
        let payload = message.payload.count
        let blocks = payload / Limits.blockBytes + 2
        return length + payload + blocks * RecordBatchLayout.blockEntryBytes
    }

    /// Whether a message of so many encoded bytes still fits: messages and bytes.
    package func hasRoom(forEncodedBytes bytes: Int) -> Bool {
        count < limits.messages && bytes <= limits.batchBytes - byteCount
    }

    /// Adds a message. Throws what the message's limits say, and `too-many` or `too-large` where
    /// the batch is full; then nothing was added.
    package mutating func append(message: borrowing Message) throws(Failure) {
        let shape = try RecordShape(message, payloadLimit: limits.payloadBytes)
        guard count < limits.messages else {
            throw Failure(
                .invalidArgument, .tooMany, "a batch holds at most \(limits.messages) messages")
        }
        let growth =
            shape.length + shape.payload
            + (shape.payload / Limits.blockBytes + 2) * RecordBatchLayout.blockEntryBytes
        guard growth <= limits.batchBytes - byteCount else {
            throw .tooLarge("record batch", byteCount + growth, limits.batchBytes)
        }
        let position = payloads.count
        let start = records.extend(by: shape.length)
        var checksum: UInt32 = 0
        if shape.payload > 0 {
            placeBlocks(shape.payload)
            checksum = payloads.append(message.payload)
        }
        records.withBytes(at: start, count: shape.length) { buffer in
            RecordWriter(buffer).write(
                message, shape, index: UInt32(truncatingIfNeeded: count),
                payloadPosition: position, checksum: checksum)
        }
        count += 1
        assert(byteCount <= limits.batchBytes, "the growth was computed too small")
    }

    /// Begins a block where the payload would pass the end of the last one: no payload that fits
    /// into a block is split.
    private mutating func placeBlocks(_ length: Int) {
        let position = payloads.count
        let used = position - Int(blockStarts.last ?? 0)
        if blockStarts.isEmpty || used + length > Limits.blockBytes {
            blockStarts.append(UInt32(position))
        }
        // What is longer than a block fills blocks of its own.
        var start = Int(blockStarts.last ?? 0)
        while position + length - start > Limits.blockBytes {
            start += Limits.blockBytes
            blockStarts.append(UInt32(start))
        }
    }

    /// The batch, with a zeroed broker header; the builder begins the next one.
    ///
    /// - Precondition: it is not empty.
    package mutating func finish(compression: BatchCompression = .none) -> [UInt8] {
        precondition(count > 0, "an empty batch is not a batch")
        let blocks = compressor.compress(
            payloads.bytes, blockStarts: blockStarts, compression: compression)
        let tablePosition = RecordBatchLayout.headerBytes + records.count
        let tableBytes = blocks.count * RecordBatchLayout.blockEntryBytes
        var stored = 0
        for block in blocks { stored += block.storedBytes }
        var result: [UInt8] = []
        result.reserveCapacity(tablePosition + tableBytes + stored)
        appendHeaders(to: &result, blocks: blocks.count)
        result += records.bytes
        for block in blocks {
            result.append(littleEndian: UInt32(block.position))
            result.append(littleEndian: UInt32(block.inflatedBytes))
            result.append(littleEndian: UInt32(block.storedBytes))
            result.append(littleEndian: UInt32(block.codec.rawValue))
        }
        for run in compressor.runs(of: blocks, payloads: payloads.bytes) { result += run }
        let checksum = RecordBatchEnvelope.checksum(
            result.span.bytes, tablePosition: tablePosition, blockCount: blocks.count)
        result.set(littleEndian: checksum, at: RecordBatchLayout.checksum)
        assert(result.count == tablePosition + tableBytes + stored)
        clear()
        return result
    }

    /// Throws away what was added.
    package mutating func clear() {
        count = 0
        records.clear()
        payloads.clear()
        blockStarts.removeAll(keepingCapacity: true)
    }

    private func appendHeaders(to result: inout [UInt8], blocks: Int) {
        result.append(contentsOf: repeatElement(0, count: RecordBatchLayout.brokerHeaderBytes))
        result.append(littleEndian: RecordBatchLayout.magicValue)
        result.append(littleEndian: RecordBatchLayout.versionValue)
        result.append(littleEndian: UInt16(0))
        result.append(littleEndian: UInt32(count))
        result.append(littleEndian: UInt32(records.count))
        result.append(littleEndian: UInt32(blocks))
        result.append(littleEndian: UInt32(payloads.count))
        result.append(littleEndian: UInt64(0))  // reserved, checksum
    }
}

/// The lengths of a message's record, checked against its limits.
struct RecordShape {
    let key: Int
    let dedupID: Int
    let payload: Int
    let flags: UInt16
    /// The whole record, padded.
    let length: Int

    @inline(__always)
    init(_ message: borrowing Message, payloadLimit: Int) throws(Failure) {
        payload = message.payload.count
        key = message.key?.count ?? 0
        dedupID = message.dedupID?.count ?? 0
        let hasDedupID = message.dedupID != nil
        let attributes = message.attributes.count
        if payload > payloadLimit || key > Limits.keyBytes || dedupID > Limits.dedupIDBytes
            || (hasDedupID && dedupID == 0) || attributes > Limits.attributes
        {
            try MessageLimits.check(payload: payload, limit: payloadLimit)
            try MessageLimits.check(key: key)
            if hasDedupID { try MessageLimits.check(dedupID: dedupID) }
            try MessageLimits.check(attributes: attributes)
        }
        var flags: UInt16 = message.key != nil ? RecordBatchLayout.hasKey : 0
        if message.eventTimeNanos != nil { flags |= RecordBatchLayout.hasEventTime }
        if message.expiryNanos != nil { flags |= RecordBatchLayout.hasExpiry }
        if message.schemaID != nil { flags |= RecordBatchLayout.hasSchema }
        self.flags = flags
        var length = RecordBatchLayout.recordFixedBytes &+ key &+ dedupID
        length = length &+ 8 &* (flags & 7).nonzeroBitCount
        if attributes > 0 {
            length = length &+ (try Self.attributeBytes(message.attributes))
        }
        self.length = RecordBatchLayout.padded(length)
        assert(self.length <= RecordBatchLayout.recordBytesMaximum)
    }

    /// Bytes of the encoded attributes; throws where one of them is beyond its limits.
    private static func attributeBytes(_ attributes: [Attribute]) throws(Failure) -> Int {
        try attributes.withUnsafeBufferPointer { attributes throws(Failure) -> Int in
            var total = 0
            for index in attributes.indices {
                try MessageLimits.check(
                    name: attributes[index].name.utf8.count,
                    value: attributes[index].value.utf8.count, total: &total)
            }
            return total &+ 4 &* attributes.count
        }
    }
}
