import ChaskiModel

/// Journal files that are allocated and not yet used: recycled ones first, as a write to blocks
/// that were written before syncs faster.
struct SpareFiles: Sendable {
    /// Names, the next one to use first.
    private(set) var names: [String] = []
    private var nextSerial: UInt64
    private let fileBytes: Int
    private let reserve: Int
    /// Set when no file could be allocated for want of space although the reserve was not whole,
    /// until there is more than the reserve again. A reserve that verdicts have used up says nothing
    /// of the disk: the next batch allocates what is missing.
    private var isRefusing = false
    /// Boot clock before which no further attempt is made to get space.
    private var nextAttemptNanos = Int64.min

    init(configuration: JournalConfiguration, nextSerial: UInt64) {
        fileBytes = configuration.fileBytes
        reserve = configuration.reserveFiles
        self.nextSerial = nextSerial
    }

    var count: Int { names.count }

    var state: SpaceState {
        guard isRefusing else { return .available }
        return names.isEmpty ? .exhausted : .reserveOnly
    }

    /// How many there should be.
    func target(_ configuration: JournalConfiguration) -> Int {
        reserve + (isRefusing ? max(1, configuration.filesAhead) : configuration.filesAhead)
    }

    /// A spare that is there already, with the right size.
    mutating func add(existing name: String) { names.append(name) }

    /// A file that was used before, renamed to `name` durably.
    mutating func add(recycled name: String) {
        names.insert(name, at: 0)
        if names.count > reserve { isRefusing = false }
    }

    /// A name that no file bears.
    mutating func newName() -> String {
        // It wraps only where somebody made a file of the last name; then creation fails.
        defer { nextSerial &+= 1 }
        return JournalName.spare(named: nextSerial)
    }

    /// Takes one out to be removed, so that its space can be used otherwise; nil where verdicts
    /// would soon have no room: there must be another, or `room` in the open file.
    mutating func lend(room: Int) -> String? {
        guard names.count > 1 || room >= fileBytes / 4 else { return nil }
        return names.popLast()
    }

    /// Allocates one more.
    mutating func create(in fileSystem: any FileSystem) throws(FileError) {
        let name = newName()
        _ = try fileSystem.create(name, allocating: fileBytes)
        names.append(name)
        if names.count > reserve { isRefusing = false }
    }

    func mayTry(at bootNanos: Int64) -> Bool { bootNanos >= nextAttemptNanos }

    mutating func creationFailed(at bootNanos: Int64, pollNanos: Int64) {
        if names.count < reserve { isRefusing = true }
        let (next, overflow) = bootNanos.addingReportingOverflow(pollNanos)
        nextAttemptNanos = overflow ? Int64.max : next
    }

    /// Allocates up to the target, as far as there is space.
    mutating func fill(
        to target: Int, in fileSystem: any FileSystem
    ) throws(FileError) {
        while names.count < target {
            do throws(FileError) {
                try create(in: fileSystem)
            } catch {
                guard error.code == .noSpace else { throw error }
                if names.count < reserve { isRefusing = true }
                return
            }
        }
    }

    /// Why the group cannot be written for want of space, before anything is touched; nil when it
    /// can: then a spare is there if the group does not fit the `room` in the open file.
    mutating func refusal(
        of group: JournalGroup, length: Int, room: Int, life: JournalWriter.Life
    ) -> Failure? {
        let keep = group.mayUseReserve ? 0 : reserve
        let needed = length > room ? keep + 1 : keep
        // Once a batch was refused only `maintain` tries, at its pace.
        while names.count < needed, !isRefusing {
            do throws(FileError) {
                try create(in: life.fileSystem)
            } catch {
                break
            }
        }
        guard names.count < needed else { return nil }
        isRefusing = true
        return Failure.diskFull
    }

    /// Turns a spare into the journal file that `header` describes: header and `content` are
    /// synced before the file gets its name, and the name before this returns.
    mutating func begin(
        _ header: FileHeader, followedBy content: [UInt8], in fileSystem: any FileSystem
    ) throws(FileError) -> any File {
        let bytes = Int(header.fileBytes)
        precondition(FileHeader.size + content.count <= bytes, "the content fits the file")
        let name: String
        let file: any File
        if let spare = names.first, bytes == fileBytes {
            name = spare
            file = try fileSystem.open(spare)
            names.removeFirst()
        } else {
            name = newName()
            file = try fileSystem.create(name, allocating: bytes)
        }
        // An opening that was cut off may have left a group in this spare under the same file id:
        // it stood right behind the header, and must not be found there.
        var start = header.encoded() + content
        if start.count < bytes { start += [UInt8](repeating: 0, count: Layout.block) }
        try file.write(start.span.bytes, at: 0)
        try file.sync()
        try fileSystem.rename(name, to: JournalName.journal(header.file))
        try fileSystem.syncDirectory()
        return file
    }
}
