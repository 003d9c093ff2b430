package import ChaskiStorage
import Synchronization

/// Ways to break the promises of a file system, to see that the checkers notice.
package struct DiskMutation: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Syncs of files return without doing anything, as if the code forgot to call them.
    package static let noFileSync = Self(rawValue: 1)
    /// Syncs of the directory return without doing anything.
    package static let noDirectorySync = Self(rawValue: 2)
    /// A sync takes effect only when the next one is asked for: an answer before the sync.
    package static let lateFileSync = Self(rawValue: 4)
    /// A failing sync looks like a good one.
    package static let ignoredSyncError = Self(rawValue: 8)
    /// Every second sync of files is forgotten.
    package static let everySecondFileSync = Self(rawValue: 16)
}

/// A file system that goes wrong as `mutations` say, over another.
package final class MutatedFileSystem: FileSystem {
    private let base: any FileSystem
    fileprivate let mutations: DiskMutation
    fileprivate let waiting: Mutex<(late: (any File)?, count: Int)>

    package init(_ base: any FileSystem, _ mutations: DiskMutation) {
        self.base = base
        self.mutations = mutations
        waiting = Mutex((late: nil, count: 0))
    }

    package var label: String { base.label }
    package func list() throws(FileError) -> [String] { try base.list() }
    package func create(_ name: String, allocating bytes: Int) throws(FileError) -> any File {
        MutatedFile(try base.create(name, allocating: bytes), self)
    }
    package func open(_ name: String) throws(FileError) -> any File {
        MutatedFile(try base.open(name), self)
    }
    package func rename(_ name: String, to newName: String) throws(FileError) {
        try base.rename(name, to: newName)
    }
    package func remove(_ name: String) throws(FileError) { try base.remove(name) }
    package func syncDirectory() throws(FileError) {
        if !mutations.contains(.noDirectorySync) { try base.syncDirectory() }
    }
    package func lock(_ name: String) throws(FileError) -> any FileLock { try base.lock(name) }
    package func space() throws(FileError) -> DiskSpace { try base.space() }
}

private final class MutatedFile: File {
    private let base: any File
    private let owner: MutatedFileSystem

    init(_ base: any File, _ owner: MutatedFileSystem) {
        self.base = base
        self.owner = owner
    }

    func read(at position: Int, count: Int) throws(FileError) -> [UInt8] {
        try base.read(at: position, count: count)
    }

    func write(_ bytes: borrowing RawSpan, at position: Int) throws(FileError) {
        try base.write(bytes, at: position)
    }

    func sync() throws(FileError) {
        let mutations = owner.mutations
        if mutations.contains(.noFileSync) { return }
        let count = owner.waiting.withLock { waiting in
            waiting.count += 1
            return waiting.count
        }
        if mutations.contains(.everySecondFileSync), count % 2 == 0 { return }
        var target: (any File)? = base
        if mutations.contains(.lateFileSync) {
            let file = base
            target = owner.waiting.withLock { waiting in
                let late = waiting.late
                waiting.late = file
                return late
            }
        }
        do throws(FileError) {
            try target?.sync()
        } catch {
            if error.code == .crashed || !mutations.contains(.ignoredSyncError) { throw error }
        }
    }

    func shrink(to bytes: Int) throws(FileError) { try base.shrink(to: bytes) }

    func size() throws(FileError) -> Int { try base.size() }
}
