import CProtobufC

/// A C message under construction, in an arena of its own; for the runtime.
@usableFromInline
struct EncodedTree {
    private let arena: Arena
    @usableFromInline let root: UnsafeMutableRawPointer

    /// Results of at most so many bytes are packed elsewhere and copied, within the arena if they
    /// are small; for larger ones the exact size is computed first, which takes a pass of its own.
    private static let largestScratch = 8 << 10
    private static let largestHeapScratch = 1 << 20
    private static let blockBytes = 4 << 10

    /// An empty message of `schema` in an arena that begins in `memory`, which must stay until the
    /// tree is closed. Whoever opens a tree closes it.
    @usableFromInline
    @inline(never)
    static func open(
        _ schema: MessageSchema, in memory: UnsafeMutableRawBufferPointer
    ) -> EncodedTree {
        let arena = Arena(in: memory, blockBytes: blockBytes, budget: .max)
        let root = MessageWriter(arena.state, EncodingOptions()).empty(schema)
        return EncodedTree(arena: arena, root: root)
    }

    /// Gives the tree's memory back.
    @usableFromInline
    @inline(never)
    func close() {
        arena.close()
    }

    @usableFromInline
    @inline(never)
    func writer(_ options: EncodingOptions) -> MessageWriter {
        MessageWriter(arena.state, options)
    }

    /// Writes the tree in the wire format at the start of `room`; how many bytes.
    @usableFromInline
    @inline(never)
    func serialize(
        _ schema: MessageSchema, into room: UnsafeMutableRawBufferPointer
    ) throws(EncodingError) -> Int {
        let message = UnsafeRawPointer(root).assumingMemoryBound(to: ProtobufCMessage.self)
        // The bound spares a pass that counts, where there is room enough anyway.
        if arena.state.pointee.packedBound > min(room.count, WireFormat.maximumLength) {
            let size = protobuf_c_message_get_packed_size(message)
            guard size <= WireFormat.maximumLength else {
                throw EncodingError(.tooLarge, field: schema.name)
            }
            guard size <= room.count else { throw EncodingError(.noRoom, field: schema.name) }
        }
        guard let start = room.baseAddress else { return 0 }
        let count = protobuf_c_message_pack(message, start.assumingMemoryBound(to: UInt8.self))
        precondition(count <= room.count, "protobuf-c wrote more than it said")
        return count
    }

    /// The tree in the wire format.
    @usableFromInline
    @inline(never)
    func serialized(_ schema: MessageSchema) throws(EncodingError) -> [UInt8] {
        let message = UnsafeRawPointer(root).assumingMemoryBound(to: ProtobufCMessage.self)
        let bound = arena.state.pointee.packedBound
        if bound <= Self.largestScratch, let scratch = Arena.allocate(arena.state, bound) {
            let output = scratch.assumingMemoryBound(to: UInt8.self)
            let count = protobuf_c_message_pack(message, output)
            precondition(count <= bound, "a message is larger than its bound")
            return [UInt8](UnsafeBufferPointer(start: output, count: count))
        }
        if bound <= Self.largestHeapScratch {
            let output = UnsafeMutablePointer<UInt8>.allocate(capacity: bound)
            defer { output.deallocate() }
            let count = protobuf_c_message_pack(message, output)
            precondition(count <= bound, "a message is larger than its bound")
            return [UInt8](UnsafeBufferPointer(start: output, count: count))
        }
        let size = protobuf_c_message_get_packed_size(message)
        guard size <= WireFormat.maximumLength else {
            throw EncodingError(.tooLarge, field: schema.name)
        }
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = protobuf_c_message_pack(message, buffer.baseAddress)
            precondition(count <= size, "protobuf-c wrote more than it said")
        }
    }
}
