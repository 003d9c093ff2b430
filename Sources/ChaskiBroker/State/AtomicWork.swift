import ChaskiModel

/// An atomic request on its way to the disk.
final class AtomicWork {
    struct Batch {
        var topic: TopicID
        /// Empty once it is in a group.
        var batch: Bytes
        var count: UInt32
        /// Length of the batch.
        var bytes: Int
    }

    /// A verdict whose messages are marked as on their way.
    struct Mark {
        var settled: Settled
        /// The consumer that had them then; nil while its session was disconnected.
        var consumer: ConsumerID?
    }

    /// A batch as it is stored, with the dedup ids that are new with it.
    struct Gathered {
        var stored: StoredBatch
        var dedupIDs: [DedupEntry]
    }

    let transaction: TransactionID
    var batches: [Batch]
    var marks: [Mark]
    /// What it became in the group in flight.
    var gathered: [Gathered] = []

    init(_ transaction: TransactionID) {
        self.transaction = transaction
        batches = []
        marks = []
    }

    /// Bytes of its batches.
    var batchBytes: Int { batches.reduce(0) { $0 + $1.bytes } }

    /// Bytes that it keeps waiting, about.
    var bytes: Int {
        marks.reduce(batchBytes + 128 * batches.count) { $0 + 64 + 16 * $1.settled.ranges.count }
    }
}
