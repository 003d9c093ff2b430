private import Glibc
private import Synchronization

/// Standard output and error, written whole: no line of one task is cut by another's.
package enum Terminal {
    private static let lock = Mutex(())

    package static var outputIsTerminal: Bool { isatty(1) == 1 }
    package static var inputIsTerminal: Bool { isatty(0) == 1 }
    package static var errorIsTerminal: Bool { isatty(2) == 1 }

    /// Writes bytes to standard output. False where nobody reads any more (a closed pipe).
    @discardableResult
    package static func write(_ bytes: [UInt8]) -> Bool {
        lock.withLock { _ in writeAll(bytes, to: 1) }
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
        lock.withLock { _ in _ = writeAll(bytes, to: 2) }
    }

    /// Writing to a pipe without reader is an error to see, not a signal to die from.
    package static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

    static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let got = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { return false }
            done += got
        }
        return true
    }
}
