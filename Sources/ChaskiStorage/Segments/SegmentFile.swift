import ChaskiModel

/// A segment found in the directory.
struct SegmentFile: Hashable, Sendable {
    var id: SegmentID
    /// Nil where neither copy of it is what was written.
    var header: SegmentHeader?
    /// Bytes of the file.
    var bytes: UInt64

    /// The first of the journal files that its batches came from.
    var firstSource: UInt64 { header?.firstSource ?? id.source }

    /// Whether it was made of what `other` holds, or of the same: then `other` is of no use.
    func replaces(_ other: SegmentFile) -> Bool {
        header != nil && id.topic == other.id.topic && id.serial > other.id.serial
            && firstSource <= other.firstSource && id.source >= other.id.source
    }

    /// Parts those that others replace from the rest.
    static func sort(
        _ files: [SegmentFile]
    ) -> (current: [SegmentFile], replaced: [SegmentFile]) {
        var current: [SegmentFile] = []
        var replaced: [SegmentFile] = []
        let sorted = files.sorted {
            ($0.id.topic.rawValue, $0.id.source, $0.id.serial)
                < ($1.id.topic.rawValue, $1.id.source, $1.id.serial)
        }
        // What replaces a segment has no lower source and a higher serial: it comes later.
        for (index, file) in sorted.enumerated() {
            let isReplaced = sorted[index...].dropFirst().prefix {
                $0.id.topic == file.id.topic
            }.contains { $0.replaces(file) }
            if isReplaced {
                replaced.append(file)
            } else {
                current.append(file)
            }
        }
        return (current, replaced)
    }
}

/// Which topics of which journal files segments hold.
struct MovedTopics {
    /// By topic, ascending by source.
    private var ranges: [TopicID: [ClosedRange<UInt64>]] = [:]

    init(_ segments: [SegmentFile]) {
        for segment in segments where segment.header != nil {
            ranges[segment.id.topic, default: []].append(segment.firstSource...segment.id.source)
        }
    }

    func contains(_ topic: TopicID, in file: UInt64) -> Bool {
        ranges[topic]?.contains { $0.contains(file) } ?? false
    }
}
