import ChaskiModel

/// One batch that a producer made: unique content, one place in one producer's sequence.
struct Publication {
    var producer: Int
    var producerEpoch: UInt32
    var topic: TopicID
    var baseSequence: UInt64
    var count: UInt32
    /// As sent: a record batch with a zeroed broker header.
    var bytes: Bytes
    /// The keys of its messages; empty where none has one.
    var keys: [[UInt8]?] = []
    /// Requests for it that the broker took and has not answered in this life.
    var outstanding = 0
    /// A request for it ended without a definite answer.
    var inDoubt = false
    /// Where the journal has it: set when the write of it returned, or recovery showed it.
    var storedBase: Offset?
    /// The number of the write that stored it; 0 before.
    var storedByWrite = 0
    /// What a producer was told.
    var answeredBase: Offset?
}
