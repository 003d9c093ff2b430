import ChaskiModel

/// A read that needs the disk. A value: made on the shard's loop, executed on any thread.
package struct LoadPlan: Sendable {
    var topic: TopicID
    var from: Offset
    var maximumBytes: Int
    var file: UInt64
    /// Where the file's groups end, as far as known.
    var fileEnd: UInt64
    var salt: UInt32
    /// The batches to read, in order; nil when the file's index must be read first.
    var locations: [BatchLocation]?
}

/// What executing a plan brought.
package struct LoadResult: Sendable {
    enum Body: Sendable {
        case batches([StoredBatch])
        /// No such file any more: what it held was released meanwhile.
        case gone
        case damaged(Failure)
    }
    var plan: LoadPlan
    var body: Body
    /// The file's index, when it had to be read.
    var index: FileIndex?
}

extension LoadPlan {
    /// Reads what the plan names. Blocking; any thread.
    package func execute(_ fileSystem: any FileSystem) -> LoadResult {
        LoadResult(plan: self, body: .gone, index: nil)
    }
}
