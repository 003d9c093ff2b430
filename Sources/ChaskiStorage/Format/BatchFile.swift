package import ChaskiModel

/// Names a segment: a file with batches of one topic that were moved out of journal files.
package struct SegmentID: Hashable, Sendable {
    package var topic: TopicID
    /// The highest id of the journal files that its batches came from: its place among them.
    package var source: UInt64
    /// Unique among the segments of a journal, ascending.
    package var serial: UInt64

    package init(topic: TopicID, source: UInt64, serial: UInt64) {
        self.topic = topic
        self.source = source
        self.serial = serial
    }
}

/// A file that holds batches.
package enum BatchFile: Hashable, Sendable {
    case journal(UInt64)
    case segment(SegmentID)

    /// Its name in the directory.
    package var name: String {
        switch self {
        case .journal(let id): JournalName.journal(id)
        case .segment(let id): JournalName.segmentFile(id)
        }
    }
}
