import ChaskiModel

/// A journal file that nobody needs any more.
package struct RetiredFile: Hashable, Sendable {
    package var file: UInt64
    /// Where its groups end.
    var end: UInt64
}

/// Work for a thread of low priority, one piece at a time: see `JournalIndex.nextUpkeep`.
package enum UpkeepPlan: Sendable {
    /// Moves the history of journal files out of them, before they go, and lets go of segments
    /// in which nothing is alive. Before that it frees the space of what was removed since.
    case retire([RetiredFile], segments: [SegmentID], freeing: [String])
    /// Copies what is alive in a journal file, or in segments, into new segments.
    case compact(CompactionPlan)
}

/// What to copy where: made on the shard's loop, executed on any thread.
package struct CompactionPlan: Sendable {
    struct Source: Sendable {
        var file: BatchFile
        /// Where the groups of a journal file end.
        var end: UInt64
    }
    /// The offsets of a topic in one source.
    struct Run: Sendable {
        /// Its place in `sources`.
        var source: Int
        /// The order of the run among those of the topic: see `TopicState.Run.file`.
        var file: UInt64
        var offsets: Range<Offset>
    }
    /// One topic, and so one new segment, if anything of it is alive.
    struct Part: Sendable {
        var topic: TopicID
        /// Ascending by offset.
        var runs: [Run]
        var firstSource: UInt64
        var released: ReleasedOffsets
        var serial: UInt64

        /// The segment that comes of it.
        var id: SegmentID {
            SegmentID(topic: topic, source: runs.last?.file ?? 0, serial: serial)
        }
    }

    var sources: [Source]
    var parts: [Part]
    /// Give up when more is alive: copying would gain too little.
    var maximumBytes: UInt64
    /// The disk is full: what is set aside may be used.
    var mayUseReserve: Bool
    var salt: UInt32
    var identity: UInt128
}

/// A segment that is written and synced, but does not have its name yet.
struct NewSegment: Sendable {
    var header: SegmentHeader
    /// Its name until then.
    var partial: String
}

/// How a compaction ended.
struct CompactionOutcome: Sendable {
    enum End: Sendable {
        /// All is copied.
        case done
        /// So many bytes are alive: too many.
        case notWorth(UInt64)
        /// The disk is full; to be tried again.
        case noSpace
        /// A source cannot be read, or holds damaged bytes: it stays as it is.
        case unreadable(String)
        /// A write or a sync failed: the end of the journal's life in this process.
        case failed(FileError)
    }
    var plan: CompactionPlan
    var end: End
    /// One per part when `done`; nil where nothing of the topic is alive.
    var made: [NewSegment?] = []
    /// Bytes of batches copied.
    var bytes: UInt64 = 0
}

/// What a plan came to: hand it to `Journal.maintain`.
package struct UpkeepResult: Sendable {
    var compaction: CompactionOutcome?
    var retired: [RetiredFile] = []
    /// Segments in which nothing is alive.
    var segments: [SegmentID] = []
    /// A history file that gets its name now.
    var named: (partial: String, name: String)?
    /// Files to remove: old history, and what was not finished.
    var removals: [String] = []
    package var figures = UpkeepFigures()
    /// What went wrong without harm, for the log.
    package var warnings: [String] = []
}

/// What upkeep did, to be added up.
package struct UpkeepFigures: Hashable, Sendable {
    /// Files compacted, journal files and segments.
    package var compactions: UInt64 = 0
    /// Bytes of batches copied into segments.
    package var bytesCopied: UInt64 = 0
    package var segmentsMade: UInt64 = 0
    /// Files that could not be compacted, for want of space or because they cannot be read.
    package var compactionsGivenUp: UInt64 = 0
    /// State entries moved to history files, and bytes written there.
    package var historyEntries: UInt64 = 0
    package var historyBytes: UInt64 = 0
    /// Times that history could not be kept.
    package var historyFailures: UInt64 = 0

    package init() {}

    package mutating func add(_ other: Self) {
        compactions &+= other.compactions
        bytesCopied &+= other.bytesCopied
        segmentsMade &+= other.segmentsMade
        compactionsGivenUp &+= other.compactionsGivenUp
        historyEntries &+= other.historyEntries
        historyBytes &+= other.historyBytes
        historyFailures &+= other.historyFailures
    }
}

/// One slice of upkeep.
package enum UpkeepStep: Sendable {
    /// So many bytes were read or written; go on with the next slice when you like.
    case working(bytes: Int)
    case finished(UpkeepResult)
}
