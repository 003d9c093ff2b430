import ChaskiModel

/// The table of a segment: one row per batch, each with a chain value over itself and the rows
/// before it.
enum SegmentTable {
    /// What the chain of a segment's rows begins from: no row of another segment, or of another
    /// journal, continues it.
    static func seed(_ id: SegmentID, identity: UInt128) -> UInt32 {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: identity)
        bytes.append(littleEndian: id.topic.rawValue)
        bytes.append(littleEndian: id.source)
        bytes.append(littleEndian: id.serial)
        return CRC32C.checksum(bytes[...])
    }

    /// The rows as they stand in the file, and the chain value of the last. `rows` say where the
    /// bodies lie in it.
    static func encode(_ rows: [BatchLocation], seed: UInt32) -> (bytes: [UInt8], chain: UInt32) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(rows.count * SegmentHeader.row)
        var chain = seed
        for row in rows {
            let start = bytes.count
            bytes.append(littleEndian: row.baseOffset)
            bytes.append(littleEndian: row.position)
            bytes.append(littleEndian: row.count)
            bytes.append(littleEndian: row.length)
            bytes.append(littleEndian: row.checksum)
            chain = CRC32C.checksum(bytes[start...], seed: chain)
            bytes.append(littleEndian: chain)
        }
        return (bytes, chain)
    }

    /// The header and the rows of a segment file; nil where they are not what was written.
    static func read(
        _ id: SegmentID, _ handle: any File
    ) throws(FileError) -> (header: SegmentHeader, index: FileIndex)? {
        guard let header = try header(of: handle), header.id == id else { return nil }
        let bytes = try handle.read(
            at: SegmentHeader.size, count: SegmentHeader.row * Int(header.count))
        guard let rows = decode(bytes[...], header) else { return nil }
        return (header, index(header, rows))
    }

    /// The first header of a file, or, if it does not check, the last.
    static func header(of handle: any File) throws(FileError) -> SegmentHeader? {
        if case .valid(let header) = try reading(of: handle).reading { return header }
        return nil
    }

    /// The better of the two headers, and how many bytes the file has.
    static func reading(
        of handle: any File
    ) throws(FileError) -> (reading: SegmentHeader.Reading, size: Int) {
        let size = try handle.size()
        let first = SegmentHeader.read(
            try readable(handle, at: 0, count: SegmentHeader.size)[...])
        guard case .damaged = first, size >= 2 * SegmentHeader.size else { return (first, size) }
        let last = try readable(
            handle, at: size - SegmentHeader.size, count: SegmentHeader.size)
        return (SegmentHeader.read(last[...]), size)
    }

    /// Nothing where the device cannot read: there is a second copy.
    private static func readable(
        _ handle: any File, at position: Int, count: Int
    ) throws(FileError) -> [UInt8] {
        do throws(FileError) {
            return try handle.read(at: position, count: count)
        } catch {
            guard error.code == .io else { throw error }
            return []
        }
    }

    private static func index(_ header: SegmentHeader, _ rows: [BatchLocation]) -> FileIndex {
        FileIndex(
            file: header.id.source, end: header.fileBytes,
            topics: [
                TopicRun(
                    topic: header.id.topic, first: header.first, end: header.end,
                    bytes: header.bytes, start: 0, count: rows.count)
            ], locations: rows)
    }

    static func decode(_ bytes: Bytes, _ header: SegmentHeader) -> [BatchLocation]? {
        guard bytes.count == SegmentHeader.row * Int(header.count) else { return nil }
        var rows: [BatchLocation] = []
        rows.reserveCapacity(Int(header.count))
        var chain = seed(header.id, identity: header.identity)
        var least = header.first
        var position = UInt64(header.bodiesStart)
        for index in 0..<Int(header.count) {
            let at = index * SegmentHeader.row
            let start = bytes.startIndex + at
            chain = CRC32C.checksum(bytes[start..<(start + SegmentHeader.row - 4)], seed: chain)
            guard let baseOffset = bytes.littleEndian(UInt64.self, at: at),
                let place = bytes.littleEndian(UInt64.self, at: at + 8),
                let count = bytes.littleEndian(UInt32.self, at: at + 16),
                let length = bytes.littleEndian(UInt32.self, at: at + 20),
                let checksum = bytes.littleEndian(UInt32.self, at: at + 24),
                chain == bytes.littleEndian(UInt32.self, at: at + 28),
                baseOffset >= least, baseOffset < Layout.countBound, count > 0, place == position
            else { return nil }
            least = baseOffset + Offset(count)
            position += UInt64(length)
            rows.append(
                BatchLocation(
                    topic: header.id.topic, baseOffset: baseOffset, count: count, length: length,
                    position: place, checksum: checksum))
        }
        guard chain == header.chain, rows.first?.baseOffset == header.first, least == header.end,
            position - UInt64(header.bodiesStart) == header.bytes
        else { return nil }
        return rows
    }
}
