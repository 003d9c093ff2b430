import ChaskiModel

/// Walks the groups from the start of replay to the end of the journal, each checked against the
/// one before it.
struct Replay {
    let survey: Survey
    let tail: Tail
    let fileSystem: any FileSystem
    let readAhead: Int
    /// What was found in each file that was walked, ascending.
    private(set) var indexes: [FileIndex] = []
    private(set) var groups: UInt64 = 0
    private(set) var bytes: UInt64 = 0
    private(set) var damage: [BatchDamage] = []

    private static let damageNamed = 1_000

    init(survey: Survey, tail: Tail, fileSystem: any FileSystem, readAhead: Int) {
        self.survey = survey
        self.tail = tail
        self.fileSystem = fileSystem
        self.readAhead = readAhead
    }

    /// Where replay begins.
    var start: JournalPosition { tail.last?.header.replayFrom ?? tail.newest.replayFrom }

    /// The files from the one where replay begins to the newest, as each names the one before it.
    func files() throws(Failure) -> [FileHeader] {
        var files = [tail.newest]
        var oldest = tail.newest
        while oldest.file > start.file {
            guard let previous = survey.header(of: oldest.previous.file) else {
                throw damaged(
                    "\(JournalName.journal(oldest.previous.file)) is missing, which "
                        + "\(JournalName.journal(oldest.file)) continues")
            }
            files.append(previous)
            oldest = previous
        }
        guard oldest.file == start.file else {
            throw damaged("\(JournalName.journal(start.file)) is missing, where replay begins")
        }
        return files.reversed()
    }

    func damaged(_ what: String) -> Failure { .damagedJournal(fileSystem.label, what) }

    /// Gives every entry from the start on to `visit`.
    mutating func run(_ visit: (RecoveredEntry) -> Void) throws(Failure) {
        let files = try files()
        for (index, header) in files.enumerated() {
            let next = index + 1 < files.count ? files[index + 1] : nil
            let end = next?.previous.position ?? tail.end.position
            let walked: Result<[BatchLocation], Failure>
            do throws(FileError) {
                walked = try walk(header, to: end, next: next, visit)
            } catch {
                throw Failure.storage(error, in: fileSystem.label)
            }
            indexes.append(
                FileIndex(file: header.file, end: end, journalOrder: try walked.get()))
        }
    }

    private mutating func walk(
        _ header: FileHeader, to end: UInt64, next: FileHeader?, _ visit: (RecoveredEntry) -> Void
    ) throws(FileError) -> Result<[BatchLocation], Failure> {
        let handle = try fileSystem.open(JournalName.journal(header.file))
        var reader = try GroupReader(handle, header: header, readAhead: readAhead)
        var locations: [BatchLocation] = []
        var position = UInt64(FileHeader.size)
        var chain = header.chain
        var sequence = header.sequence
        let replayed = header.file == start.file ? start.position : 0
        var startSeen = header.file != start.file || start.position == end
        while position < end {
            startSeen = startSeen || position == replayed
            guard let group = try reader.group(at: position), group.header.chain == chain,
                group.header.sequence == sequence + 1
            else {
                let place = JournalPosition(file: header.file, position: position)
                return .failure(damaged("the group at \(place) is not what was written"))
            }
            chain = group.header.checksum
            sequence = group.header.sequence
            locations.append(contentsOf: group.locations)
            if position >= replayed, let failure = try replay(group, &reader, visit) {
                return .failure(failure)
            }
            position = group.header.end.position
        }
        guard position == end, startSeen,
            next.map({ $0.chain == chain && $0.sequence == sequence }) ?? true
        else {
            let place = JournalPosition(file: header.file, position: end)
            return .failure(damaged("the groups before \(place) are not those that were written"))
        }
        return .success(locations)
    }

    private mutating func replay(
        _ group: FoundGroup, _ reader: inout GroupReader, _ visit: (RecoveredEntry) -> Void
    ) throws(FileError) -> Failure? {
        let place = group.header.place
        guard let bodies = try reader.readableBodies(of: group) else {
            return damaged("the group at \(place) is cut off")
        }
        let locations = group.locations
        var nextBatch = 0
        groups += 1
        bytes += UInt64(group.header.length)
        for (row, body) in zip(group.rows, bodies) {
            var failure: Failure?
            if body.count != Int(row.length) || CRC32C.checksum(body) != row.checksum {
                guard row.kind == .batch else {
                    return damaged("a \(row.kind) entry of the group at \(place)")
                }
                let location = locations[nextBatch]
                failure = Failure.damagedBatch(
                    location, file: .journal(place.file), "damaged bytes")
                if let failure, damage.count < Self.damageNamed {
                    damage.append(
                        BatchDamage(file: place.file, location: location, failure: failure))
                }
            }
            if row.kind == .batch { nextBatch += 1 }
            let entry = JournalEntry(
                kind: row.kind, topic: row.topic, baseOffset: row.baseOffset, count: row.count,
                body: body)
            visit(
                RecoveredEntry(
                    entry: entry, time: group.header.time, group: place, damage: failure))
        }
        return nil
    }
}
