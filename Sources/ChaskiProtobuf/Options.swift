/// Limits of one decoding; each is checked before what it bounds is allocated.
public struct DecodingOptions: Hashable, Sendable {
    /// Nested messages below the outermost, and groups; 100 as in other implementations.
    /// Each level costs up to about 2 KiB of stack.
    public var depthLimit: Int
    /// Bytes of memory that the decoded message and its scaffolding may take together.
    public var memoryBudget: Int
    /// Repeated elements and map entries of the whole message, nested messages included.
    public var itemLimit: Int

    /// Limits of 100 levels, 64 MiB and no count of items unless given.
    public init(depthLimit: Int = 100, memoryBudget: Int = 64 << 20, itemLimit: Int = .max) {
        self.depthLimit = depthLimit
        self.memoryBudget = memoryBudget
        self.itemLimit = itemLimit
    }
}

/// Choices of one serialisation.
public struct EncodingOptions: Hashable, Sendable {
    /// Writes map entries in the order of their keys, so that equal messages give equal bytes.
    public var deterministic: Bool
    /// Nested messages below the outermost.
    public var depthLimit: Int

    /// Unordered maps and 100 levels unless given.
    public init(deterministic: Bool = false, depthLimit: Int = 100) {
        self.deterministic = deterministic
        self.depthLimit = depthLimit
    }
}
