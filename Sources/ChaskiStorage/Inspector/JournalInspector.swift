package import ChaskiModel

/// Reads a journal's directory without changing anything, and without stopping at damage: what
/// `chaski journal dump` and `verify` print. It takes no lock; beside a running broker the end of
/// the journal may look unfinished.
package struct JournalInspector {
    let fileSystem: any FileSystem
    var summary = InspectionSummary()
    let visit: (InspectedItem) -> Void
    /// Where replay begins, as the last group that was seen says.
    private var replayFrom: JournalPosition?

    /// Segments, by topic and source.
    private var segmentIDs: [SegmentID] = []

    private static let readAhead = 1 << 20

    /// Gives everything that is found to `visit`, file by file, in order.
    ///
    /// - Throws: a `Failure` when the directory itself cannot be read.
    package static func inspect(
        _ fileSystem: any FileSystem, visit: (InspectedItem) -> Void
    ) throws(Failure) -> InspectionSummary {
        do throws(FileError) {
            return try withoutActuallyEscaping(visit) { visit throws(FileError) in
                var inspector = JournalInspector(fileSystem: fileSystem, visit: visit)
                try inspector.run()
                return inspector.summary
            }
        } catch {
            throw Failure.storage(error, in: fileSystem.label)
        }
    }

    private init(fileSystem: any FileSystem, visit: @escaping (InspectedItem) -> Void) {
        self.fileSystem = fileSystem
        self.visit = visit
    }

    private mutating func run() throws(FileError) {
        var (logs, mark) = try list()
        if let marked = mark, marked > logs.last ?? 0 {
            // A running broker may have begun that file while the names were read.
            (logs, mark) = try list()
        }
        var headers: [FileHeader] = []
        for id in logs {
            if let header = header(of: id) { headers.append(header) }
        }
        checkIdentity(headers)
        if let mark, mark > logs.last ?? 0 {
            report(
                .journal, JournalPosition(file: mark, position: 0),
                "the file is missing, which \(JournalName.mark(mark)) says was begun")
        }
        for id in logs {
            guard let header = headers.first(where: { $0.file == id }) else { continue }
            let follower = headers.last { $0.previous.file == id }
            let isNewest = id == logs.last
            visit(.file(header, isNewest: isNewest))
            summary.files += 1
            replayFrom = nil
            do throws(FileError) {
                try groups(of: header, end: follower?.previous.position, isNewest: isNewest)
            } catch {
                report(.journal, JournalPosition(file: id, position: 0), error.message)
            }
        }
        checkSequence(headers)
        for id in segmentIDs { try segment(id, identity: headers.last?.identity) }
        try history()
    }

    /// The ids of the journal files, ascending, and which of them must be there at least.
    private mutating func list() throws(FileError) -> (logs: [UInt64], mark: UInt64?) {
        var logs: [UInt64] = []
        var mark: UInt64?
        summary.spares = 0
        segmentIDs = []
        for name in try fileSystem.list() {
            switch JournalName(name) {
            case .log(let id): logs.append(id)
            case .spare: summary.spares += 1
            case .newest(let id): mark = max(mark ?? 0, id)
            case .segment(let id): segmentIDs.append(id)
            case .index, .history, .partial, .partialHistory, nil: continue
            }
        }
        return (logs.sorted(), mark)
    }

    private mutating func header(of id: UInt64) -> FileHeader? {
        let place = JournalPosition(file: id, position: 0)
        guard let file = try? fileSystem.open(JournalName.journal(id)),
            let bytes = try? file.read(at: 0, count: FileHeader.size)
        else {
            report(.journal, place, "the header cannot be read")
            return nil
        }
        switch FileHeader.read(bytes[...]) {
        case .valid(let header):
            if header.file == id { return header }
            report(.journal, place, "the header is that of \(JournalName.journal(header.file))")
        case .newer(let version, let oldestReader):
            summary.newerFiles += 1
            report(
                .journal, place,
                "written in format \(version), which needs a reader of format \(oldestReader)")
        case .damaged: report(.journal, place, "the header is not what was written")
        }
        return nil
    }

    private mutating func checkIdentity(_ headers: [FileHeader]) {
        guard let header = headers.last else { return }
        summary.epoch = header.epoch
        for stranger in headers where stranger.identity != header.identity {
            report(
                .journal, JournalPosition(file: stranger.file, position: 0),
                "belongs to another journal")
        }
    }

    /// From the newest file back, each must be there down to the start of replay: the last group
    /// names it, or the header of a file without groups.
    private mutating func checkSequence(_ headers: [FileHeader]) {
        guard var header = headers.last else { return }
        let start = replayFrom ?? header.replayFrom
        while header.file > start.file {
            guard let previous = headers.first(where: { $0.file == header.previous.file }) else {
                report(.journal, header.previous, "the file is missing")
                return
            }
            header = previous
        }
        if header.file != start.file {
            report(.journal, start, "the file is missing, where replay begins")
        }
    }

    private mutating func groups(
        of header: FileHeader, end: UInt64?, isNewest: Bool
    ) throws(FileError) {
        let handle = try fileSystem.open(JournalName.journal(header.file))
        let size = try handle.size()
        if size < Int(header.fileBytes) {
            report(
                .journal, JournalPosition(file: header.file, position: UInt64(size)),
                "the file has been cut off here: it was made with \(header.fileBytes) bytes")
        }
        var reader = try GroupReader(handle, header: header, readAhead: Self.readAhead)
        var position = UInt64(FileHeader.size)
        var sequence = header.sequence
        var chain: UInt32? = header.chain
        while position < end ?? UInt64.max {
            let place = JournalPosition(file: header.file, position: position)
            guard let group = try reader.group(at: position) else {
                let beyond = try reader.groupBeyond(position, sequence: sequence)
                guard let beyond, beyond.header.place.position < end ?? UInt64.max else {
                    if end != nil || position < header.attestedEnd {
                        report(.journal, place, "the group is not what was written")
                    } else if try reader.hasBegun(at: position) {
                        torn(place)
                    }
                    return
                }
                report(
                    .journal, place,
                    "the group is not what was written, while a later one at "
                        + "\(beyond.header.place) is")
                position = beyond.header.place.position
                sequence = beyond.header.sequence - 1
                chain = nil
                continue
            }
            if group.header.sequence != sequence + 1
                || chain.map({ $0 != group.header.chain }) ?? false
            {
                report(.journal, place, "the group does not continue the one before it")
            }
            let mayBeTorn = end == nil && group.header.end.position > header.attestedEnd
            if mayBeTorn, try !reader.isWhole(group),
                try reader.groupBeyond(position, sequence: group.header.sequence) == nil
            {
                torn(place)
                return
            }
            try entries(of: group, &reader)
            sequence = group.header.sequence
            chain = group.header.checksum
            position = group.header.end.position
        }
    }

    private mutating func entries(
        of group: FoundGroup, _ reader: inout GroupReader
    ) throws(FileError) {
        summary.groups += 1
        replayFrom = group.header.replayFrom
        summary.bytes += UInt64(group.header.length)
        summary.lastTime = group.header.time
        visit(.group(group.header))
        guard let bodies = try reader.bodies(of: group) else {
            report(.journal, group.header.place, "the group is cut off")
            return
        }
        var position = group.header.place.position + UInt64(group.header.bodiesStart)
        for (row, body) in zip(group.rows, bodies) {
            let isSound = CRC32C.checksum(body) == row.checksum
            summary.entries += 1
            if row.kind == .batch {
                summary.batches += 1
                summary.offsets &+= UInt64(row.count)
            }
            visit(
                .entry(
                    JournalEntry(
                        kind: row.kind, topic: row.topic, baseOffset: row.baseOffset,
                        count: row.count, body: body),
                    position: position, isSound: isSound))
            if !isSound {
                let place = JournalPosition(file: group.header.place.file, position: position)
                if row.kind == .batch {
                    report(.topic(row.topic), place, "the batch is not what was written")
                } else {
                    report(.journal, place, "the \(row.kind) entry is not what was written")
                }
            }
            position += UInt64(row.length)
        }
    }

    private mutating func torn(_ place: JournalPosition) {
        summary.unfinished = place
        visit(.unfinished(place))
    }

    private mutating func report(
        _ fences: InspectedDamage.Fences, _ place: JournalPosition, _ what: String
    ) {
        report(fences, FilePlace(place), what)
    }

    mutating func report(
        _ fences: InspectedDamage.Fences, _ place: FilePlace, _ what: String
    ) {
        let damage = InspectedDamage(fences: fences, place: place, what: what)
        if summary.damage.count < 1_000 { summary.damage.append(damage) }
        summary.damageCount += 1
        visit(.damage(damage))
    }
}

/// One thing found in a journal's directory.
package enum InspectedItem: Sendable {
    case file(FileHeader, isNewest: Bool)
    case group(GroupHeader)
    /// `position` of the body in the file of the group before it.
    case entry(JournalEntry, position: UInt64, isSound: Bool)
    case damage(InspectedDamage)
    /// A segment; its batches follow as entries.
    case segment(SegmentHeader)
    /// What stands in history files.
    case history(HistoryReader.Item)
    /// A write that did not finish, and that opening the journal will cut off.
    case unfinished(JournalPosition)
}

/// Bytes that are not what was written.
package struct InspectedDamage: Hashable, Sendable {
    package enum Fences: Hashable, Sendable {
        /// The journal does not open.
        case journal
        /// The topic cannot be read there; all else goes on.
        case topic(TopicID)
        /// What became of messages is not known; everything else goes on.
        case history
    }
    package var fences: Fences
    package var place: FilePlace
    package var what: String
}

/// A byte of a file.
package struct FilePlace: Hashable, Sendable, CustomStringConvertible {
    package var name: String
    package var position: UInt64

    package init(name: String, position: UInt64) {
        self.name = name
        self.position = position
    }

    init(_ place: JournalPosition) {
        self.init(name: JournalName.journal(place.file), position: place.position)
    }

    package var description: String { "\(name):\(position)" }
}

/// The totals.
package struct InspectionSummary: Hashable, Sendable {
    package var files = 0
    package var spares = 0
    package var segments = 0
    package var historyFiles = 0
    /// Entries in history files.
    package var historyEntries: UInt64 = 0
    package var groups: UInt64 = 0
    package var entries: UInt64 = 0
    /// Batches in journal files and segments; one that is in both counts twice.
    package var batches: UInt64 = 0
    /// Offsets that the batches occupy.
    package var offsets: UInt64 = 0
    /// Bytes of groups.
    package var bytes: UInt64 = 0
    package var epoch: UInt32 = 0
    package var lastTime: Now?
    /// Files of a format that this release may not open.
    package var newerFiles = 0
    package var unfinished: JournalPosition?
    /// The first 1,000.
    package var damage: [InspectedDamage] = []
    package var damageCount: UInt64 = 0
}
