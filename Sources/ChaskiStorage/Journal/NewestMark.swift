/// The empty file whose name says which journal file was begun last: without it a journal that has
/// lost its newest file would look like an older, shorter one, or like none.
///
/// It follows a new file's name, and is durable before a group is written to that file. So a crash
/// may leave it behind the newest file, where nothing was confirmed yet, but never ahead of it.
struct NewestMark: Hashable, Sendable {
    /// What the directory's marks name, ascending: at most one, if nobody put others there.
    private var files: [UInt64]

    init(files: [UInt64]) { self.files = files.sorted() }

    /// The file that must be there, or a newer one; nil before the first file was begun.
    var file: UInt64? { files.last }

    /// Says durably that `file` has been begun, whose own name is durable.
    mutating func advance(
        to file: UInt64, in fileSystem: any FileSystem
    ) throws(FileError) {
        precondition(file > self.file ?? 0, "journal files come in order")
        let name = JournalName.mark(file)
        if let last = files.last {
            for older in files.dropLast() { try fileSystem.remove(JournalName.mark(older)) }
            try fileSystem.rename(JournalName.mark(last), to: name)
        } else {
            _ = try fileSystem.create(name, allocating: 0)
        }
        try fileSystem.syncDirectory()
        files = [file]
    }
}
