import ChaskiModel

/// The state behind `JournalIndex`.
struct IndexState {
    mutating func apply(_ receipt: CommitReceipt) {}
    mutating func apply(_ report: MaintenanceReport) {}
    mutating func released(_ topic: TopicID, _ range: Range<Offset>) {}
    mutating func topicRemoved(_ topic: TopicID) {}
    mutating func retainOnly(_ topics: [(topic: TopicID, from: Offset)]) {}
    mutating func read(_ topic: TopicID, from: Offset, maximumBytes: Int) -> ReadOutcome { .end }
    mutating func finish(_ result: LoadResult) -> ReadOutcome { .end }
    mutating func takeDroppableFiles(limit: Int) -> [UInt64] { [] }
    func storedBytes(_ topic: TopicID) -> UInt64 { 0 }
}
