import ChaskiModel

/// A history file that is there.
struct HistoryFile: Hashable, Sendable {
    var serial: UInt64
    /// Bytes of it.
    var bytes: UInt64
    /// The broker clock when it was begun; nil where its header cannot be read.
    var begun: Int64?
}

/// Appends to history files, and says which of them are too old or too many.
///
/// History is worth less than messages: what fails here is counted, and nothing waits for it.
struct HistoryWriter: Sendable {
    /// The file that is appended to.
    private struct Open: Sendable {
        var file: any File
        var serial: UInt64
        var position: UInt64
        var chain: UInt32
        /// It has its name, or gets it with the next maintenance.
        var isNamed: Bool
    }

    private let fileSystem: any FileSystem
    private let configuration: JournalConfiguration
    private let identity: UInt128
    private let salt: UInt32
    /// Ascending; the open one is the last.
    private(set) var files: [HistoryFile]
    private var nextSerial: UInt64
    private var open: Open?
    /// The block being gathered.
    private var block: HistoryBlock?
    private var content: [UInt8] = []
    private var isDirty = false
    private var lastPrune: Int64?
    /// Bytes that history may take, as far as is known.
    private var byteLimit: UInt64
    private(set) var figures = UpkeepFigures()
    private(set) var warnings: [String] = []
    private(set) var removals: [String] = []

    /// Content at which a block is written.
    private static let blockBytes = 256 << 10
    /// A file is followed by the next one at this size,
    private static let fileBytes: UInt64 = 16 << 20
    /// and after this part of the time that history is kept.
    private static let filesPerAge: Int64 = 14
    /// or of the bytes.
    private static let filesPerLimit: UInt64 = 8
    private static let pruneNanos: Int64 = 60_000_000_000
    /// Entries above this are not kept.
    private static let entryLimit = 16 << 20

    init(
        fileSystem: any FileSystem, configuration: JournalConfiguration, identity: UInt128,
        files: [HistoryFile], nextSerial: UInt64
    ) {
        self.fileSystem = fileSystem
        self.configuration = configuration
        self.identity = identity
        salt = FileHeader.salt(identity)
        self.files = files
        self.nextSerial = nextSerial
        byteLimit = configuration.historyBytes > 0 ? configuration.historyBytes : UInt64.max
    }

    var isEnabled: Bool { configuration.historyNanos > 0 }

    /// Adds entries of a group of journal file `file`.
    mutating func append(_ group: HistoryGroup, of file: UInt64, now: Now) {
        guard isEnabled else { return }
        var piece = group
        piece.entries = []
        var bytes = HistoryGroup.headerSize
        for (index, entry) in group.entries.enumerated() {
            guard entry.count <= Self.entryLimit else {
                failed("an entry of group \(group.sequence) has \(entry.count) bytes")
                continue
            }
            if piece.entries.isEmpty { piece.firstEntry = group.firstEntry + UInt32(index) }
            piece.entries.append(entry)
            bytes += 4 + entry.count
            if bytes >= Self.blockBytes {
                gather(piece, of: file, now)
                piece.entries = []
                bytes = HistoryGroup.headerSize
            }
        }
        if !piece.entries.isEmpty { gather(piece, of: file, now) }
    }

    private mutating func gather(_ group: HistoryGroup, of file: UInt64, _ now: Now) {
        if let block, block.file != file { writeBlock(now) }
        var current =
            block
            ?? HistoryBlock(
                chain: 0, serial: 0, position: 0, firstGroup: group.sequence,
                lastGroup: group.sequence, firstTime: group.time, lastTime: group.time,
                file: file, groups: 0, entries: 0)
        current.lastGroup = max(current.lastGroup, group.sequence)
        current.lastTime = group.time
        current.groups += 1
        current.entries += UInt32(group.entries.count)
        block = current
        group.append(to: &content)
        if content.count >= Self.blockBytes { writeBlock(now) }
    }

    /// What was appended is on disk when this returns, unless it was counted as lost.
    mutating func finish(now: Now) {
        writeBlock(now)
        guard isDirty, let open else { return }
        isDirty = false
        do throws(FileError) {
            try open.file.sync()
        } catch {
            abandon(error)
        }
    }

    /// The file that wants its name, if any; it counts as named from now on.
    mutating func takeNaming() -> (partial: String, name: String)? {
        guard let current = open, !current.isNamed else { return nil }
        open?.isNamed = true
        return (
            JournalName.partialHistoryFile(current.serial), JournalName.historyFile(current.serial)
        )
    }

    /// What there is to report since the last time.
    mutating func takeReport() -> (
        figures: UpkeepFigures, warnings: [String], removals: [String]
    ) {
        defer {
            figures = UpkeepFigures()
            warnings = []
            removals = []
        }
        return (figures, warnings, removals)
    }

    // MARK: Writing

    private mutating func writeBlock(_ now: Now) {
        guard var block else { return }
        self.block = nil
        defer { content.removeAll(keepingCapacity: true) }
        do throws(FileError) {
            var target = try fileToWrite(now)
            block.inflated = UInt32(content.count)
            block.serial = target.serial
            block.position = target.position
            block.chain = target.chain
            let deflated = Deflater(level: 1).deflate(
                content[...], maximumBytes: max(1, content.count * 7 / 8))
            block.isDeflated = deflated != nil
            let bytes = block.encoded((deflated ?? content)[...], salt: salt)
            // One block in doubt at most, the last.
            if isDirty { try target.file.sync() }
            try target.file.write(bytes.span.bytes, at: Int(target.position))
            isDirty = true
            target.position += UInt64(bytes.count)
            target.chain = block.checksum
            open = target
            files[files.count - 1].bytes = target.position
            figures.historyEntries &+= UInt64(block.entries)
            figures.historyBytes &+= UInt64(bytes.count)
        } catch {
            abandon(error)
        }
    }

    /// The open file, or a new one where it is full or there is none.
    private mutating func fileToWrite(_ now: Now) throws(FileError) -> Open {
        if let open, open.position < min(Self.fileBytes, byteLimit / Self.filesPerLimit),
            let begun = files.last?.begun,
            now.clock.saturatingSubtract(begun) < configuration.historyNanos / Self.filesPerAge
        {
            return open
        }
        if let full = open {
            // A file that has no name yet cannot be followed: both would want one at once.
            guard full.isNamed else { return full }
            open = nil
            if isDirty { try full.file.sync() }
            isDirty = false
        }
        let serial = nextSerial
        nextSerial += 1
        let file = try fileSystem.create(JournalName.partialHistoryFile(serial), allocating: 0)
        let header = HistoryHeader(serial: serial, identity: identity, begun: now)
        do throws(FileError) {
            try file.write(header.encoded().span.bytes, at: 0)
        } catch {
            removals.append(JournalName.partialHistoryFile(serial))
            throw error
        }
        let new = Open(
            file: file, serial: serial, position: UInt64(HistoryHeader.size), chain: 0,
            isNamed: false)
        open = new
        files.append(
            HistoryFile(
                serial: serial, bytes: UInt64(HistoryHeader.size), begun: now.clock))
        return new
    }

    /// Nothing more goes to the open file: what it holds of the last append is unknown.
    private mutating func abandon(_ error: FileError) {
        if let open, !open.isNamed {
            removals.append(JournalName.partialHistoryFile(open.serial))
            files.removeAll { $0.serial == open.serial }
        }
        open = nil
        isDirty = false
        failed(error.message)
    }

    private mutating func failed(_ what: String) {
        figures.historyFailures &+= 1
        if warnings.count < 10 { warnings.append("history is not kept: \(what)") }
    }

    /// Something else than a write went wrong with history, for the report.
    mutating func lost(_ what: String) { if isEnabled { failed(what) } }

    // MARK: The limit

    /// Lets go of the oldest files past the limits; about once a minute, or when `isForced`.
    mutating func prune(now: Now, isForced: Bool) {
        if let lastPrune, !isForced, now.clock.saturatingSubtract(lastPrune) < Self.pruneNanos {
            return
        }
        lastPrune = now.clock
        if configuration.historyBytes == 0, let space = try? fileSystem.space() {
            byteLimit = space.totalBytes / 20
        }
        var total = files.reduce(0) { $0 + $1.bytes }
        // The newest file stays: it is being written.
        while files.count > 1 {
            // What the oldest holds was over when the next one was begun.
            let age = files[1].begun.map { now.clock.saturatingSubtract($0) } ?? 0
            guard total > byteLimit || age > configuration.historyNanos else { break }
            let oldest = files.removeFirst()
            total -= oldest.bytes
            removals.append(JournalName.historyFile(oldest.serial))
        }
    }
}
