import ChaskiModel

/// A group as it stands in a file: header and table are sound, the bodies are not checked.
struct FoundGroup {
    var header: GroupHeader
    var rows: [EntryRow]

    /// Each row with the position of its body in the file.
    func forEachBody(_ visit: (EntryRow, UInt64) -> Void) {
        var position = header.place.position + UInt64(header.bodiesStart)
        for row in rows {
            visit(row, position)
            position += UInt64(row.length)
        }
    }

    /// Each row with the position of its body in the file.
    var bodies: [(row: EntryRow, position: UInt64)] {
        var found: [(row: EntryRow, position: UInt64)] = []
        found.reserveCapacity(rows.count)
        forEachBody { found.append(($0, $1)) }
        return found
    }

    /// The batches of it.
    var locations: [BatchLocation] {
        var found: [BatchLocation] = []
        forEachBody { row, position in
            guard row.kind == .batch else { return }
            found.append(
                BatchLocation(
                    topic: row.topic, baseOffset: row.baseOffset, count: row.count,
                    length: row.length, position: position, checksum: row.checksum))
        }
        return found
    }
}

/// Finds groups in one journal file.
struct GroupReader {
    let file: UInt64
    let fileBytes: UInt64
    let salt: UInt32
    fileprivate var reader: ChunkReader

    init(_ handle: any File, header: FileHeader, readAhead: Int) throws(FileError) {
        file = header.file
        // A file that lost its end holds no groups there.
        let size = min(try handle.size(), Int(header.fileBytes))
        fileBytes = UInt64(size)
        salt = header.salt
        reader = ChunkReader(handle, size: size, readAhead: readAhead)
    }

    /// The group at `position`, header and table checked; nil when there is none.
    mutating func group(at position: UInt64) throws(FileError) -> FoundGroup? {
        guard position < fileBytes, position % UInt64(Layout.block) == 0 else { return nil }
        let place = JournalPosition(file: file, position: position)
        guard let start = try reader.bytes(at: Int(position), count: Layout.groupHeader),
            let header = GroupHeader(unchecked: start, at: place, fileBytes: fileBytes),
            let checked = try reader.bytes(at: Int(position), count: header.bodiesStart),
            CRC32C.checksum(checked.dropFirst(8), seed: salt) == header.checksum
        else { return nil }
        var rows: [EntryRow] = []
        rows.reserveCapacity(Int(header.entryCount))
        var left = UInt64(header.length) - UInt64(header.bodiesStart)
        for index in 0..<Int(header.entryCount) {
            guard let row = EntryRow(checked, at: Layout.groupHeader + index * Layout.entryRow),
                UInt64(row.length) <= left, row.isPossible
            else { return nil }
            left -= UInt64(row.length)
            rows.append(row)
        }
        return FoundGroup(header: header, rows: rows)
    }

    /// The bodies of a group, in order.
    mutating func bodies(of group: FoundGroup) throws(FileError) -> [Bytes]? {
        let header = group.header
        guard
            let bytes = try reader.bytes(
                at: Int(header.place.position), count: Int(header.length))
        else { return nil }
        var bodies: [Bytes] = []
        bodies.reserveCapacity(group.rows.count)
        var start = bytes.startIndex + header.bodiesStart
        for row in group.rows {
            let end = start + Int(row.length)
            guard end <= bytes.endIndex else { return nil }
            bodies.append(bytes[start..<end])
            start = end
        }
        return bodies
    }

    /// The body of one row; nil where the file ends before it does.
    mutating func body(of row: EntryRow, at position: UInt64) throws(FileError) -> Bytes? {
        try reader.bytes(at: Int(position), count: Int(row.length))
    }

    /// The bodies of a group, in order; empty where the device cannot read one.
    mutating func readableBodies(of group: FoundGroup) throws(FileError) -> [Bytes]? {
        do throws(FileError) {
            return try bodies(of: group)
        } catch {
            guard error.code == .io else { throw error }
        }
        var bodies: [Bytes] = []
        var position = Int(group.header.place.position) + group.header.bodiesStart
        for row in group.rows {
            do throws(FileError) {
                bodies.append(try reader.bytes(at: position, count: Int(row.length)) ?? [])
            } catch {
                guard error.code == .io else { throw error }
                bodies.append([])
            }
            position += Int(row.length)
        }
        return bodies
    }

    /// Whether every body is what was written.
    mutating func isWhole(_ group: FoundGroup) throws(FileError) -> Bool {
        guard let bodies = try bodies(of: group) else { return false }
        for (row, body) in zip(group.rows, bodies) where CRC32C.checksum(body) != row.checksum {
            return false
        }
        return true
    }

    /// The first sound group with a number above `sequence` that begins after `position`.
    mutating func groupBeyond(
        _ position: UInt64, sequence: UInt64
    ) throws(FileError) -> FoundGroup? {
        var next = position + UInt64(Layout.block)
        while next < fileBytes {
            if let group = try group(at: next), group.header.sequence > sequence { return group }
            next += UInt64(Layout.block)
        }
        return nil
    }
}

extension GroupReader {
    /// Whether a group that is not sound was begun at `position`.
    mutating func hasBegun(at position: UInt64) throws(FileError) -> Bool {
        guard position < fileBytes else { return false }
        let place = JournalPosition(file: file, position: position)
        guard let start = try reader.bytes(at: Int(position), count: Layout.groupHeader) else {
            return false
        }
        return GroupHeader(unchecked: start, at: place, fileBytes: fileBytes) != nil
    }
}
