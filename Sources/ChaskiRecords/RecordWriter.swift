import ChaskiModel

/// Writes one record into the bytes reserved for it.
struct RecordWriter {
    private let buffer: UnsafeMutableRawBufferPointer

    /// `buffer` has exactly the record's length.
    init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

    @inline(__always)
    func write(
        _ message: borrowing Message, _ shape: RecordShape, index: UInt32, payloadPosition: Int,
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
        message.attributes.withUnsafeBufferPointer { attributes in
            for index in attributes.indices {
                let lengths = position
                position += 4
                let name = copy(attributes[index].name, &position)
                let value = copy(attributes[index].value, &position)
                store(UInt16(truncatingIfNeeded: name), lengths)
                store(UInt16(truncatingIfNeeded: value), lengths + 2)
            }
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

    /// Returns the number of bytes.
    @inline(__always)
    private func copy(_ text: String, _ position: inout Int) -> Int {
        let start = position
        let done: Void? = text.utf8.withContiguousStorageIfAvailable {
            copy(UnsafeRawBufferPointer($0), &position)
        }
        if done == nil { copy(Array(text.utf8), &position) }
        return position - start
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

    /// Makes the next `length` bytes part of it; returns where they begin. Whoever calls it fills
    /// all of them.
    @inline(__always)
    mutating func extend(by length: Int) -> Int {
        reserve(length)
        defer { count += length }
        return count
    }

    /// Lets `body` write to bytes that are part of it.
    @inline(__always)
    mutating func withBytes(
        at start: Int, count length: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        precondition(start >= 0 && length >= 0 && length <= count - start)
        storage.withUnsafeMutableBytes { all in
            body(UnsafeMutableRawBufferPointer(rebasing: all[start..<start + length]))
        }
    }

    /// Appends `source` and returns its CRC-32C.
    @inline(__always)
    mutating func append(_ source: [UInt8]) -> UInt32 {
        let start = extend(by: source.count)
        return storage.withUnsafeMutableBytes { all in
            source.withUnsafeBytes { bytes in
                guard let from = bytes.baseAddress, let to = all.baseAddress else { return 0 }
                precondition(bytes.count <= all.count - start, "the bytes were reserved")
                (to + start).copyMemory(from: from, byteCount: bytes.count)
                return CRC32C.checksum(bytes.bytes)
            }
        }
    }

    mutating func clear() {
        count = 0
        if storage.count > Self.keptBytes { storage = [] }
    }

    private mutating func reserve(_ length: Int) {
        precondition(length >= 0)
        guard storage.count - count < length else { return }
        var bigger = [UInt8](repeating: 0, count: max(count + length, 2 * storage.count, 1024))
        bigger.withUnsafeMutableBytes { target in
            storage.withUnsafeBytes {
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count]))
            }
        }
        storage = bigger
    }
}
