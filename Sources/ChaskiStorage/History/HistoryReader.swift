import ChaskiModel

/// Reads the history files of a directory, without changing anything. They may be read beside a
/// running broker; what it is just writing may look unfinished.
package struct HistoryReader {
    /// What is found, file by file.
    package enum Item: Sendable {
        case file(HistoryHeader, bytes: Int)
        case block(HistoryBlock)
        /// A group of the block before it.
        case group(HistoryGroup)
        /// Not what was written, at this byte of the file of this name.
        case damage(name: String, position: UInt64, what: String)
    }

    /// Where a block is.
    private struct Place {
        var block: HistoryBlock
        var header: HistoryHeader
    }

    private let fileSystem: any FileSystem
    private static let readAhead = 256 << 10

    package init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

    /// Gives every group whose wall time lies in `times` (nanoseconds since 1970) to `visit`, each
    /// once, in the order of the journal, until that says false. What cannot be read is left out:
    /// `inspect` tells of it.
    package func groups(
        in times: ClosedRange<Int64> = Int64.min...Int64.max, visit: (HistoryGroup) -> Bool
    ) throws(FileError) {
        var places: [Place] = []
        for serial in try serials() {
            try walk(serial) { header, block, _ in
                // The wall clock may have stepped within a block: its ends tell only so much.
                let low = min(block.firstTime.wall, block.lastTime.wall)
                let high = max(block.firstTime.wall, block.lastTime.wall)
                let slack = Self.clockSlack
                guard high.saturatingAdd(slack) >= times.lowerBound,
                    low.saturatingSubtract(slack) <= times.upperBound
                else { return }
                places.append(Place(block: block, header: header))
            } damage: { _, _ in
            }
        }
        places.sort {
            ($0.block.firstGroup, $0.block.serial, $0.block.position)
                < ($1.block.firstGroup, $1.block.serial, $1.block.position)
        }
        // A move that a crash cut off is made again: the second time adds nothing.
        var last: (sequence: UInt64, entry: UInt32)?
        for place in places {
            for group in try content(of: place.block) ?? [] {
                if let last, (group.sequence, group.firstEntry) <= last { continue }
                last = (group.sequence, group.firstEntry)
                guard times.contains(group.time.wall) else { continue }
                guard visit(group) else { return }
            }
        }
    }

    /// A wall clock that stepped by less than this within one block is allowed for.
    private static let clockSlack: Int64 = 3_600_000_000_000

    /// Gives everything that is found, damage included, file by file.
    package func inspect(_ visit: (Item) -> Void) throws(FileError) {
        for serial in try serials() {
            let name = JournalName.historyFile(serial)
            let handle = try fileSystem.open(name)
            let start = try handle.read(at: 0, count: HistoryHeader.size)
            switch HistoryHeader.read(start[...]) {
            case .valid(let header): visit(.file(header, bytes: try handle.size()))
            case .newer(let version, let oldestReader):
                visit(
                    .damage(
                        name: name, position: 0,
                        what: "written in format \(version), which needs a reader of format "
                            + "\(oldestReader)"))
                continue
            case .damaged:
                visit(
                    .damage(
                        name: name, position: 0, what: "the header is not what was written"))
                continue
            }
            try walk(serial) { _, block, groups in
                visit(.block(block))
                guard let groups else {
                    visit(
                        .damage(
                            name: name, position: block.position,
                            what: "the block is not what was written"))
                    return
                }
                for group in groups { visit(.group(group)) }
            } damage: { position, what in
                visit(.damage(name: name, position: position, what: what))
            }
        }
    }

    private func serials() throws(FileError) -> [UInt64] {
        var serials: [UInt64] = []
        for name in try fileSystem.list() {
            if case .history(let serial) = JournalName(name) { serials.append(serial) }
        }
        return serials.sorted()
    }

    /// The blocks of one file; nothing where its header does not check.
    private func walk(
        _ serial: UInt64, visit: (HistoryHeader, HistoryBlock, [HistoryGroup]?) -> Void,
        damage: (UInt64, String) -> Void
    ) throws(FileError) {
        let handle = try fileSystem.open(JournalName.historyFile(serial))
        let size = try handle.size()
        var reader = ChunkReader(handle, size: size, readAhead: Self.readAhead)
        guard let start = try reader.bytes(at: 0, count: HistoryHeader.size),
            case .valid(let header) = HistoryHeader.read(start), header.serial == serial
        else { return }
        let salt = header.salt
        var position = UInt64(HistoryHeader.size)
        var chain: UInt32 = 0
        while position < UInt64(size) {
            guard let block = try Self.block(at: position, serial, salt, &reader),
                block.chain == chain, Int(block.length) <= size - Int(position)
            else {
                // A write that was cut off, unless something follows it.
                guard let next = try Self.next(after: position, size, serial, salt, &reader) else {
                    return
                }
                damage(position, "the block is not what was written")
                position = next.position
                chain = next.chain
                continue
            }
            let body = try reader.bytes(
                at: Int(position) + HistoryBlock.headerSize, count: Int(block.stored))
            let groups = body.flatMap { Self.groups(in: $0, of: block) }
            let end = position + UInt64(block.length)
            // The last block of a file may have been cut off too.
            if groups == nil, try Self.next(after: position, size, serial, salt, &reader) == nil {
                return
            }
            visit(header, block, groups)
            chain = block.checksum
            position = end
        }
    }

    private static func block(
        at position: UInt64, _ serial: UInt64, _ salt: UInt32, _ reader: inout ChunkReader
    ) throws(FileError) -> HistoryBlock? {
        guard let bytes = try reader.bytes(at: Int(position), count: HistoryBlock.headerSize)
        else { return nil }
        return HistoryBlock.read(bytes, serial: serial, position: position, salt: salt)
    }

    /// The first block header that checks behind `position`.
    private static func next(
        after position: UInt64, _ size: Int, _ serial: UInt64, _ salt: UInt32,
        _ reader: inout ChunkReader
    ) throws(FileError) -> HistoryBlock? {
        var next = position + UInt64(Layout.block)
        while next < UInt64(size) {
            if let block = try block(at: next, serial, salt, &reader) { return block }
            next += UInt64(Layout.block)
        }
        return nil
    }

    private static func groups(in body: Bytes, of block: HistoryBlock) -> [HistoryGroup]? {
        guard body.count == Int(block.stored), CRC32C.checksum(body) == block.bodyChecksum else {
            return nil
        }
        guard block.isDeflated else { return HistoryGroup.decode(body) }
        let (content, outcome) = Inflater().inflate(
            body, maximumBytes: max(1, Int(block.inflated)), ratio: 2_000)
        guard case .inflated(let count) = outcome, count == Int(block.inflated) else { return nil }
        return HistoryGroup.decode(content[...])
    }

    /// The groups of a block read before.
    private func content(of block: HistoryBlock) throws(FileError) -> [HistoryGroup]? {
        let handle = try fileSystem.open(JournalName.historyFile(block.serial))
        let body = try handle.read(
            at: Int(block.position) + HistoryBlock.headerSize, count: Int(block.stored))
        return Self.groups(in: body[...], of: block)
    }
}
