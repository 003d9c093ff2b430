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
    /// Sidecars without a journal file.
    var orphans: [String] = []
    /// Which file must be there.
    var mark = NewestMark(files: [])

    init(_ fileSystem: any FileSystem, spareBytes: Int) throws(Failure) {
        let label = fileSystem.label
        var logs: [UInt64] = []
        var marks: [UInt64] = []
        var firstDamage: Failure?
        do throws(FileError) {
            for name in try fileSystem.list() {
                switch JournalName(name) {
                case .log(let id): logs.append(id)
                case .newest(let id): marks.append(id)
                case .index(let id): sidecars.insert(id)
                case .spare(let serial):
                    nextSerial = max(nextSerial, serial == UInt64.max ? serial : serial + 1)
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
                throw Failure(
                    .failedPrecondition, .unsupportedVersion,
                    "\(name) in \(label) has format \(version), which needs a release that reads "
                        + "format \(oldestReader); this one reads up to \(Layout.version). "
                        + "Nothing was changed. Start a newer release.")
            case .valid, .damaged:
                // A newer format anywhere says more than damage: look at all headers first.
                firstDamage =
                    firstDamage
                    ?? Failure.damagedJournal(
                        label, "the header of \(name) is not what was written")
            }
        }
        if let firstDamage { throw firstDamage }
        if let newest = headers.last,
            let stranger = headers.first(where: { $0.identity != newest.identity })
        {
            throw Failure.damagedJournal(
                label, "\(JournalName.journal(stranger.file)) belongs to another journal")
        }
        mark = NewestMark(files: marks)
        if let marked = mark.file, marked > headers.last?.file ?? 0 {
            throw Failure.lostNewestFile(marked, in: label)
        }
        orphans = sidecars.subtracting(logs).sorted().map(JournalName.sidecar)
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
