private import Glibc
package import ChaskiModel
private import Synchronization

/// Standard output and error, written whole: no line of one task is cut by another's.
package enum Terminal {
    /// The errno of the first write to standard output that failed; 0 while none has.
    private static let state = Mutex<Int32>(0)

    package static var outputIsTerminal: Bool { isatty(1) == 1 }
    package static var inputIsTerminal: Bool { isatty(0) == 1 }
    package static var errorIsTerminal: Bool { isatty(2) == 1 }

    /// Writes bytes to standard output. False where that failed, now or before (as
    /// for a pipe that nobody reads any more).
    @discardableResult
    package static func write(_ bytes: [UInt8]) -> Bool {
        state.withLock { failed in
            guard failed == 0 else { return false }
            failed = writeCode(bytes, to: 1)
            return failed == 0
        }
    }

    /// What is to be told about standard output at the end: nil where all was written, or where
    /// the reader of a pipe had enough and closed it. Forgets it.
    package static func takeOutputFailure() -> Failure? {
        let code = state.withLock { failed in
            defer { failed = 0 }
            return failed
        }
        guard code != 0, code != EPIPE else { return nil }
        return Failure(
            .unavailable, .ioFailed,
            "cannot write standard output: \(String(cString: strerror(code)))")
    }

    /// Opens /dev/null in the place of standard streams that are closed, lest something else gets
    /// their numbers: in the direction that makes their use fail as it would on a closed one. To
    /// be called before the first task, for the runtime's own files take the lowest numbers.
    package static func openClosedStreams() {
        for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
            _ = open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY)
        }
    }

    /// A line to standard output.
    @discardableResult
    package static func line(_ text: String) -> Bool { write(Array((text + "\n").utf8)) }

    package static func lines(_ lines: [String]) {
        guard !lines.isEmpty else { return }
        write(Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// A line to standard error.
    package static func note(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        state.withLock { _ in _ = writeCode(bytes, to: 2) }
    }

    /// Writing to a pipe without reader is an error to see, not a signal to die from.
    package static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

    static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        writeCode(bytes, to: descriptor) == 0
    }

    /// Writes all; 0, or the errno of what failed.
    private static func writeCode(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
        var done = 0
        while done < bytes.count {
            let got = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done)
            }
            if got < 0, errno == EINTR { continue }
            if got < 0, errno == EAGAIN {
                var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&request, 1, -1) >= 0 || errno == EINTR else { return errno }
                continue
            }
            guard got > 0 else { return got < 0 ? errno : EIO }
            done += got
        }
        return 0
    }
}
