import CProtobufC

/// Copies values out of a C message into Swift values; for generated code.
///
/// It charges what it allocates to the memory budget of the decoding.
public struct MessageReader {
    /// Bytes that Swift values may still take.
    @usableFromInline var budget: Int

    /// What an allocation costs beside its bytes.
    @usableFromInline static let overhead = 32

    @inlinable
    init(budget: Int) {
        self.budget = budget
    }

    @inlinable
    mutating func charge<M: Message>(_ bytes: Int, _ type: M.Type) throws(DecodingError) {
        budget &-= bytes
        if budget < 0 {
            throw DecodingError(.overMemoryBudget, field: M.protoMessageName)
        }
    }

    // MARK: Singular values

    /// Text of `count` bytes of UTF-8 at `data`.
    @inlinable
    public mutating func string<M: Message>(
        _ data: UnsafeMutablePointer<UInt8>?, _ count: Int, _ field: Int32, of type: M.Type
    ) throws(DecodingError) -> String {
        guard let data, count > 0 else { return "" }
        if count > 15 { try charge(count &+ Self.overhead, type) }
        guard let text = Self.text(data, count) else {
            throw DecodingError(.invalidUTF8, field: M._schema.path(field))
        }
        return text
    }

    /// Text of `count` bytes at `data`, nil if they are not UTF-8.
    @usableFromInline
    static func text(_ data: UnsafeMutablePointer<UInt8>, _ count: Int) -> String? {
        let bytes = UnsafeBufferPointer(start: data, count: count)
        guard let span = try? UTF8Span(validating: bytes.span) else { return nil }
        return String(copying: span)
    }

    /// The `count` bytes at `data`.
    @inlinable
    public mutating func bytes<M: Message>(
        _ data: UnsafeMutablePointer<UInt8>?, _ count: Int, of type: M.Type
    ) throws(DecodingError) -> [UInt8] {
        guard let data, count > 0 else { return [] }
        try charge(count &+ Self.overhead, type)
        return [UInt8](UnsafeBufferPointer(start: data, count: count))
    }

    /// The message at `pointer`; nil where it is absent.
    @inlinable
    public mutating func message<M: Message, C>(
        _ pointer: UnsafeMutablePointer<C>?, _ type: M.Type = M.self
    ) throws(DecodingError) -> M? {
        guard let pointer else { return nil }
        var message = M()
        try message._unpack(UnsafeRawPointer(pointer), &self)
        return message
    }

    /// The message at `pointer`, which a oneof names; empty where it is absent.
    @inlinable
    public mutating func member<M: Message, C>(
        _ pointer: UnsafeMutablePointer<C>?, _ type: M.Type = M.self
    ) throws(DecodingError) -> M {
        var message = M()
        guard let pointer else { return message }
        try message._unpack(UnsafeRawPointer(pointer), &self)
        return message
    }

    /// The message at `pointer`, boxed; nil where it is absent.
    @inlinable
    public mutating func boxed<M: Message, C>(
        _ pointer: UnsafeMutablePointer<C>?, _ type: M.Type = M.self
    ) throws(DecodingError) -> Boxed<M>? {
        guard let pointer else { return nil }
        try charge(MemoryLayout<M>.stride &+ Self.overhead, type)
        let box = Boxed(M())
        try box.storage.value._unpack(UnsafeRawPointer(pointer), &self)
        return box
    }

    // MARK: Repeated values

    /// The `count` numbers at `pointer`.
    @inlinable
    public mutating func numbers<T: BitwiseCopyable, M: Message>(
        _ pointer: UnsafeMutablePointer<T>?, _ count: Int, of type: M.Type
    ) throws(DecodingError) -> [T] {
        guard let pointer, count > 0 else { return [] }
        try charge(count &* MemoryLayout<T>.stride &+ Self.overhead, type)
        return [T](UnsafeBufferPointer(start: pointer, count: count))
    }

    /// The `count` truth values at `pointer`.
    @inlinable
    public mutating func booleans<M: Message>(
        _ pointer: UnsafeMutablePointer<Int32>?, _ count: Int, of type: M.Type
    ) throws(DecodingError) -> [Bool] {
        guard let pointer, count > 0 else { return [] }
        try charge(count &+ Self.overhead, type)
        return UnsafeBufferPointer(start: pointer, count: count).map { $0 != 0 }
    }

    /// The `count` texts at `pointer`, an array of C's length and data.
    public mutating func strings<M: Message, C>(
        _ pointer: UnsafeMutablePointer<C>?, _ count: Int, _ field: Int32, of type: M.Type
    ) throws(DecodingError) -> [String] {
        guard let pointer, count > 0 else { return [] }
        try charge(count &* MemoryLayout<String>.stride &+ Self.overhead, type)
        var result: [String] = []
        result.reserveCapacity(count)
        let items = UnsafeRawPointer(pointer).assumingMemoryBound(to: ProtobufCBinaryData.self)
        for index in 0..<count {
            result.append(try string(items[index].data, items[index].len, field, of: type))
        }
        return result
    }

    /// The `count` byte strings at `pointer`, an array of C's length and data.
    public mutating func byteStrings<M: Message, C>(
        _ pointer: UnsafeMutablePointer<C>?, _ count: Int, of type: M.Type
    ) throws(DecodingError) -> [[UInt8]] {
        guard let pointer, count > 0 else { return [] }
        try charge(count &* MemoryLayout<[UInt8]>.stride &+ Self.overhead, type)
        var result: [[UInt8]] = []
        result.reserveCapacity(count)
        let items = UnsafeRawPointer(pointer).assumingMemoryBound(to: ProtobufCBinaryData.self)
        for index in 0..<count {
            result.append(try bytes(items[index].data, items[index].len, of: type))
        }
        return result
    }

    /// The `count` messages at `pointer`, an array of C pointers.
    @inlinable
    public mutating func messages<M: Message, C>(
        _ pointer: UnsafeMutablePointer<UnsafeMutablePointer<C>?>?, _ count: Int,
        _ type: M.Type = M.self
    ) throws(DecodingError) -> [M] {
        guard let pointer, count > 0 else { return [] }
        try charge(count &* MemoryLayout<M>.stride &+ Self.overhead, type)
        var result: [M] = []
        result.reserveCapacity(count)
        for index in 0..<count {
            result.append(try member(pointer[index], type))
        }
        return result
    }

    /// The `count` enum values at `pointer`; numbers that a closed enum does not name go to
    /// `unknown`.
    @inlinable
    public mutating func enums<E: Enum, M: Message>(
        _ pointer: UnsafeMutablePointer<Int32>?, _ count: Int, _ field: Int32,
        _ unknown: inout UnknownFields, of type: M.Type
    ) throws(DecodingError) -> [E] {
        guard let pointer, count > 0 else { return [] }
        try charge(count &* MemoryLayout<E>.stride &+ Self.overhead, type)
        var result: [E] = []
        result.reserveCapacity(count)
        for index in 0..<count {
            if let value = E(rawValue: pointer[index]) {
                result.append(value)
            } else {
                keep(field, pointer[index], &unknown)
                try charge(0, type)
            }
        }
        return result
    }

    // MARK: Maps

    /// Charges `count` map entries of `stride` bytes before they are made.
    @inlinable
    public mutating func chargeEntries<M: Message>(
        _ count: Int, stride: Int, of type: M.Type
    ) throws(DecodingError) {
        try charge(count &* (stride &+ 8) &* 2 &+ Self.overhead, type)
    }

    // MARK: Unknown fields

    /// What a record that is kept costs at most: a tag of 5 bytes, a number of 10, and the room
    /// that the array has too much and needs while it grows.
    private static let keptRecord = 48

    /// Keeps a number that a closed enum does not name, as a record of its field. What it costs
    /// counts at the next charge, or at the end.
    public mutating func keep(_ field: Int32, _ value: Int32, _ unknown: inout UnknownFields) {
        budget &-= Self.keptRecord
        unknown.append(number: field, varint: UInt64(bitPattern: Int64(value)))
    }

    /// Keeps a map entry whose value a closed enum does not name, as C packed it again.
    public mutating func keepEntry<C>(
        _ field: Int32, _ entry: UnsafeMutablePointer<C>, _ unknown: inout UnknownFields
    ) {
        let message = UnsafeRawPointer(entry).assumingMemoryBound(to: ProtobufCMessage.self)
        let size = protobuf_c_message_get_packed_size(message)
        budget &-= size &* 3 &+ Self.keptRecord
        let packed = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = protobuf_c_message_pack(message, buffer.baseAddress)
        }
        var record: [UInt8] = []
        Varint.append(UInt64(packed.count), to: &record)
        record += packed
        let tag = UInt64(UInt32(bitPattern: field)) << 3 | UInt64(WireType.lengthPrefixed)
        record.withUnsafeBytes { unknown.append(tag: tag, payload: $0) }
    }

    /// True when the C message at `pointer` holds unknown fields.
    public static func hasUnknown(_ pointer: UnsafeRawPointer) -> Bool {
        pointer.assumingMemoryBound(to: ProtobufCMessage.self).pointee.n_unknown_fields != 0
    }

    /// The unknown fields of the C message at `pointer`, added to `unknown`.
    public mutating func unknown<M: Message>(
        _ pointer: UnsafeRawPointer, _ unknown: inout UnknownFields, of type: M.Type
    ) throws(DecodingError) {
        let message = pointer.assumingMemoryBound(to: ProtobufCMessage.self)
        let count = Int(message.pointee.n_unknown_fields)
        guard count > 0, let fields = message.pointee.unknown_fields else { return }
        // One array of the right size: one that grew would need up to three times its bytes.
        var size = 0
        for index in 0..<count { size &+= fields[index].len &+ Varint.maximumTagBytes }
        try charge(size &+ unknown.bytes.count &+ Self.overhead, type)
        unknown.reserve(size)
        for index in 0..<count {
            let field = fields[index]
            let payload = UnsafeRawBufferPointer(start: field.data, count: field.len)
            let tag = UInt64(field.tag) << 3 | UInt64(field.wire_type.rawValue)
            unknown.append(tag: tag, payload: payload)
        }
    }
}
