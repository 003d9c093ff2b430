import ChaskiModel

/// Writes one record into the bytes reserved for it.
struct RecordWriter {
    private let buffer: UnsafeMutableRawBufferPointer

    /// `buffer` has exactly the record's length.
    init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

    func write(
        _ message: Message, _ shape: RecordShape, index: UInt32, payloadPosition: Int,
        checksum: UInt32
    ) {
        precondition(buffer.count == shape.length, "the shape is that of the record")
        store(UInt32(truncatingIfNeeded: shape.length), 0)
        store(index, 8)
        store(UInt32(truncatingIfNeeded: payloadPosition), 12)
        store(UInt32(truncatingIfNeeded: shape.payload), 16)
        store(checksum, 20)
        store(UInt16(truncatingIfNeeded: shape.key), 24)
        store(UInt16(truncatingIfNeeded: message.attributes.count), 26)
        store(UInt16(truncatingIfNeeded: shape.dedupID), 28)
        store(shape.flags, 30)
        var position = RecordBatchLayout.recordFixedBytes
        if let time = message.eventTimeNanos { put(time, &position) }
        if let time = message.expiryNanos { put(time, &position) }
        if let schema = message.schemaID { put(schema, &position) }
        if let key = message.key { copy(key, &position) }
        if let dedupID = message.dedupID { copy(dedupID, &position) }
        for attribute in message.attributes {
            put(UInt16(truncatingIfNeeded: attribute.name.utf8.count), &position)
            put(UInt16(truncatingIfNeeded: attribute.value.utf8.count), &position)
            copy(attribute.name, &position)
            copy(attribute.value, &position)
        }
        while position < buffer.count { put(UInt8(0), &position) }
        let covered = UnsafeRawBufferPointer(
            rebasing: buffer[RecordBatchLayout.recordChecksummedFrom...])
        store(CRC32C.checksum(covered.bytes), 4)
    }

    private func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ position: Int) {
        precondition(position >= 0 && position + MemoryLayout<T>.size <= buffer.count)
        buffer.storeBytes(of: value.littleEndian, toByteOffset: position, as: T.self)
    }

    private func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ position: inout Int) {
        store(value, position)
        position += MemoryLayout<T>.size
    }

    private func copy(_ bytes: [UInt8], _ position: inout Int) {
        bytes.withUnsafeBytes { copy($0, &position) }
    }

    private func copy(_ text: String, _ position: inout Int) {
        let done: Void? = text.utf8.withContiguousStorageIfAvailable {
            copy(UnsafeRawBufferPointer($0), &position)
        }
        if done == nil { copy(Array(text.utf8), &position) }
    }

    private func copy(_ source: UnsafeRawBufferPointer, _ position: inout Int) {
        guard let from = source.baseAddress, let to = buffer.baseAddress, source.count > 0 else {
            return
        }
        precondition(buffer.count - position >= source.count, "the shape is that of the record")
        (to + position).copyMemory(from: from, byteCount: source.count)
        position += source.count
    }
}

/// Bytes at the front of a buffer that grows by doubling and is kept: appending needs no
/// initialising and, once it has grown, no memory.
struct ByteBuilder {
    private var storage: [UInt8] = []
    private(set) var count = 0

    /// Beyond this, `clear` gives the memory back.
    private static let keptBytes = 1024 * 1024

    var bytes: Bytes { storage[..<count] }

    /// Lets `body` fill the next `length` bytes; it must write all of them.
    @inline(__always)
    mutating func extend(by length: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
        reserve(length)
        let start = count
        storage.withUnsafeMutableBytes { all in
            body(UnsafeMutableRawBufferPointer(rebasing: all[start..<start + length]))
        }
        count += length
    }

    mutating func append(_ source: [UInt8]) {
        extend(by: source.count) { target in
            source.withUnsafeBytes { target.copyMemory(from: $0) }
        }
    }

    mutating func clear() {
        count = 0
        if storage.count > Self.keptBytes { storage = [] }
    }

    private mutating func reserve(_ length: Int) {
        precondition(length >= 0)
        guard storage.count - count < length else { return }
        let wanted = max(count + length, 2 * storage.count, 1024)
        storage.reserveCapacity(wanted)
        storage.append(contentsOf: repeatElement(0, count: wanted - storage.count))
    }
}
