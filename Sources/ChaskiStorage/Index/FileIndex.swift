package import ChaskiModel

/// The offsets of one topic in one file.
package struct TopicRun: Hashable, Sendable {
    package var topic: TopicID
    /// First offset and the offset after the last.
    package var first: Offset
    package var end: Offset
    /// Bytes of its batches' bodies.
    package var bytes: UInt64 = 0
    /// Its rows in `FileIndex.locations`.
    var start: Int
    var count: Int
}

/// Where the batches of one file are: what a sidecar holds.
package struct FileIndex: Hashable, Sendable {
    package var file: UInt64
    /// Where the file's groups end.
    package var end: UInt64
    /// One per topic, ascending by topic.
    package var topics: [TopicRun]
    /// Ascending by topic, then by offset.
    package var locations: [BatchLocation]

    /// Sorts what was met in a file's groups, in journal order. Where a later batch holds an
    /// offset that an earlier one claims too, the earlier was never acknowledged and is left out.
    init(file: UInt64, end: UInt64, journalOrder: [BatchLocation]) {
        self.file = file
        self.end = end
        let order = journalOrder.indices.sorted { a, b in
            let (x, y) = (journalOrder[a], journalOrder[b])
            return x.topic == y.topic ? a < b : x.topic < y.topic
        }
        var locations: [BatchLocation] = []
        locations.reserveCapacity(order.count)
        var topics: [TopicRun] = []
        for index in order {
            let location = journalOrder[index]
            if topics.last?.topic != location.topic {
                topics.append(
                    TopicRun(
                        topic: location.topic, first: location.baseOffset, end: location.baseOffset,
                        start: locations.count, count: 0))
            }
            let last = topics.count - 1
            while topics[last].count > 0, let previous = locations.last,
                previous.baseOffset >= location.baseOffset
            {
                locations.removeLast()
                topics[last].count -= 1
                topics[last].bytes -= UInt64(previous.length)
            }
            if topics[last].count == 0 { topics[last].first = location.baseOffset }
            locations.append(location)
            topics[last].count += 1
            topics[last].bytes += UInt64(location.length)
            topics[last].end = location.endOffset
        }
        self.topics = topics
        self.locations = locations
    }

    init(file: UInt64, end: UInt64, topics: [TopicRun], locations: [BatchLocation]) {
        self.file = file
        self.end = end
        self.topics = topics
        self.locations = locations
    }

    /// Bytes of memory that it takes, about.
    var cost: Int { locations.count * 48 + topics.count * 40 + 128 }

    /// The batches of `topic` from the one that holds `from` (or the next after it) on, as many
    /// as `maximumBytes` allow, at least one; empty when there is none.
    func select(_ topic: TopicID, from: Offset, maximumBytes: Int) -> [BatchLocation] {
        guard let run = run(of: topic) else { return [] }
        return BatchLocation.select(
            locations[run.start..<(run.start + run.count)], from: from, maximumBytes: maximumBytes)
    }

    func run(of topic: TopicID) -> TopicRun? {
        var low = 0
        var high = topics.count
        while low < high {
            let middle = (low + high) / 2
            if topics[middle].topic < topic { low = middle + 1 } else { high = middle }
        }
        return low < topics.count && topics[low].topic == topic ? topics[low] : nil
    }
}

extension FileIndex {
    /// The index of a closed journal file: from its sidecar, else from its groups.
    ///
    /// - Parameter end: where its groups end.
    static func closed(
        _ file: UInt64, end: UInt64, salt: UInt32, _ handle: any File,
        _ fileSystem: any FileSystem, readAhead: Int
    ) throws(FileError) -> FileIndex? {
        if let index = Sidecar.read(file, salt: salt, withLocations: true, from: fileSystem),
            index.end == end
        {
            return index
        }
        let start = try handle.read(at: 0, count: FileHeader.size)
        guard case .valid(let header) = FileHeader.read(start[...]),
            case .index(let index) = try FileScan.index(
                header, end: end, in: fileSystem, readAhead: readAhead)
        else { return nil }
        return index
    }
}

extension BatchLocation {
    /// See `FileIndex.select`; `rows` are of one topic, ascending.
    static func select(
        _ rows: ArraySlice<BatchLocation>, from: Offset, maximumBytes: Int
    ) -> [BatchLocation] {
        var low = rows.startIndex
        var high = rows.endIndex
        while low < high {
            let middle = low + (high - low) / 2
            if rows[middle].endOffset <= from { low = middle + 1 } else { high = middle }
        }
        var chosen: [BatchLocation] = []
        var bytes = 0
        for row in rows[low...] {
            let length = Int(row.length)
            if !chosen.isEmpty, bytes + length > maximumBytes { break }
            chosen.append(row)
            bytes += length
        }
        return chosen
    }
}
