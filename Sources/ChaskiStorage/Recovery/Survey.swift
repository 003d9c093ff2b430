import ChaskiModel

/// What lies in a journal's directory: names, and the headers of its journal files.
struct Survey {
    /// Ascending by file.
    var headers: [FileHeader] = []
    /// Files that have a sidecar, whatever it is worth.
    var sidecars: Set<UInt64> = []
    /// Spares of the configured size, and other spares, which are of no use.
    var spares: [String] = []
    var uselessSpares: [String] = []
    /// Higher than any serial of a spare.
    var nextSerial: UInt64 = 1
    /// Files of no meaning: sidecars without a journal file, what was not finished, segments that
    /// others replace.
    var orphans: [String] = []
    /// Segments that hold what they were made for.
    var segments: [SegmentFile] = []
    /// Higher than any serial of a segment, finished or not.
    var nextSegment: UInt64 = 1
    /// History files, ascending, and a serial above them.
    var history: [HistoryFile] = []
    var nextHistory: UInt64 = 1
    /// Which file must be there.
    var mark = NewestMark(files: [])

    init(_ fileSystem: any FileSystem, spareBytes: Int) throws(Failure) {
        let label = fileSystem.label
        var logs: [UInt64] = []
        var marks: [UInt64] = []
        var firstDamage: Failure?
        var segmentIDs: [SegmentID] = []
        var histories: [UInt64] = []
        do throws(FileError) {
            for name in try fileSystem.list() {
                switch JournalName(name) {
                case .log(let id): logs.append(id)
                case .newest(let id): marks.append(id)
                case .index(let id): sidecars.insert(id)
                case .segment(let id): segmentIDs.append(id)
                case .history(let serial): histories.append(serial)
                case .partial(let serial):
                    nextSegment = max(nextSegment, Self.after(serial))
                    orphans.append(name)
                case .partialHistory(let serial):
                    nextHistory = max(nextHistory, Self.after(serial))
                    orphans.append(name)
                case .spare(let serial):
                    nextSerial = max(nextSerial, Self.after(serial))
                    let size = try fileSystem.open(name).size()
                    if size == spareBytes {
                        spares.append(name)
                    } else {
                        uselessSpares.append(name)
                    }
                case nil: continue
                }
            }
        } catch {
            throw Failure.storage(error, in: label)
        }
        for id in logs.sorted() {
            let name = JournalName.journal(id)
            let (reading, size) = try Self.header(of: name, in: fileSystem)
            switch reading {
            case .valid(let header) where header.file == id:
                headers.append(header)
                // The size was synced before the file got its name.
                if size < Int(header.fileBytes) {
                    firstDamage =
                        firstDamage ?? Failure.shortFile(header, bytes: size, in: label)
                }
            case .newer(let version, let oldestReader):
                throw Failure.newerFormat(
                    name, in: label, version: version, oldestReader: oldestReader,
                    reads: Layout.version)
            case .valid, .damaged:
                // A newer format anywhere says more than damage: look at all headers first.
                firstDamage =
                    firstDamage
                    ?? Failure.damagedJournal(
                        label, "the header of \(name) is not what was written")
            }
        }
        if let firstDamage { throw firstDamage }
        try checkIdentity(label)
        mark = NewestMark(files: marks)
        if let marked = mark.file, marked > headers.last?.file ?? 0 {
            throw Failure.lostNewestFile(marked, in: label)
        }
        orphans += sidecars.subtracting(logs).sorted().map(JournalName.sidecar)
        try survey(segmentIDs, fileSystem)
        surveyHistory(histories, fileSystem)
    }

    private func checkIdentity(_ label: String) throws(Failure) {
        if let newest = headers.last,
            let stranger = headers.first(where: { $0.identity != newest.identity })
        {
            throw Failure.damagedJournal(
                label, "\(JournalName.journal(stranger.file)) belongs to another journal")
        }
    }

    private static func after(_ serial: UInt64) -> UInt64 {
        serial == UInt64.max ? serial : serial + 1
    }

    /// Reads the headers of the segments. Damage in one touches its topic only.
    private mutating func survey(
        _ ids: [SegmentID], _ fileSystem: any FileSystem
    ) throws(Failure) {
        var found: [SegmentFile] = []
        for id in ids {
            let name = JournalName.segmentFile(id)
            let (reading, size): (SegmentHeader.Reading, Int)
            do throws(FileError) {
                (reading, size) = try SegmentTable.reading(of: try fileSystem.open(name))
            } catch {
                throw Failure.storage(error, in: fileSystem.label)
            }
            nextSegment = max(nextSegment, Self.after(id.serial))
            var file = SegmentFile(id: id, header: nil, bytes: UInt64(size))
            switch reading {
            case .valid(let header) where header.id == id:
                guard headers.last.map({ $0.identity == header.identity }) ?? true else {
                    throw Failure.damagedJournal(
                        fileSystem.label, "\(name) belongs to another journal")
                }
                file.header = header
            case .newer(let version, let oldestReader):
                throw Failure.newerFormat(
                    name, in: fileSystem.label, version: version, oldestReader: oldestReader,
                    reads: SegmentHeader.version)
            case .valid, .damaged: break
            }
            found.append(file)
        }
        let sorted = SegmentFile.sort(found)
        segments = sorted.current
        orphans += sorted.replaced.map { JournalName.segmentFile($0.id) }
    }

    /// Looks at the headers of history files. Nothing of them keeps a journal from opening.
    private mutating func surveyHistory(_ serials: [UInt64], _ fileSystem: any FileSystem) {
        for serial in serials.sorted() {
            nextHistory = max(nextHistory, Self.after(serial))
            var file = HistoryFile(serial: serial, bytes: 0, begun: nil)
            if let handle = try? fileSystem.open(JournalName.historyFile(serial)) {
                file.bytes = UInt64((try? handle.size()) ?? 0)
                if let start = try? handle.read(at: 0, count: HistoryHeader.size),
                    case .valid(let header) = HistoryHeader.read(start[...])
                {
                    file.begun = header.begun.clock
                }
            }
            history.append(file)
        }
    }

    /// The header of a journal file, and how many bytes the file has.
    private static func header(
        of name: String, in fileSystem: any FileSystem
    ) throws(Failure) -> (FileHeader.Reading, size: Int) {
        do throws(FileError) {
            let file = try fileSystem.open(name)
            let start = try file.read(at: 0, count: FileHeader.size)
            return (FileHeader.read(start[...]), try file.size())
        } catch {
            throw Failure.storage(error, in: fileSystem.label)
        }
    }

    func header(of file: UInt64) -> FileHeader? {
        var low = 0
        var high = headers.count
        while low < high {
            let middle = (low + high) / 2
            if headers[middle].file < file { low = middle + 1 } else { high = middle }
        }
        return low < headers.count && headers[low].file == file ? headers[low] : nil
    }

    /// Where the groups of `file` end, as a later file says; nil when none follows it.
    func end(of file: UInt64) -> UInt64? {
        headers.last { $0.previous.file == file }?.previous.position
    }
}
