private import CChaskiShims
import ChaskiStorage

private import Glibc

/// An open file descriptor, closed with its last reference. Immutable, so it may be shared.
final class Descriptor: File, FileLock {
    private let number: Int32
    private let path: String

    init(_ path: String, flags: Int32) throws(FileError) {
        var number: Int32
        repeat {
            number = Glibc.open(path, flags | O_CLOEXEC, 0o640)
        } while number < 0 && errno == EINTR
        guard number >= 0 else { throw FileError.from(errno, "open \(path)") }
        self.number = number
        self.path = path
    }

    deinit { close(number) }

    func read(at position: Int, count: Int) throws(FileError) -> [UInt8] {
        precondition(position >= 0 && count >= 0, "a range of the file")
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while initialized < count, let base = buffer.baseAddress {
                let got = pread(
                    number, base + initialized, count - initialized, position + initialized)
                if got > 0 {
                    initialized += got
                } else if got == 0 {
                    return
                } else if errno != EINTR {
                    failure = errno
                    return
                }
            }
        }
        guard failure == 0 else {
            throw FileError.from(failure, "read \(path) at \(position)")
        }
        return bytes
    }

    func write(_ bytes: borrowing RawSpan, at position: Int) throws(FileError) {
        precondition(position >= 0, "a position of the file")
        let failure: Int32 = bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count, let base = buffer.baseAddress {
                let wrote = pwrite(number, base + done, buffer.count - done, position + done)
                if wrote > 0 {
                    done += wrote
                } else if wrote == 0 {
                    return EIO
                } else if errno != EINTR {
                    return errno
                }
            }
            return 0
        }
        guard failure == 0 else {
            throw FileError.from(failure, "write \(path) at \(position)")
        }
    }

    func sync() throws(FileError) { try sync(wholeFile: false) }

    /// `fdatasync`, or `fsync` where all metadata counts. Never repeated after an error: the
    /// kernel marks the pages clean, and a second call would succeed without the data.
    func sync(wholeFile: Bool) throws(FileError) {
        let result = wholeFile ? fsync(number) : fdatasync(number)
        guard result == 0 else { throw FileError.from(errno, "sync \(path)") }
    }

    func shrink(to bytes: Int) throws(FileError) {
        precondition(bytes >= 0, "a size")
        guard ftruncate(number, bytes) == 0 else { throw FileError.from(errno, "shrink \(path)") }
    }

    func size() throws(FileError) -> Int {
        var status = stat()
        guard fstat(number, &status) == 0 else {
            throw FileError.from(errno, "ask for the size of \(path)")
        }
        return Int(status.st_size)
    }

    /// Sets space aside; where the file system cannot, by writing zeros.
    func allocate(_ bytes: Int) throws(FileError) {
        let code = chaski_allocate(number, 0, Int64(bytes))
        if code == 0 { return }
        guard code == EOPNOTSUPP else { throw FileError.from(code, "allocate \(path)") }
        let zeros = [UInt8](repeating: 0, count: min(bytes, 1 << 20))
        var position = 0
        while position < bytes {
            let count = min(zeros.count, bytes - position)
            try write(zeros.span.bytes.extracting(0..<count), at: position)
            position += count
        }
    }

    func lock() throws(FileError) {
        let code = chaski_lock_exclusive(number)
        guard code == 0 else { throw FileError.from(code, "lock \(path)") }
    }

    func unlock() { flock(number, LOCK_UN) }
}
