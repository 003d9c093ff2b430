import CProtobufC

/// A C message under construction, in an arena of its own; for the runtime.
@usableFromInline
struct EncodedTree {
    private let arena: Arena
    @usableFromInline let root: UnsafeMutableRawPointer

    /// Bytes of the first block: enough for a small message with its strings.
    private static let firstBlock = 960

    /// An empty message of `schema`. Whoever opens a tree closes it.
    @usableFromInline
    @inline(never)
    static func open(_ schema: MessageSchema) -> EncodedTree {
        let size = schema.descriptor.pointee.sizeof_message
        guard let arena = Arena(firstBlock: size + firstBlock, budget: .max) else {
            fatalError("out of memory")
        }
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

    /// The tree in the wire format.
    @usableFromInline
    @inline(never)
    func serialized(_ schema: MessageSchema) throws(EncodingError) -> [UInt8] {
        let message = UnsafeRawPointer(root).assumingMemoryBound(to: ProtobufCMessage.self)
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
