/// Why a file operation did not happen.
package struct FileError: Error, Hashable, Sendable {
    package enum Code: Hashable, Sendable {
        /// The device or a quota is full; nothing was changed.
        case noSpace
        /// The device failed: what was written since the last good sync is in doubt.
        case io
        case notFound
        case exists
        /// Somebody else holds the lock.
        case locked
        /// The simulated process is dead: every operation of the simulation fails from here on.
        case crashed
        case other
    }

    package var code: Code
    /// What was tried on which file, and the operating system's words.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

/// Free and total bytes of the device that holds a directory.
package struct DiskSpace: Hashable, Sendable {
    package var freeBytes: UInt64
    package var totalBytes: UInt64

    package init(freeBytes: UInt64, totalBytes: UInt64) {
        self.freeBytes = freeBytes
        self.totalBytes = totalBytes
    }
}

/// An open file. Reads may run on any thread at any time; writes and syncs come from one thread.
/// It is closed when the last reference goes.
package protocol File: AnyObject, Sendable {
    /// Up to `count` bytes from `position`; fewer only at the end of the file.
    func read(at position: Int, count: Int) throws(FileError) -> [UInt8]
    /// Writes all of `bytes` at `position`, growing the file where needed. After an error any part
    /// of it may have been written.
    func write(_ bytes: borrowing RawSpan, at position: Int) throws(FileError)
    /// Returns once all that was written, and the size, is on the device. After an error nothing
    /// is known about what was written since the last good sync, and asking again proves nothing.
    func sync() throws(FileError)
    /// Gives up what lies behind `bytes`, of a file that has no name any more: a large one is freed
    /// in slices, as a file system makes everybody wait who syncs meanwhile.
    func shrink(to bytes: Int) throws(FileError)
    /// Bytes of the file.
    func size() throws(FileError) -> Int
}

/// Held while its owner lives; a second process that asks gets `FileError.Code.locked`.
package protocol FileLock: AnyObject, Sendable {
    /// Gives it back; the end of the process does so too.
    func unlock()
}

/// One flat directory of files: all that storage asks of an operating system. Names hold no
/// separator. A name is durable once `syncDirectory` returned after it was made.
package protocol FileSystem: AnyObject, Sendable {
    /// What errors call the directory: its path.
    var label: String { get }
    /// The names of the directory's files, sorted.
    func list() throws(FileError) -> [String]
    /// A new file of `bytes` zeros, with its space set aside: either whole or not at all.
    func create(_ name: String, allocating bytes: Int) throws(FileError) -> any File
    /// An existing file, for reading and writing.
    func open(_ name: String) throws(FileError) -> any File
    /// Replaces what bears the new name.
    func rename(_ name: String, to newName: String) throws(FileError)
    func remove(_ name: String) throws(FileError)
    /// Returns once all creations, renames and removals before it are on the device.
    func syncDirectory() throws(FileError)
    /// Locks the file of this name, creating it where needed, without waiting.
    func lock(_ name: String) throws(FileError) -> any FileLock
    func space() throws(FileError) -> DiskSpace
}
