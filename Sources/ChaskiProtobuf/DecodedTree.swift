import CProtobufC

/// A message as protobuf-c unpacked it, in an arena of its own; for the runtime.
@usableFromInline
struct DecodedTree {
    private let arena: Arena
    @usableFromInline let root: UnsafeRawPointer
    /// Bytes of the budget that the Swift value may take.
    @usableFromInline let budget: Int

    private init(_ arena: Arena, _ root: UnsafeRawPointer) {
        self.arena = arena
        self.root = root
        budget = arena.remainingBudget
    }

    /// Scans `span`, normalises it if it needs that, and unpacks it. Whoever opens a tree closes it.
    @usableFromInline
    @inline(never)
    static func open(
        _ span: RawSpan, schema: MessageSchema, options: DecodingOptions
    ) throws(DecodingError) -> DecodedTree {
        try span.withUnsafeBytes { buffer throws(DecodingError) in
            try unpack(buffer, schema, options)
        }
    }

    /// Gives the tree's memory back.
    @usableFromInline
    @inline(never)
    func close() {
        arena.close()
    }

    private static func unpack(
        _ buffer: UnsafeRawBufferPointer, _ schema: MessageSchema, _ options: DecodingOptions
    ) throws(DecodingError) -> DecodedTree {
        guard let base = buffer.baseAddress, buffer.count > 0 else {
            return try unpackEmpty(schema, options)
        }
        let finding = try WireScan.scan(base, buffer.count, schema: schema, options: options)
        guard finding.needsNormalising else {
            return try unpack(base, buffer.count, finding.memoryEstimate, schema, options)
        }
        guard buffer.count < options.memoryBudget / 4 else {
            throw DecodingError(.overMemoryBudget, field: schema.name)
        }
        let normal = try WireNormalizer.normalized(buffer, schema: schema, options: options)
        return try normal.span.bytes.withUnsafeBytes { copy throws(DecodingError) in
            guard let base = copy.baseAddress, copy.count > 0 else {
                return try unpackEmpty(schema, options)
            }
            return try unpack(base, copy.count, finding.memoryEstimate, schema, options)
        }
    }

    private static func unpack(
        _ base: UnsafeRawPointer, _ count: Int, _ estimate: Int, _ schema: MessageSchema,
        _ options: DecodingOptions
    ) throws(DecodingError) -> DecodedTree {
        let first = min(estimate, Arena.largestBlock)
        guard let arena = Arena(firstBlock: first, budget: options.memoryBudget) else {
            throw DecodingError(.overMemoryBudget, field: schema.name)
        }
        let bytes = base.assumingMemoryBound(to: UInt8.self)
        guard
            let root = protobuf_c_message_unpack(
                schema.descriptor, arena.allocator, count, bytes)
        else {
            defer { arena.close() }
            let code: DecodingError.Code = arena.isExhausted ? .overMemoryBudget : .malformed
            throw DecodingError(code, field: schema.name)
        }
        return DecodedTree(arena, UnsafeRawPointer(root))
    }

    private static func unpackEmpty(
        _ schema: MessageSchema, _ options: DecodingOptions
    ) throws(DecodingError) -> DecodedTree {
        let size = schema.descriptor.pointee.sizeof_message
        guard let arena = Arena(firstBlock: size + 64, budget: options.memoryBudget) else {
            throw DecodingError(.overMemoryBudget, field: schema.name)
        }
        guard let root = Arena.allocate(arena.state, size) else {
            arena.close()
            throw DecodingError(.overMemoryBudget, field: schema.name)
        }
        protobuf_c_message_init(schema.descriptor, root)
        return DecodedTree(arena, UnsafeRawPointer(root))
    }
}
