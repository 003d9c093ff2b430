/// A C message filled from the wire, in an arena of its own; for the runtime. Its text and bytes
/// point into the input.
@usableFromInline
struct DecodedTree {
    private let arena: Arena
    @usableFromInline let root: UnsafeRawPointer
    /// Bytes of the budget that the Swift value may take.
    @usableFromInline let budget: Int

    /// Unpacks `buffer` into an arena that begins in `memory`; both must stay until the tree is
    /// closed. Whoever opens a tree closes it.
    @usableFromInline
    @inline(never)
    static func open(
        _ buffer: UnsafeRawBufferPointer, in memory: UnsafeMutableRawBufferPointer,
        schema: MessageSchema, options: DecodingOptions
    ) throws(DecodingError) -> DecodedTree {
        guard buffer.count <= WireFormat.maximumLength else {
            throw DecodingError(.overMemoryBudget, field: schema.name)
        }
        let arena = Arena(
            in: memory, blockBytes: buffer.count &* 2, budget: options.memoryBudget)
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
}
