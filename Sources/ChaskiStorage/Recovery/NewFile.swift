import ChaskiModel

/// The file that an opening journal begins: it carries the raised epoch and, anew, the last group,
/// which may stand in the page cache only.
struct NewFile {
    let header: FileHeader
    /// The last group at its new place; nil in an empty journal.
    let copied: FoundGroup?
    /// Its bytes.
    let content: [UInt8]
    /// The newest file so far holds nothing that the new one does not.
    let replacesNewest: Bool

    init(
        survey: Survey, tail: Tail?, epoch: UInt32, clockOffset: Int64,
        configuration: JournalConfiguration, clock: ClockReading, newIdentity: UInt128,
        fileSystem: any FileSystem
    ) throws(Failure) {
        let id = (tail?.newest.file ?? 0) + 1
        let identity = tail?.newest.identity ?? newIdentity
        let begin = JournalPosition(file: id, position: UInt64(FileHeader.size))
        replacesNewest = tail?.isUnused ?? false
        var previous = JournalPosition.none
        var chain: UInt32 = 0
        var sequence: UInt64 = 0
        var replayFrom = begin
        if let tail {
            if tail.isUnused {
                previous = tail.newest.previous
                chain = tail.newest.chain
                sequence = tail.newest.sequence
            } else if let last = tail.last {
                previous = last.header.place
                chain = last.header.chain
                sequence = last.header.sequence - 1
            }
            replayFrom = tail.last?.header.replayFrom ?? tail.newest.replayFrom
            let replaced = tail.isUnused && replayFrom.file == tail.newest.file
            if replaced || replayFrom == previous { replayFrom = begin }
        }
        var content: [UInt8] = []
        var copied: FoundGroup?
        if let last = tail?.last {
            var group = last
            content = try Self.read(last, tail?.newest, fileSystem)
            group.header.place = begin
            group.header.epoch = epoch
            group.header.durable = previous == .none ? begin : previous
            group.header.replayFrom = replayFrom
            precondition(group.header.chain == chain, "the copy continues the same chain")
            group.header.seal(&content, salt: FileHeader.salt(identity))
            copied = group
        }
        self.copied = copied
        self.content = content
        let end = FileHeader.size + content.count
        header = FileHeader(
            file: id, identity: identity,
            fileBytes: UInt64(max(configuration.fileBytes, end)), previous: previous,
            chain: chain, epoch: epoch, sequence: sequence, attestedEnd: UInt64(end),
            replayFrom: replayFrom, bootID: clock.bootID, clockOffset: clockOffset,
            lastTime: copied?.header.time ?? tail?.newest.lastTime ?? Now(clock: 0, wall: 0))
    }

    private static func read(
        _ group: FoundGroup, _ header: FileHeader?, _ fileSystem: any FileSystem
    ) throws(Failure) -> [UInt8] {
        let place = group.header.place
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try fileSystem.open(JournalName.journal(place.file))
                .read(at: Int(place.position), count: Int(group.header.length))
        } catch {
            throw Failure.storage(error, in: fileSystem.label)
        }
        guard bytes.count == Int(group.header.length) else {
            throw Failure.damagedJournal(fileSystem.label, "the group at \(place) is cut off")
        }
        return bytes
    }
}
