private import CChaskiShims
package import ChaskiStorage

private import Glibc

/// One directory of the operating system.
package final class PosixFileSystem: FileSystem {
    package let path: String
    /// The directory itself, open for syncing it.
    private let directory: Descriptor

    package var label: String { path }

    /// Opens a directory, creating it where needed; each directory made is durable in its parent
    /// when this returns.
    package init(path: String) throws(FileError) {
        precondition(!path.isEmpty, "a directory has a path")
        self.path = path
        try Self.makeDirectory(path)
        directory = try Descriptor(path, flags: O_RDONLY | O_DIRECTORY)
    }

    private static func makeDirectory(_ path: String) throws(FileError) {
        if mkdir(path, 0o750) != 0 {
            let code = errno
            if code == EEXIST { return }
            guard code == ENOENT, let parent = parent(of: path) else {
                throw FileError.from(code, "create directory \(path)")
            }
            try makeDirectory(parent)
            guard mkdir(path, 0o750) == 0 || errno == EEXIST else {
                throw FileError.from(errno, "create directory \(path)")
            }
        }
        let parent = try Descriptor(parent(of: path) ?? ".", flags: O_RDONLY | O_DIRECTORY)
        try parent.sync(wholeFile: true)
    }

    private static func parent(of path: String) -> String? {
        var bytes = path.utf8[...]
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes = bytes.dropLast() }
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        return slash == bytes.startIndex ? "/" : String(Substring(bytes[..<slash]))
    }

    private func full(_ name: String) -> String {
        precondition(!name.isEmpty && !name.utf8.contains(UInt8(ascii: "/")), "a flat name")
        return "\(path)/\(name)"
    }

    package func list() throws(FileError) -> [String] {
        guard let stream = opendir(path) else { throw FileError.from(errno, "list \(path)") }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw FileError.from(errno, "list \(path)") }
                break
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    package func create(_ name: String, allocating bytes: Int) throws(FileError) -> any File {
        let file = try Descriptor(full(name), flags: O_RDWR | O_CREAT | O_EXCL)
        guard bytes > 0 else { return file }
        do {
            try file.allocate(bytes)
        } catch {
            unlink(full(name))
            throw error
        }
        return file
    }

    package func open(_ name: String) throws(FileError) -> any File {
        try Descriptor(full(name), flags: O_RDWR)
    }

    package func rename(_ name: String, to newName: String) throws(FileError) {
        guard Glibc.rename(full(name), full(newName)) == 0 else {
            throw FileError.from(errno, "rename \(full(name)) to \(newName)")
        }
    }

    package func remove(_ name: String) throws(FileError) {
        guard unlink(full(name)) == 0 else { throw FileError.from(errno, "remove \(full(name))") }
    }

    package func syncDirectory() throws(FileError) { try directory.sync(wholeFile: true) }

    package func lock(_ name: String) throws(FileError) -> any FileLock {
        let file = try Descriptor(full(name), flags: O_RDWR | O_CREAT)
        try file.lock()
        return file
    }

    package func space() throws(FileError) -> DiskSpace {
        var free: UInt64 = 0
        var total: UInt64 = 0
        let code = chaski_space(path, &free, &total)
        guard code == 0 else { throw FileError.from(code, "ask for the free space of \(path)") }
        return DiskSpace(freeBytes: free, totalBytes: total)
    }
}

extension FileError {
    /// What an `errno` means to storage.
    static func from(_ code: Int32, _ action: String) -> FileError {
        let meaning: FileError.Code =
            switch code {
            case ENOSPC, EDQUOT, EFBIG: .noSpace
            case EIO, EROFS, ENXIO, ENODEV: .io
            case ENOENT: .notFound
            case EEXIST: .exists
            case EWOULDBLOCK: .locked
            default: .other
            }
        return FileError(meaning, "could not \(action): \(String(cString: strerror(code)))")
    }
}
