import ChaskiModel
package import ChaskiStorage

/// What a broker is started with.
package struct ServerConfiguration: Sendable {
    /// Where to listen. Anything but a loopback address needs `insecure`.
    package var host = "127.0.0.1"
    /// 0 takes any free port.
    package var port = 7420
    /// One folder per namespace lies in it; made where it does not exist.
    package var dataDirectory = "./chaski-data"
    /// Namespaces to serve beside those that have a folder; "default" is always served.
    package var namespaces: [String] = []
    /// Listens beyond loopback without authentication.
    package var insecure = false
    /// Threads that connections and shards run on, 1 to 64.
    package var eventLoopThreads = 1
    /// Threads that read old messages from disk, 1 to 64.
    package var readerThreads = 2
    /// How long a drain waits for what is in flight, nanoseconds.
    package var drainNanos: Int64 = 10_000_000_000
    package var journal = JournalConfiguration()
    package var flow = FlowLimits()

    package init() {}

    /// Most namespaces that one broker serves.
    package static let maximumNamespaces = 1_000

    /// Throws where a setting cannot be.
    package func check() throws(StartupFailure) {
        guard insecure || Self.isLoopback(host) else {
            throw StartupFailure(
                .configuration,
                Failure(
                    .invalidArgument, .invalidSetting,
                    "refusing to listen on \(host): without authentication only loopback addresses "
                        + "are served; say --insecure to do it all the same"))
        }
        guard (0...65_535).contains(port) else {
            throw Self.invalid("port \(port) is not between 0 and 65535")
        }
        guard (1...64).contains(eventLoopThreads), (1...64).contains(readerThreads) else {
            throw Self.invalid("thread counts must be between 1 and 64")
        }
        guard namespaces.count <= Self.maximumNamespaces else {
            throw Self.invalid("\(namespaces.count) namespaces; at most 1,000 are served")
        }
        for name in namespaces where !Self.isNamespace(name) {
            throw Self.invalid(
                "namespace \"\(name.prefix(80))\" is not 1 to 100 of a-z, 0-9, '-', '_' and '.', "
                    + "beginning with a letter or digit")
        }
        if let problem = journal.problem { throw StartupFailure(.configuration, problem) }
    }

    /// Whether `name` may be a namespace: it is also the name of a folder.
    package static func isNamespace(_ name: String) -> Bool {
        let bytes = name.utf8
        guard (1...100).contains(bytes.count), let first = bytes.first else { return false }
        func isWord(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
        guard isWord(first) else { return false }
        return bytes.allSatisfy {
            isWord($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
                || $0 == UInt8(ascii: ".")
        }
    }

    /// Whether `host` can only be reached from this machine.
    package static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func invalid(_ message: String) -> StartupFailure {
        StartupFailure(.configuration, Failure(.invalidArgument, .invalidSetting, message))
    }
}

/// What the server holds in memory for its peers, at most.
package struct FlowLimits: Hashable, Sendable {
    /// Outbound bytes of a connection beyond which its consumers are handed nothing new, and
    /// below which they are again.
    package var pauseBytes = 2 << 20
    package var resumeBytes = 512 << 10
    /// Bytes of deliveries put into one message.
    package var deliverBytes = 512 << 10
    /// Bytes read from the journal at once for one consumer, at most.
    package var readBytes = 1 << 20
    /// Bytes of a group while another namespace waits for the disk.
    package var sharedGroupBytes = 256 << 10
    /// Nanoseconds that a shard works before others get their turn.
    package var turnNanos: Int64 = 1_000_000
    /// Connections at once.
    package var connections = 20_000

    package init() {}
}
