import ChaskiModel

/// Opens a journal: everything is read and checked before anything is written.
struct Recovery {
    let fileSystem: any FileSystem
    let configuration: JournalConfiguration
    let clock: ClockReading
    let newIdentity: UInt128
    let lock: any FileLock
    private var report = RecoveryReport()
    /// Indexes of the files that stay, ascending, and whether each has a sidecar.
    private var indexes: [(index: FileIndex, hasSidecar: Bool)] = []

    private static let readAhead = 1 << 20

    init(
        fileSystem: any FileSystem, configuration: JournalConfiguration, clock: ClockReading,
        newIdentity: UInt128
    ) throws(Failure) {
        self.fileSystem = fileSystem
        self.configuration = configuration
        self.clock = clock
        self.newIdentity = newIdentity
        do throws(FileError) {
            lock = try fileSystem.lock(JournalName.lock)
        } catch {
            throw Failure.storage(error, in: fileSystem.label)
        }
    }

    mutating func run(_ visit: (RecoveredEntry) -> Void) throws(Failure) -> Journal {
        let survey = try Survey(fileSystem, spareBytes: configuration.fileBytes)
        var tail: Tail?
        if let newest = survey.headers.last {
            let found = try Tail.find(newest, in: fileSystem, readAhead: Self.readAhead)
            tail = found
            var replay = Replay(
                survey: survey, tail: found, fileSystem: fileSystem, readAhead: Self.readAhead)
            try replay.run(visit)
            try keep(replay, survey)
        }
        var highest: UInt32 = 0
        for header in survey.headers { highest = max(highest, header.epoch) }
        guard highest < UInt32.max else {
            throw Failure.damagedJournal(fileSystem.label, "its epoch cannot be raised any more")
        }
        report.epoch = highest + 1
        let start = try NewFile(
            survey: survey, tail: tail, epoch: report.epoch, clockOffset: setClock(tail),
            configuration: configuration, clock: clock, newIdentity: newIdentity,
            fileSystem: fileSystem)
        report.rewroteLastGroup = start.copied != nil
        return try begin(start, survey, tail)
    }

    /// Keeps what replay learned about the files that it walked, and looks at those before them.
    private mutating func keep(_ replay: Replay, _ survey: Survey) throws(Failure) {
        report.replayedGroups = replay.groups
        report.replayedBytes = replay.bytes
        report.damage = replay.damage
        report.cutTail = replay.tail.isCut ? replay.tail.end : nil
        for header in survey.headers where header.file < replay.start.file {
            indexes.append(try older(header, survey))
        }
        for index in replay.indexes {
            let sidecar =
                survey.sidecars.contains(index.file)
                ? Sidecar.read(
                    index.file, salt: replay.tail.newest.salt, withLocations: false,
                    from: fileSystem) : nil
            indexes.append((index, sidecar?.end == index.end))
        }
    }

    /// The index of a file before the start of replay: the head of its sidecar, or the file.
    private mutating func older(
        _ header: FileHeader, _ survey: Survey
    ) throws(Failure) -> (index: FileIndex, hasSidecar: Bool) {
        if survey.sidecars.contains(header.file),
            let index = Sidecar.read(
                header.file, salt: header.salt, withLocations: false, from: fileSystem)
        {
            return (index, true)
        }
        report.scannedFiles.append(header.file)
        let outcome: FileScan.Outcome
        do throws(FileError) {
            outcome = try FileScan.index(
                header, end: survey.end(of: header.file), in: fileSystem, readAhead: 64 << 10)
        } catch {
            throw Failure.storage(error, in: fileSystem.label)
        }
        switch outcome {
        case .index(let index): return (index, false)
        case .damaged(let place):
            throw Failure.damagedJournal(
                fileSystem.label, "the group at \(place) is not what was written")
        }
    }

    /// Continues the broker clock: by the boot clock within one boot, else by the wall clock,
    /// never backwards.
    private mutating func setClock(_ tail: Tail?) -> Int64 {
        guard let tail else {
            report.clockOffset = clock.wallNanos.saturatingSubtract(clock.bootNanos)
            return report.clockOffset
        }
        let last = tail.last?.header.time ?? tail.newest.lastTime
        report.lastTime = last
        let sameBoot = tail.newest.bootID == clock.bootID && clock.bootID != 0
        if sameBoot {
            let least = last.clock.saturatingSubtract(clock.bootNanos)
            report.clockOffset = max(tail.newest.clockOffset, least)
        } else {
            let passed = max(0, clock.wallNanos.saturatingSubtract(last.wall))
            report.clockOffset = last.clock.saturatingAdd(passed)
                .saturatingSubtract(clock.bootNanos)
        }
        return report.clockOffset
    }

    /// Writes the new file and puts the journal together.
    private mutating func begin(
        _ start: NewFile, _ survey: Survey, _ tail: Tail?
    ) throws(Failure) -> Journal {
        let header = start.header
        var spares = SpareFiles(configuration: configuration, nextSerial: survey.nextSerial)
        for name in survey.spares { spares.add(existing: name) }
        var mark = survey.mark
        let file: any File
        do throws(FileError) {
            // A spare's name may be in the page cache only: after a power cut the file would bear
            // its old name again, as a journal file, with what is written to it now.
            try fileSystem.syncDirectory()
            file = try spares.begin(header, followedBy: start.content, in: fileSystem)
            try mark.advance(to: header.file, in: fileSystem)
            try spares.fill(to: spares.target(configuration), in: fileSystem)
        } catch {
            throw Failure.storage(error, in: fileSystem.label)
        }
        if start.replacesNewest || start.copied != nil { trimNewest(start) }
        let newIndex = FileIndex(
            file: header.file, end: header.attestedEnd,
            journalOrder: start.copied?.locations ?? [])
        let kept = Set(indexes.map(\.index.file))
        let life = JournalWriter.Life(
            fileSystem: fileSystem, configuration: configuration, identity: header.identity,
            epoch: header.epoch, bootID: clock.bootID, clockOffset: header.clockOffset,
            lock: lock, salt: header.salt)
        var writer = JournalWriter(
            life: life,
            head: .init(
                file: file, id: header.file, bytes: header.fileBytes,
                position: header.attestedEnd),
            chain: start.copied?.header.checksum ?? header.chain,
            sequence: start.copied?.header.sequence ?? header.sequence,
            lastTime: header.lastTime, replayFrom: header.replayFrom, spares: spares, mark: mark,
            closed: survey.headers.map { ClosedFile(file: $0.file, bytes: $0.fileBytes) },
            locations: newIndex.locations)
        writer.obsolete = survey.headers.map(\.file).filter { !kept.contains($0) }
        writer.orphans = survey.orphans + survey.uselessSpares
        writer.unindexed = indexes.filter { !$0.hasSidecar }.map(\.index)
        report.files = indexes.count + 1
        let history = HistoryWriter(
            fileSystem: fileSystem, configuration: configuration, identity: header.identity,
            files: survey.history, nextSerial: survey.nextHistory)
        let index = index(newIndex, header, survey)
        return Journal(
            recovery: report, index: JournalIndex(index), writer: writer,
            upkeep: Upkeep(fileSystem: fileSystem, history: history))
    }

    /// Where the batches are: in journal files, and, where they were moved, in segments.
    private mutating func index(
        _ newIndex: FileIndex, _ header: FileHeader, _ survey: Survey
    ) -> IndexState {
        var index = IndexState(configuration: configuration, identity: header.identity)
        let moved = MovedTopics(survey.segments)
        for (old, hasSidecar) in indexes {
            index.addClosed(
                old, bytes: survey.header(of: old.file)?.fileBytes ?? 0, hasSidecar: hasSidecar
            ) { moved.contains($0, in: old.file) }
        }
        index.addOpen(newIndex, bytes: header.fileBytes, replayFrom: header.replayFrom)
        index.add(survey.segments, nextSerial: survey.nextSegment)
        report.segments = survey.segments.count
        report.damagedSegments = survey.segments.filter { $0.header == nil }.map(\.id)
        return index
    }

    /// What the new file holds anew is no longer looked for in the file before it.
    private mutating func trimNewest(_ start: NewFile) {
        guard let newest = indexes.last?.index else { return }
        indexes.removeLast()
        if start.replacesNewest { return }
        let end = start.header.previous.position
        let kept = newest.locations.filter { $0.position < end }
        indexes.append(
            (FileIndex(file: newest.file, end: end, journalOrder: kept), false))
    }
}
