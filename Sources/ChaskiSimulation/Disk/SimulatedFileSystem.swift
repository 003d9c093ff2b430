package import ChaskiStorage
import Synchronization

/// A directory on a simulated disk under a simulated kernel: deterministic from its seed.
///
/// The disk outlives the process that uses it: after `powerCut` or `processKill` every open file
/// and lock of the former process is dead, and the same object serves the next one.
package final class SimulatedFileSystem: FileSystem {
    let state: Mutex<SimulatedDisk>
    package let label: String

    /// - Parameter capacityBytes: bytes that all files may have together.
    package init(seed: UInt64, capacityBytes: Int = 1 << 40, label: String = "simulated") {
        self.label = label
        state = Mutex(SimulatedDisk(seed: seed, capacity: capacityBytes))
    }

    /// What goes wrong from now on.
    package var faults: DiskFaults {
        get { state.withLock { $0.faults } }
        set { state.withLock { $0.faults = newValue } }
    }

    /// Calls so far, of all kinds.
    package var operations: Int { state.withLock { $0.operations } }

    /// Calls so far of one kind.
    package func operations(_ kind: DiskOperation.Kind) -> Int {
        state.withLock { $0.counts[kind] ?? 0 }
    }

    /// Faults that had an effect, so that a test can tell that it tested something.
    package var effectiveFaults: Int { state.withLock { $0.effectiveFaults } }

    /// Whether the process died in a call (`DiskFaults.crashAt`).
    package var hasCrashed: Bool { state.withLock { $0.hasCrashed } }

    /// Bytes that the disk holds; lowering it below what is in use just forbids growth.
    package var capacityBytes: Int {
        get { state.withLock { $0.capacity } }
        set { state.withLock { $0.capacity = newValue } }
    }

    /// Bytes in use.
    package var usedBytes: Int { state.withLock { $0.usedBytes } }

    /// The power goes: unsynced sectors, sizes and directory operations are kept, lost, or
    /// garbled, each on its own; then the machine starts again.
    package func powerCut() { state.withLock { $0.powerCut() } }

    /// The process is killed and started again: the page cache stays as it is.
    package func processKill() { state.withLock { $0.restart() } }

    /// Sees every call before it happens. It must not call the file system.
    package func observe(_ observer: (@Sendable (DiskOperation) -> Void)?) {
        state.withLock { $0.observer = observer }
    }

    /// Flips one bit of a file, on the device and in the cache.
    package func flipBit(_ bit: Int, of position: Int, in name: String) {
        state.withLock { $0.damage(name) { $0.flip(bit: bit, of: position) } }
    }

    /// Overwrites bytes of a file, on the device and in the cache.
    package func overwrite(_ bytes: [UInt8], at position: Int, in name: String) {
        state.withLock { $0.damage(name) { $0.overwrite(bytes, at: position) } }
    }

    /// Reads that touch these bytes fail from now on.
    package func makeUnreadable(_ range: Range<Int>, in name: String) {
        state.withLock { $0.damage(name) { $0.makeUnreadable(range) } }
    }

    /// What reads of the whole file see; nil when there is none of this name.
    package func contents(_ name: String) -> [UInt8]? { state.withLock { $0.contents(name) } }

    /// The names of the directory's files, sorted, without counting as a call.
    package var names: [String] { state.withLock { $0.directory.keys.sorted() } }

    package func list() throws(FileError) -> [String] {
        try run { disk throws(FileError) in try disk.list() }
    }

    package func create(_ name: String, allocating bytes: Int) throws(FileError) -> any File {
        try handle { disk throws(FileError) in try disk.create(name, bytes: bytes) }
    }

    package func open(_ name: String) throws(FileError) -> any File {
        try handle { disk throws(FileError) in try disk.open(name) }
    }

    package func rename(_ name: String, to newName: String) throws(FileError) {
        try run { disk throws(FileError) in try disk.rename(name, to: newName) }
    }

    package func remove(_ name: String) throws(FileError) {
        try run { disk throws(FileError) in try disk.remove(name) }
    }

    package func syncDirectory() throws(FileError) {
        try run { disk throws(FileError) in try disk.syncDirectory() }
    }

    package func lock(_ name: String) throws(FileError) -> any FileLock {
        let life = try run { disk throws(FileError) in try disk.lock(name) }
        return SimulatedLock(fileSystem: self, name: name, life: life)
    }

    package func space() throws(FileError) -> DiskSpace {
        try run { disk throws(FileError) in try disk.space() }
    }

    private func handle(
        _ body: (inout SimulatedDisk) throws(FileError) -> SimulatedDisk.Handle
    ) throws(FileError) -> any File {
        SimulatedFile(fileSystem: self, handle: try run(body))
    }

    func run<Value: Sendable>(
        _ body: (inout SimulatedDisk) throws(FileError) -> Value
    ) throws(FileError) -> Value {
        let result: Result<Value, FileError> = state.withLock { disk in
            do throws(FileError) {
                return .success(try body(&disk))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// An open file of one life of the simulated process.
final class SimulatedFile: File {
    private let fileSystem: SimulatedFileSystem
    private let handle: SimulatedDisk.Handle

    init(fileSystem: SimulatedFileSystem, handle: SimulatedDisk.Handle) {
        self.fileSystem = fileSystem
        self.handle = handle
    }

    func read(at position: Int, count: Int) throws(FileError) -> [UInt8] {
        try fileSystem.run { disk throws(FileError) in
            try disk.read(handle, at: position, count: count)
        }
    }

    func write(_ bytes: borrowing RawSpan, at position: Int) throws(FileError) {
        let copy = bytes.withUnsafeBytes { [UInt8]($0) }
        try fileSystem.run { disk throws(FileError) in
            try disk.write(handle, copy, at: position)
        }
    }

    func sync() throws(FileError) {
        try fileSystem.run { disk throws(FileError) in try disk.sync(handle) }
    }

    func shrink(to bytes: Int) throws(FileError) {
        try fileSystem.run { disk throws(FileError) in try disk.shrink(handle, to: bytes) }
    }

    func size() throws(FileError) -> Int {
        try fileSystem.run { disk throws(FileError) in try disk.size(handle) }
    }
}

final class SimulatedLock: FileLock {
    private let fileSystem: SimulatedFileSystem
    private let name: String
    private let life: Int

    init(fileSystem: SimulatedFileSystem, name: String, life: Int) {
        self.fileSystem = fileSystem
        self.name = name
        self.life = life
    }

    deinit { unlock() }

    func unlock() { fileSystem.state.withLock { $0.unlock(name, life: life) } }
}
