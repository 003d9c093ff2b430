import CProtobufC

/// Copies Swift values into C messages in an arena; for generated code.
public struct MessageWriter {
    /// C's data pointer and length of bytes or text.
    public typealias Bytes = (UnsafeMutablePointer<UInt8>?, Int)

    private let arena: UnsafeMutablePointer<Arena.State>
    @usableFromInline var depthLeft: Int
    @usableFromInline let deterministic: Bool

    init(_ arena: UnsafeMutablePointer<Arena.State>, _ options: EncodingOptions) {
        self.arena = arena
        depthLeft = options.depthLimit
        deterministic = options.deterministic
    }

    /// A tag of 5 bytes and a varint of 10, or a length of 5 bytes and data that counts apart.
    private static let largestRecord = 16

    /// Notes that packing may write `count` more pieces of `bytes` bytes. Each piece lies in memory
    /// already, so that the sum cannot overflow.
    @inline(__always)
    private func addBound(_ count: Int, of bytes: Int) {
        arena.pointee.packedBound &+= count &* bytes
    }

    @inline(__always)
    private func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        guard let memory = Arena.allocate(arena, size) else { preconditionFailure("out of memory") }
        return memory
    }

    /// A zeroed C message of `schema`.
    @usableFromInline
    func empty(_ schema: MessageSchema) -> UnsafeMutableRawPointer {
        let size = schema.descriptor.pointee.sizeof_message
        let memory = allocate(size)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        memory.storeBytes(
            of: schema.descriptor, as: UnsafePointer<ProtobufCMessageDescriptor>.self)
        addBound(Int(schema.descriptor.pointee.n_fields) &+ 1, of: Self.largestRecord)
        return memory
    }

    // MARK: Singular values

    /// A copy of the UTF-8 of `text`.
    public func string(_ text: String) -> Bytes {
        let bytes = text.utf8.withContiguousStorageIfAvailable { copy(UnsafeRawBufferPointer($0)) }
        if let bytes { return bytes }
        // A string of Objective-C.
        var text = text
        return text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    /// A copy of `bytes`.
    public func bytes(_ bytes: [UInt8]) -> Bytes {
        bytes.withUnsafeBytes { copy($0) }
    }

    @inline(__always)
    private func copy(_ source: UnsafeRawBufferPointer) -> Bytes {
        let memory = allocate(source.count)
        addBound(source.count, of: 1)
        if let base = source.baseAddress {
            memory.copyMemory(from: base, byteCount: source.count)
        }
        return (memory.assumingMemoryBound(to: UInt8.self), source.count)
    }

    /// The C form of `message`.
    @inlinable
    public mutating func message<M: Message, C>(
        _ message: M, _ type: C.Type = C.self
    ) throws(EncodingError) -> UnsafeMutablePointer<C> {
        guard depthLeft > 0 else { throw EncodingError(.tooDeep, field: M.protoMessageName) }
        depthLeft &-= 1
        let memory = empty(M._schema)
        try message._pack(memory, &self)
        depthLeft &+= 1
        return memory.assumingMemoryBound(to: C.self)
    }

    // MARK: Repeated values

    /// A copy of `numbers`.
    @inlinable
    public func numbers<T: BitwiseCopyable>(_ numbers: [T]) -> UnsafeMutablePointer<T> {
        let result = space(numbers.count, T.self)
        numbers.withUnsafeBufferPointer { source in
            guard let base = source.baseAddress else { return }
            result.initialize(from: base, count: source.count)
        }
        return result
    }

    /// C's truth values of `values`.
    @inlinable
    public func booleans(_ values: [Bool]) -> UnsafeMutablePointer<Int32> {
        let result = space(values.count, Int32.self)
        for index in values.indices { (result + index).initialize(to: values[index] ? 1 : 0) }
        return result
    }

    /// The numbers of `values`.
    @inlinable
    public func enums<E: Enum>(_ values: [E]) -> UnsafeMutablePointer<Int32> {
        let result = space(values.count, Int32.self)
        for index in values.indices { (result + index).initialize(to: values[index].rawValue) }
        return result
    }

    /// C's lengths and data of `texts`.
    public func strings<C>(_ texts: [String], _ type: C.Type = C.self) -> UnsafeMutablePointer<C> {
        let result = space(texts.count, ProtobufCBinaryData.self)
        for index in texts.indices {
            let (data, count) = string(texts[index])
            (result + index).initialize(to: ProtobufCBinaryData(len: count, data: data))
        }
        return UnsafeMutableRawPointer(result).assumingMemoryBound(to: C.self)
    }

    /// C's lengths and data of `values`.
    public func byteStrings<C>(
        _ values: [[UInt8]], _ type: C.Type = C.self
    ) -> UnsafeMutablePointer<C> {
        let result = space(values.count, ProtobufCBinaryData.self)
        for index in values.indices {
            let (data, count) = bytes(values[index])
            (result + index).initialize(to: ProtobufCBinaryData(len: count, data: data))
        }
        return UnsafeMutableRawPointer(result).assumingMemoryBound(to: C.self)
    }

    /// The C forms of `messages`.
    @inlinable
    public mutating func messages<M: Message, C>(
        _ messages: [M], _ type: C.Type = C.self
    ) throws(EncodingError) -> UnsafeMutablePointer<UnsafeMutablePointer<C>?> {
        let result = space(messages.count, UnsafeMutablePointer<C>?.self)
        for index in messages.indices {
            (result + index).initialize(to: try message(messages[index], C.self))
        }
        return result
    }

    /// Uninitialised room for `count` values, which generated code fills.
    @inlinable
    public func space<T>(_ count: Int, _ type: T.Type = T.self) -> UnsafeMutablePointer<T> {
        raw(count, MemoryLayout<T>.stride).bindMemory(to: T.self, capacity: count)
    }

    /// Room for `count` elements of `stride` bytes, each of which is packed as a record.
    @usableFromInline
    func raw(_ count: Int, _ stride: Int) -> UnsafeMutableRawPointer {
        addBound(count, of: Self.largestRecord)
        return allocate(count &* stride)
    }

    // MARK: Maps

    /// A zeroed C entry of a map.
    @inlinable
    public func entry<C>(
        _ schema: MessageSchema, _ type: C.Type = C.self
    )
        -> UnsafeMutablePointer<C>
    {
        empty(schema).assumingMemoryBound(to: C.self)
    }

    /// The entries of `map`, by key when the output is to be deterministic.
    @inlinable
    public func ordered<K: Comparable, V>(_ map: [K: V]) -> [(key: K, value: V)] {
        deterministic ? map.sorted { $0.key < $1.key } : Array(map)
    }

    /// The entries of `map`, false first when the output is to be deterministic.
    @inlinable
    public func ordered<V>(_ map: [Bool: V]) -> [(key: Bool, value: V)] {
        deterministic ? map.sorted { !$0.key && $1.key } : Array(map)
    }

    // MARK: Groups and unknown fields

    /// Appends `message` to `records` as a group of field `number`.
    public mutating func appendGroup<M: Message>(
        _ message: M, _ number: Int32, to records: inout [UInt8]
    ) throws(EncodingError) {
        let packed: UnsafeMutablePointer<ProtobufCMessage> = try self.message(message)
        let size = protobuf_c_message_get_packed_size(packed)
        let content = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = protobuf_c_message_pack(packed, buffer.baseAddress)
        }
        let tag = UInt64(UInt32(bitPattern: number)) << 3
        Varint.append(tag | UInt64(WireType.startGroup), to: &records)
        records += content
        Varint.append(tag | UInt64(WireType.endGroup), to: &records)
    }

    /// Gives the C message at `pointer` whole records, to be written after its fields.
    @inlinable
    public func records(_ records: [UInt8], _ pointer: UnsafeMutableRawPointer) {
        if !records.isEmpty { append(records, pointer) }
    }

    @usableFromInline
    func append(_ records: [UInt8], _ pointer: UnsafeMutableRawPointer) {
        // protobuf-c writes a tag and then the data as it stands, so one entry carries them all.
        records.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress,
                let tag = Varint.read(base, 0, bytes.count, limit: WireFormat.maximumTagBytes),
                let number = UInt32(exactly: tag.value >> 3)
            else { return }
            let (data, count) = copy(UnsafeRawBufferPointer(rebasing: bytes[tag.next...]))
            let field = space(1, ProtobufCMessageUnknownField.self)
            field.initialize(
                to: ProtobufCMessageUnknownField(
                    tag: number,
                    wire_type: ProtobufCWireType(rawValue: UInt32(tag.value & 7)),
                    len: count, data: data))
            let message = pointer.assumingMemoryBound(to: ProtobufCMessage.self)
            message.pointee.n_unknown_fields = 1
            message.pointee.unknown_fields = field
        }
    }
}
