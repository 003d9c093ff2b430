import ChaskiModel

/// Makes the index of a closed file from its groups, for want of a sidecar. The bodies are not
/// read, but for the last group's where nothing says that it was durable.
enum FileScan {
    enum Outcome {
        case index(FileIndex)
        case damaged(JournalPosition)
    }

    /// - Parameter end: where the groups end, if a later file says so.
    static func index(
        _ header: FileHeader, end: UInt64?, in fileSystem: any FileSystem, readAhead: Int
    ) throws(FileError) -> Outcome {
        let handle = try fileSystem.open(JournalName.journal(header.file))
        var reader = try GroupReader(handle, header: header, readAhead: readAhead)
        var position = UInt64(FileHeader.size)
        var sequence = header.sequence
        var chain = header.chain
        var locations: [BatchLocation] = []
        var last: FoundGroup?
        while position < end ?? UInt64.max, let group = try reader.group(at: position),
            group.header.chain == chain, group.header.sequence == sequence + 1
        {
            if let last { locations.append(contentsOf: last.locations) }
            last = group
            chain = group.header.checksum
            sequence = group.header.sequence
            position = group.header.end.position
        }
        let expected = end ?? position
        if position != expected { return .damaged(place(header, position)) }
        if end == nil, try reader.groupBeyond(position, sequence: sequence) != nil {
            return .damaged(place(header, position))
        }
        if let last {
            if end != nil {
                locations.append(contentsOf: last.locations)
            } else if try reader.isWhole(last) {
                locations.append(contentsOf: last.locations)
            } else {
                position = last.header.place.position
            }
        }
        return .index(FileIndex(file: header.file, end: position, journalOrder: locations))
    }

    private static func place(_ header: FileHeader, _ position: UInt64) -> JournalPosition {
        JournalPosition(file: header.file, position: position)
    }
}
