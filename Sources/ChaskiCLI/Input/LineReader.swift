private import Glibc
package import ChaskiModel

/// Reads a file descriptor line by line, in blocks of 64 KiB.
package struct LineReader: ~Copyable {
    private let descriptor: Int32
    private let closes: Bool
    private let maximumLineBytes: Int
    private var buffer: [UInt8] = []
    private var position = 0
    private var ended = false

    /// - Parameter maximumLineBytes: a longer line is an error, so that memory is bounded.
    package init(descriptor: Int32, closes: Bool, maximumLineBytes: Int) {
        self.descriptor = descriptor
        self.closes = closes
        self.maximumLineBytes = maximumLineBytes
    }

    /// Opens a file; `-` is standard input.
    ///
    /// - Throws: `unknown-file` where it cannot be read.
    package init(path: String, maximumLineBytes: Int) throws(Failure) {
        if path == "-" {
            self.init(descriptor: 0, closes: false, maximumLineBytes: maximumLineBytes)
            return
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileProblem.failure("read", path, errno) }
        self.init(descriptor: descriptor, closes: true, maximumLineBytes: maximumLineBytes)
    }

    deinit { if closes { close(descriptor) } }

    /// Whether `next` would have to wait for somebody who writes.
    package var wouldWait: Bool {
        guard !ended, !buffer[position...].contains(0x0A) else { return false }
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, 0) == 0
    }

    /// The next line without its newline (and without a carriage return before it); nil at the end.
    package mutating func next() throws(Failure) -> ArraySlice<UInt8>? {
        var searched = position
        while true {
            if let newline = buffer[searched...].firstIndex(of: 0x0A) {
                var line = buffer[position..<newline]
                position = newline + 1
                if line.last == 0x0D { line.removeLast() }
                return line
            }
            guard !ended else {
                guard position < buffer.count else { return nil }
                defer { position = buffer.count }
                return buffer[position...]
            }
            guard buffer.count - position <= maximumLineBytes else {
                throw Failure(
                    .invalidArgument, .tooLarge,
                    "a line of the input is longer than \(maximumLineBytes) bytes; split it")
            }
            buffer.removeSubrange(..<position)
            position = 0
            searched = buffer.count
            try fill()
        }
    }

    private mutating func fill() throws(Failure) {
        let size = 64 * 1024
        var code: Int32 = 0
        let block = [UInt8](unsafeUninitializedCapacity: size) { target, count in
            var got = read(descriptor, target.baseAddress, size)
            while got < 0, errno == EINTR { got = read(descriptor, target.baseAddress, size) }
            if got < 0 { code = errno }
            count = max(0, got)
        }
        guard code == 0 else {
            throw FileProblem.failure("read", descriptor == 0 ? "-" : "the input", code)
        }
        if block.isEmpty { ended = true }
        buffer.append(contentsOf: block)
    }
}

/// Reads whole files, and says what is wrong with them.
package enum FileProblem {
    package static let unknownFile = FailureReason(rawValue: "unknown-file")
    package static let ioFailed = FailureReason(rawValue: "io-failed")
    /// A folder where a file is wanted, or the other way round.
    package static let notAFile = FailureReason(rawValue: "wrong-kind-of-file")

    /// The failure of an operation on a file.
    package static func failure(_ verb: String, _ path: String, _ code: Int32) -> Failure {
        let name = path == "-" ? "standard input" : Text.printable(path)
        switch code {
        case EISDIR:
            return Failure(
                .invalidArgument, notAFile, "\(name) is a folder; name a file")
        case ENOTDIR:
            return Failure(
                .invalidArgument, notAFile, "\(name) is not a folder; name a folder")
        case EBADF:
            return Failure(
                .unavailable, ioFailed,
                "cannot \(verb) \(name): it is closed; give it a file or pipe")
        default: break
        }
        let why = String(cString: strerror(code))
        return Failure(
            code == ENOENT ? .notFound : code == EACCES ? .permissionDenied : .unavailable,
            code == ENOENT ? unknownFile : ioFailed,
            "cannot \(verb) \(name): \(why); check the path and its permissions")
    }

    /// All bytes of a file (`-`: standard input), at most `maximumBytes`.
    package static func contents(
        _ path: String, maximumBytes: Int
    ) throws(Failure) -> [UInt8] {
        let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("read", path, errno) }
        defer { if path != "-" { close(descriptor) } }
        var bytes: [UInt8] = []
        while true {
            var block = [UInt8](repeating: 0, count: 64 * 1024)
            let got = read(descriptor, &block, block.count)
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw failure("read", path, errno) }
            guard got > 0 else { return bytes }
            bytes.append(contentsOf: block[..<got])
            guard bytes.count <= maximumBytes else {
                throw Failure(
                    .invalidArgument, .tooLarge,
                    "\(path == "-" ? "standard input" : Text.printable(path)) is larger than "
                        + "\(maximumBytes) bytes, the most that one message may hold; split it")
            }
        }
    }

    /// The names in a folder, sorted.
    package static func list(_ path: String) throws(Failure) -> [String] {
        guard let stream = opendir(path) else { throw failure("read", path, errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
