private import Glibc
package import ChaskiModel

/// Measures one `fdatasync` after a write of 4 KiB, on the disk that holds a directory: what a
/// durable message cannot go below.
package enum DiskProbe {
    /// - Parameter rounds: how often; the file is written once in advance, as a journal's is.
    /// - Throws: where the directory cannot be written.
    package static func run(directory: String, rounds: Int) throws(Failure) -> LatencySummary {
        let path = "\(directory)/.chaski-disk-probe-\(getpid())"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileProblem.failure("write", path, errno) }
        defer {
            close(descriptor)
            unlink(path)
        }
        let block = [UInt8](repeating: 0xA5, count: 4096)
        let blocks = 256
        for index in 0..<blocks {
            guard pwrite(descriptor, block, block.count, off_t(index * 4096)) == block.count else {
                throw FileProblem.failure("write", path, errno)
            }
        }
        guard fsync(descriptor) == 0 else { throw FileProblem.failure("sync", path, errno) }
        let recorder = LatencyRecorder()
        for round in 0..<max(1, rounds) {
            let start = Clock.nanos()
            let position = off_t(round % blocks * 4096)
            guard pwrite(descriptor, block, block.count, position) == block.count,
                fdatasync(descriptor) == 0
            else { throw FileProblem.failure("sync", path, errno) }
            recorder.record(nanos: Clock.nanos() - start)
        }
        return recorder.summary()
    }
}

/// The monotonic clock of the process's measurements.
package enum Clock {
    /// Nanoseconds since boot; shared by all processes of the machine.
    package static func nanos() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    package static func wallNanos() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
