import ChaskiStorage

/// The state of a simulated disk, and of the kernel above it.
struct SimulatedDisk {
    /// An open file: which, under which name, and in which life of the process.
    struct Handle: Sendable {
        var inode: Int
        var name: String
        var life: Int
    }

    private struct DirectoryChange {
        /// The name that goes, when it still means this inode.
        var removes: String?
        var adds: String?
        var inode: Int
    }

    var faults = DiskFaults()
    var capacity: Int
    var observer: (@Sendable (DiskOperation) -> Void)?
    private(set) var operations = 0
    private(set) var counts: [DiskOperation.Kind: Int] = [:]
    private(set) var effectiveFaults = 0
    private(set) var hasCrashed = false
    /// What the kernel shows.
    private(set) var directory: [String: Int] = [:]
    private var durableDirectory: [String: Int] = [:]
    private var pending: [DirectoryChange] = []
    private var inodes: [Int: SimulatedInode] = [:]
    private var nextInode = 1
    private var life = 1
    private var locks: [String: Int] = [:]
    private var random: DiskRandom

    init(seed: UInt64, capacity: Int) {
        random = DiskRandom(seed: seed)
        self.capacity = capacity
    }

    // MARK: What tests do to it

    mutating func powerCut() {
        var directory = durableDirectory
        for change in pending where random.chance(1, in: 2) {
            if let name = change.removes, directory[name] == change.inode { directory[name] = nil }
            if let name = change.adds { directory[name] = change.inode }
        }
        self.directory = directory
        durableDirectory = directory
        pending = []
        for inode in inodes.keys.sorted() { inodes[inode]?.powerCut(random: &random) }
        restart()
    }

    mutating func restart() {
        life += 1
        hasCrashed = false
        locks = [:]
        let named = Set(directory.values).union(durableDirectory.values).union(pending.map(\.inode))
        inodes = inodes.filter { named.contains($0.key) }
    }

    mutating func damage(_ name: String, _ body: (inout SimulatedInode) -> Void) {
        guard let inode = directory[name] else { preconditionFailure("no file \(name)") }
        if var content = inodes[inode] {
            body(&content)
            inodes[inode] = content
        }
    }

    func contents(_ name: String) -> [UInt8]? {
        directory[name].flatMap { inodes[$0]?.cached }
    }

    var usedBytes: Int { directory.values.reduce(0) { $0 + (inodes[$1]?.size ?? 0) } }

    // MARK: Calls

    private enum Fate { case happens, fails, diesBefore, diesAfter }

    private mutating func begin(
        _ kind: DiskOperation.Kind, _ name: String = "", life: Int? = nil
    ) throws(FileError) -> Fate {
        if hasCrashed || (life ?? self.life) != self.life {
            throw FileError(.crashed, "the simulated process is dead")
        }
        operations += 1
        counts[kind, default: 0] += 1
        let operation = DiskOperation(kind: kind, name: name, number: operations)
        observer?(operation)
        if faults.crashAt == operations {
            hasCrashed = true
            effectiveFaults += 1
            return random.chance(1, in: 2) ? .diesBefore : .diesAfter
        }
        let chance: UInt64 =
            switch kind {
            case .write: faults.writeFailuresPerMillion
            case .sync, .syncDirectory: faults.syncFailuresPerMillion
            case .read: faults.readFailuresPerMillion
            default: 0
            }
        if faults.covers(operation) || (chance > 0 && random.chance(chance, in: 1_000_000)) {
            effectiveFaults += 1
            return .fails
        }
        return .happens
    }

    /// Runs `effect` as the call's fate says; `failure` is what a failing call throws.
    private mutating func perform<Value>(
        _ fate: Fate, _ failure: FileError,
        _ effect: (inout SimulatedDisk) throws(FileError) -> Value
    ) throws(FileError) -> Value {
        let crashed = FileError(.crashed, "the simulated process died")
        switch fate {
        case .happens: return try effect(&self)
        case .fails: throw failure
        case .diesBefore: throw crashed
        case .diesAfter:
            _ = try effect(&self)
            throw crashed
        }
    }

    private static func io(_ what: String) -> FileError {
        FileError(.io, "could not \(what): simulated input/output error")
    }

    mutating func list() throws(FileError) -> [String] {
        let fate = try begin(.list)
        return try perform(fate, Self.io("list")) { $0.directory.keys.sorted() }
    }

    mutating func create(_ name: String, bytes: Int) throws(FileError) -> Handle {
        precondition(bytes >= 0, "a size")
        let fate = try begin(.create, name)
        let full = FileError(.noSpace, "could not create \(name): simulated disk full")
        return try perform(fate, full) { disk throws(FileError) in
            if disk.directory[name] != nil { throw FileError(.exists, "\(name) exists") }
            if bytes > disk.capacity - disk.usedBytes {
                disk.effectiveFaults += 1
                throw full
            }
            let inode = disk.nextInode
            disk.nextInode += 1
            disk.inodes[inode] = SimulatedInode(size: bytes)
            disk.directory[name] = inode
            disk.pending.append(DirectoryChange(removes: nil, adds: name, inode: inode))
            return Handle(inode: inode, name: name, life: disk.life)
        }
    }

    mutating func open(_ name: String) throws(FileError) -> Handle {
        let fate = try begin(.open, name)
        return try perform(fate, Self.io("open \(name)")) { disk throws(FileError) in
            guard let inode = disk.directory[name] else {
                throw FileError(.notFound, "no file \(name)")
            }
            return Handle(inode: inode, name: name, life: disk.life)
        }
    }

    mutating func rename(_ name: String, to newName: String) throws(FileError) {
        let fate = try begin(.rename, name)
        try perform(fate, Self.io("rename \(name)")) { disk throws(FileError) in
            guard let inode = disk.directory[name] else {
                throw FileError(.notFound, "no file \(name)")
            }
            disk.directory[name] = nil
            disk.directory[newName] = inode
            disk.pending.append(DirectoryChange(removes: name, adds: newName, inode: inode))
        }
    }

    mutating func remove(_ name: String) throws(FileError) {
        let fate = try begin(.remove, name)
        try perform(fate, Self.io("remove \(name)")) { disk throws(FileError) in
            guard let inode = disk.directory.removeValue(forKey: name) else {
                throw FileError(.notFound, "no file \(name)")
            }
            disk.pending.append(DirectoryChange(removes: name, adds: nil, inode: inode))
        }
    }

    mutating func syncDirectory() throws(FileError) {
        let fate = try begin(.syncDirectory)
        try perform(fate, Self.io("sync the directory")) { disk throws(FileError) in
            disk.durableDirectory = disk.directory
            disk.pending = []
        }
    }

    mutating func lock(_ name: String) throws(FileError) -> Int {
        let fate = try begin(.lock, name)
        return try perform(fate, Self.io("lock")) { disk throws(FileError) in
            if disk.locks[name] != nil { throw FileError(.locked, "\(name) is locked") }
            disk.locks[name] = disk.life
            return disk.life
        }
    }

    mutating func unlock(_ name: String, life: Int) {
        if locks[name] == life { locks[name] = nil }
    }

    mutating func space() throws(FileError) -> DiskSpace {
        let fate = try begin(.space)
        return try perform(fate, Self.io("ask for space")) { disk in
            DiskSpace(
                freeBytes: UInt64(max(0, disk.capacity - disk.usedBytes)),
                totalBytes: UInt64(max(0, disk.capacity)))
        }
    }

    mutating func read(
        _ handle: Handle, at position: Int, count: Int
    ) throws(FileError) -> [UInt8] {
        precondition(position >= 0 && count >= 0, "a range of the file")
        let fate = try begin(.read, handle.name, life: handle.life)
        let failure = Self.io("read \(handle.name) at \(position)")
        return try perform(fate, failure) { disk throws(FileError) in
            guard let inode = disk.inodes[handle.inode], position < inode.size else { return [] }
            let range = position..<min(inode.size, position + count)
            guard inode.canRead(range) else {
                disk.effectiveFaults += 1
                throw failure
            }
            return Array(inode.cached[range])
        }
    }

    mutating func write(
        _ handle: Handle, _ bytes: [UInt8], at position: Int
    ) throws(FileError) {
        let fate = try begin(.write, handle.name, life: handle.life)
        guard var inode = inodes[handle.inode] else { throw Self.io("write \(handle.name)") }
        let growth = max(0, position + bytes.count - inode.size)
        if growth > 0, growth > capacity - usedBytes {
            effectiveFaults += 1
            throw FileError(.noSpace, "could not write \(handle.name): simulated disk full")
        }
        inodes[handle.inode] = nil
        switch fate {
        case .happens, .diesAfter: inode.write(bytes[...], at: position)
        case .fails, .diesBefore: writePart(of: bytes, at: position, to: &inode)
        }
        inodes[handle.inode] = inode
        try perform(fate, Self.io("write \(handle.name) at \(position)")) { _ in }
    }

    /// Any of the sectors, each on its own.
    private mutating func writePart(
        of bytes: [UInt8], at position: Int, to inode: inout SimulatedInode
    ) {
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + SimulatedInode.sector)
            if random.chance(1, in: 2) { inode.write(bytes[start..<end], at: position + start) }
            start = end
        }
    }

    mutating func sync(_ handle: Handle) throws(FileError) {
        let fate = try begin(.sync, handle.name, life: handle.life)
        guard var inode = inodes[handle.inode] else { throw Self.io("sync \(handle.name)") }
        inodes[handle.inode] = nil
        switch fate {
        case .happens, .diesAfter: inode.sync()
        case .fails: inode.failSync(random: &random)
        case .diesBefore: break
        }
        inodes[handle.inode] = inode
        try perform(fate, Self.io("sync \(handle.name)")) { _ in }
    }

    mutating func shrink(_ handle: Handle, to bytes: Int) throws(FileError) {
        precondition(bytes >= 0, "a size")
        let fate = try begin(.shrink, handle.name, life: handle.life)
        try perform(fate, Self.io("shrink \(handle.name)")) { disk in
            disk.inodes[handle.inode]?.shrink(to: bytes)
        }
    }

    mutating func size(_ handle: Handle) throws(FileError) -> Int {
        let fate = try begin(.size, handle.name, life: handle.life)
        return try perform(fate, Self.io("stat \(handle.name)")) { disk in
            disk.inodes[handle.inode]?.size ?? 0
        }
    }
}
