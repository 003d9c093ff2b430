import ChaskiModel

/// The end of the journal: the last group, which alone may not be durable, and what of an
/// unfinished write lies behind it.
struct Tail {
    var newest: FileHeader
    /// The last whole group in the newest file; nil when it holds none.
    var last: FoundGroup?
    /// Where whole groups end.
    var end: JournalPosition
    /// Whether an unfinished write was seen at `end`.
    var isCut = false
    /// The newest file holds no group but what was durable before it got its name, so that a new
    /// file may take its place.
    var isUnused: Bool {
        end.position <= newest.attestedEnd
            && last.map { $0.header.place.position == UInt64(FileHeader.size) } ?? true
    }

    /// Reads the newest file to its end. A group that is not sound ends it, unless something sound
    /// stands behind it, or it was durable before: then it is damage.
    static func find(
        _ newest: FileHeader, in fileSystem: any FileSystem, readAhead: Int
    ) throws(Failure) -> Tail {
        let found: Result<Tail, Failure>
        do throws(FileError) {
            let handle = try fileSystem.open(JournalName.journal(newest.file))
            var reader = try GroupReader(handle, header: newest, readAhead: readAhead)
            found = try scan(&reader, newest, fileSystem.label)
        } catch {
            throw Failure.storage(error, in: fileSystem.label)
        }
        return try found.get()
    }

    private static func scan(
        _ reader: inout GroupReader, _ newest: FileHeader, _ label: String
    ) throws(FileError) -> Result<Tail, Failure> {
        var position = UInt64(FileHeader.size)
        var chain = newest.chain
        var sequence = newest.sequence
        var last: FoundGroup?
        var beforeLast: FoundGroup?
        while let group = try reader.group(at: position), group.header.chain == chain,
            group.header.sequence == sequence + 1
        {
            beforeLast = last
            last = group
            chain = group.header.checksum
            sequence = group.header.sequence
            position = group.header.end.position
        }
        func damage(_ position: UInt64) -> Result<Tail, Failure> {
            let place = JournalPosition(file: newest.file, position: position)
            return .failure(
                Failure.damagedJournal(label, "the group at \(place) is not what was written"))
        }
        if position < newest.attestedEnd { return damage(position) }
        if let beyond = try reader.groupBeyond(position, sequence: sequence) {
            return .failure(
                Failure.damagedJournal(
                    label,
                    "the group at \(JournalPosition(file: newest.file, position: position)) is "
                        + "not what was written, while a later one at \(beyond.header.place) is"))
        }
        // A sound group where none may follow: not torn, but not ours to judge either.
        if try reader.group(at: position) != nil { return damage(position) }
        var tail = Tail(
            newest: newest, last: last,
            end: JournalPosition(file: newest.file, position: position))
        tail.isCut = try reader.hasBegun(at: position)
        if let found = last, found.header.end.position > newest.attestedEnd,
            try !reader.isWhole(found)
        {
            tail.last = beforeLast
            tail.end = found.header.place
            tail.isCut = true
        }
        return .success(tail)
    }
}
