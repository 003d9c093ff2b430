package import ChaskiModel

/// What a read of the index comes to.
package enum ReadOutcome: Sendable {
    /// Consecutive batches of the topic; the first holds `from`, or is the next that exists.
    case ready([StoredBatch])
    /// Run `LoadPlan.execute` where blocking is allowed, then call `JournalIndex.finish`.
    case load(LoadPlan)
    /// The topic holds nothing at `from` or later.
    case end
    /// The bytes on disk are not what was written; the topic cannot be read here.
    case damaged(Failure)
}
