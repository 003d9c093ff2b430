import ChaskiModel

/// A file that takes no more groups.
struct ClosedFile: Hashable, Sendable {
    var file: UInt64
    var bytes: UInt64
}

/// The writing half of a journal.
struct JournalWriter: Sendable {
    /// What stays the same while the journal is open.
    struct Life: Sendable {
        let fileSystem: any FileSystem
        let configuration: JournalConfiguration
        let identity: UInt128
        let epoch: UInt32
        let bootID: UInt128
        let clockOffset: Int64
        let lock: any FileLock
        let salt: UInt32
    }

    /// The file that groups are appended to.
    struct Head: Sendable {
        var file: any File
        var id: UInt64
        var bytes: UInt64
        /// Where the next group goes; all before it is durable.
        var position: UInt64
    }

    let life: Life
    var head: Head
    /// Checksum, number and time of the last group.
    var chain: UInt32
    var sequence: UInt64
    var lastTime: Now
    var replayFrom: JournalPosition
    /// The checkpoint cycle that has begun, and where.
    private var cycle: (number: UInt64, begin: JournalPosition)?
    var spares: SpareFiles
    /// Names the open file, durably.
    private var mark: NewestMark
    /// Closed files, ascending; those that the index never knew are `obsolete`.
    var closed: [ClosedFile]
    var obsolete: [UInt64] = []
    /// Files that belong to no journal file any more.
    var orphans: [String] = []
    /// Batches of the open file, for its sidecar.
    private var locations: [BatchLocation]
    /// Closed files that want a sidecar.
    var unindexed: [FileIndex] = []
    /// Set once, for good.
    private(set) var failure: Failure?
    /// Less than a block of zeros is ever needed behind the bodies.
    private static let padding = [UInt8](repeating: 0, count: Layout.block)
    /// One group, reused.
    private var buffer: [UInt8] = []

    init(
        life: Life, head: Head, chain: UInt32, sequence: UInt64, lastTime: Now,
        replayFrom: JournalPosition, spares: SpareFiles, mark: NewestMark, closed: [ClosedFile],
        locations: [BatchLocation]
    ) {
        precondition(mark.file == head.id, "the open file is marked before it is used")
        self.life = life
        self.head = head
        self.chain = chain
        self.sequence = sequence
        self.lastTime = lastTime
        self.replayFrom = replayFrom
        self.spares = spares
        self.mark = mark
        self.closed = closed
        self.locations = locations
    }

    var space: SpaceState { spares.state }

    /// Ends the journal's life in this process.
    mutating func fail(_ error: FileError) -> Failure {
        let failure = self.failure ?? Failure.storage(error, in: life.fileSystem.label)
        self.failure = failure
        return failure
    }

    mutating func close() {
        life.lock.unlock()
        if failure == nil {
            failure = Failure(.unavailable, .journalFailed, "The journal is closed.")
        }
    }

    // MARK: Commit

    mutating func commit(_ group: JournalGroup) -> CommitOutcome {
        precondition(!group.entries.isEmpty, "a group holds at least one entry")
        if let failure { return .failed(failure) }
        guard let length = Self.length(of: group), length <= life.configuration.groupCapacity else {
            return .refused(
                Failure(
                    .invalidArgument, .tooLarge,
                    "A group of \(group.entries.count) entries is larger than a journal file."))
        }
        if let refusal = spares.refusal(of: group, length: length, room: room, life: life) {
            return .refused(refusal)
        }
        do throws(FileError) {
            if length > room { try rotate() }
            return .durable(try append(group, length: length))
        } catch {
            return .failed(fail(error))
        }
    }

    /// Bytes left in the open file.
    var room: Int { Int(head.bytes - head.position) }

    /// Bytes of the group on disk; nil where it could not be written in this format.
    private static func length(of group: JournalGroup) -> Int? {
        guard group.entries.count <= 1 << 20 else { return nil }
        var bytes = Layout.groupHeader + group.entries.count * Layout.entryRow
        for entry in group.entries {
            let (sum, overflow) = bytes.addingReportingOverflow(entry.body.count)
            guard !overflow, sum < 1 << 31 else { return nil }
            bytes = sum
        }
        return Layout.padded(bytes)
    }

    private mutating func append(
        _ group: JournalGroup, length: Int
    ) throws(FileError) -> CommitReceipt {
        let place = JournalPosition(file: head.id, position: head.position)
        let (starts, ends) = checkpointMarks(group, at: place)
        var header = GroupHeader(
            length: UInt32(length), entryCount: UInt32(group.entries.count),
            sequence: sequence + 1, place: place, chain: chain, epoch: life.epoch,
            durable: place, replayFrom: ends, time: group.time,
            beginsCheckpoint: group.beginsCheckpoint ?? 0,
            endsCheckpoint: group.endsCheckpoint ?? 0)
        let batches = encode(group, &header)
        precondition(head.position + UInt64(length) <= head.bytes, "the group fits the file")
        try head.file.write(buffer.span.bytes, at: Int(head.position))
        try head.file.sync()
        head.position += UInt64(length)
        sequence += 1
        chain = header.checksum
        lastTime = group.time
        replayFrom = ends
        cycle = starts
        locations.append(contentsOf: batches.locations)
        return CommitReceipt(
            file: head.id, fileEnd: head.position, sequence: sequence,
            locations: batches.locations, bodies: batches.bodies, replayFrom: replayFrom,
            bytes: length, space: space)
    }

    /// The cycle in progress and the start of replay once `group` is durable.
    private func checkpointMarks(
        _ group: JournalGroup, at place: JournalPosition
    ) -> (cycle: (number: UInt64, begin: JournalPosition)?, replayFrom: JournalPosition) {
        var cycle = cycle
        var replayFrom = replayFrom
        if let begins = group.beginsCheckpoint { cycle = (begins, place) }
        if let ends = group.endsCheckpoint, let begun = cycle, begun.number == ends {
            replayFrom = begun.begin
            cycle = nil
        }
        return (cycle, replayFrom)
    }

    /// Fills the buffer with the group as it goes to disk.
    private mutating func encode(
        _ group: JournalGroup, _ header: inout GroupHeader
    ) -> (locations: [BatchLocation], bodies: [Bytes]) {
        buffer.removeAll(keepingCapacity: true)
        buffer.reserveCapacity(Int(header.length))
        buffer += [UInt8](repeating: 0, count: header.bodiesStart)
        var locations: [BatchLocation] = []
        var bodies: [Bytes] = []
        for (index, entry) in group.entries.enumerated() {
            let checksum = CRC32C.checksum(entry.body)
            let row = EntryRow(entry, checksum: checksum)
            row.write(to: &buffer, at: Layout.groupHeader + index * Layout.entryRow)
            if entry.kind == .batch {
                precondition(row.isPossible, "a batch occupies at least one offset")
                locations.append(
                    BatchLocation(
                        topic: entry.topic, baseOffset: entry.baseOffset, count: entry.count,
                        length: row.length, position: header.place.position + UInt64(buffer.count),
                        checksum: checksum))
                bodies.append(entry.body)
            }
            buffer.append(contentsOf: entry.body)
        }
        buffer += Self.padding.prefix(Int(header.length) - buffer.count)
        header.seal(&buffer, salt: life.salt)
        return (locations, bodies)
    }

    // MARK: Files

    /// Closes the open file and begins the next, durable in header, name and mark before it is
    /// used.
    private mutating func rotate() throws(FileError) {
        let end = JournalPosition(file: head.id, position: head.position)
        let header = FileHeader(
            file: head.id + 1, identity: life.identity,
            fileBytes: UInt64(life.configuration.fileBytes), previous: end, chain: chain,
            epoch: life.epoch, sequence: sequence, attestedEnd: UInt64(FileHeader.size),
            replayFrom: replayFrom, bootID: life.bootID, clockOffset: life.clockOffset,
            lastTime: lastTime)
        let file = try spares.begin(header, followedBy: [], in: life.fileSystem)
        try mark.advance(to: header.file, in: life.fileSystem)
        unindexed.append(
            FileIndex(file: head.id, end: head.position, journalOrder: locations))
        closed.append(ClosedFile(file: head.id, bytes: head.bytes))
        locations = []
        head = Head(
            file: file, id: header.file, bytes: header.fileBytes,
            position: UInt64(FileHeader.size))
    }
}
