import CProtobufC

/// A C message filled from the wire, in an arena of its own; for the runtime. Its text and bytes
/// point into the input.
@usableFromInline
struct DecodedTree {
    private let arena: Arena
    @usableFromInline let root: UnsafeRawPointer
    /// Bytes of the budget that the Swift value may take.
    @usableFromInline let budget: Int

    /// Unpacks `buffer`, which must stay until the tree is closed. Whoever opens a tree closes it.
    @usableFromInline
    @inline(never)
    static func open(
        _ buffer: UnsafeRawBufferPointer, schema: MessageSchema, options: DecodingOptions
    ) throws(DecodingError) -> DecodedTree {
        guard buffer.count <= WireFormat.maximumLength,
            let arena = Arena(
                firstBlock: firstBlock(buffer.count, schema), budget: options.memoryBudget)
        else {
            throw DecodingError(.overMemoryBudget, field: schema.name)
        }
        // An empty buffer may have no address; nothing is read from the one that stands in.
        let base = buffer.baseAddress ?? UnsafeRawPointer(arena.state)
        do throws(DecodingError) {
            let root = try WireUnpacker.unpack(
                base, buffer.count, schema: schema, options: options, into: arena.state)
            return DecodedTree(arena: arena, root: root, budget: arena.remainingBudget)
        } catch {
            arena.close()
            throw error
        }
    }

    /// Gives the tree's memory back.
    @usableFromInline
    @inline(never)
    func close() {
        arena.close()
    }

    /// Bytes that are likely to hold the whole tree: the message and, as text stays where it is,
    /// something for what it holds.
    private static func firstBlock(_ count: Int, _ schema: MessageSchema) -> Int {
        let guess = min(max(count &* 2, 64), 16 << 10)
        return schema.descriptor.pointee.sizeof_message &+ guess
    }
}
