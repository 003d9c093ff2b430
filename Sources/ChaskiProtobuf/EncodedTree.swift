import CProtobufC

/// A C message under construction, in an arena of its own; for the runtime.
public struct EncodedTree: ~Copyable {
    private let arena: Arena
    @usableFromInline let root: UnsafeMutableRawPointer

    /// Bytes of the first block: enough for a small message with its strings.
    private static let firstBlock = 960

    /// An empty message of `schema`.
    public init(schema: MessageSchema) {
        let size = schema.descriptor.pointee.sizeof_message
        guard let arena = Arena(firstBlock: size + Self.firstBlock, budget: .max) else {
            fatalError("out of memory")
        }
        root = MessageWriter(arena.state, EncodingOptions()).empty(schema)
        self.arena = arena
    }

    /// Fills the tree from `message`.
    @inlinable
    public borrowing func fill<M: Message>(
        from message: M, options: EncodingOptions
    ) throws(EncodingError) {
        var writer = writer(options)
        try message._pack(root, &writer)
    }

    @usableFromInline
    func writer(_ options: EncodingOptions) -> MessageWriter {
        MessageWriter(arena.state, options)
    }

    /// The tree in the wire format.
    public borrowing func serialized(schema: MessageSchema) throws(EncodingError) -> [UInt8] {
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
