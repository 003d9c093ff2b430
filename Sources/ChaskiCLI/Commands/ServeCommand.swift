import ArgumentParser
import ChaskiModel
import ChaskiServer
import ChaskiStorage
private import Logging
private import ServiceLifecycle

/// `chaski serve`: a broker, until SIGTERM or Ctrl-C.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run a broker.",
        discussion: """
            It listens once its data is recovered, and drains on SIGTERM and Ctrl-C: what is under \
            way is finished and synced, and clients are told to reconnect. A broker without \
            authentication listens on loopback addresses only, unless told --insecure.

            Every option can be given as a variable: --data is CHASKI_DATA, --event-loops is \
            CHASKI_EVENT_LOOPS, and so on; namespaces are separated by commas.
            """)

    @Option(help: ArgumentHelp("Where to listen (127.0.0.1:7420).", valueName: "host:port"))
    var listen: String?

    @Option(help: ArgumentHelp("The data directory (./chaski-data).", valueName: "folder"))
    var data: String?

    @Option(
        name: .customLong("namespace"),
        help: ArgumentHelp(
            "A namespace to serve beside \"default\" and those that have data; may be repeated.",
            valueName: "name"))
    var namespaces: [String] = []

    @Flag(help: "Listen beyond loopback without TLS and authentication.")
    var insecure = false

    @Option(help: ArgumentHelp("Threads for connections and namespaces (1).", valueName: "count"))
    var eventLoops: Int?

    @Option(
        help: ArgumentHelp("Threads that read old messages from disk (2).", valueName: "count"))
    var readers: Int?

    @Option(help: "trace, debug, info, notice, warning, error or critical (info).")
    var logLevel: String?

    @Option(
        help: .duration("How long a shutdown waits for clients (10s)."))
    var drain: DurationArgument?

    @Option(help: .size("Bytes of a journal file (64MiB)."))
    var journalFile: SizeArgument?

    @Option(
        help: .size("Disk set aside for acknowledgements and checkpoints (128MiB)."))
    var journalReserve: SizeArgument?

    @Option(
        help: .size("Journal between two checkpoints (256MiB)."))
    var journalCheckpoint: SizeArgument?

    @Option(
        help: .size("Most bytes of one write and sync (4MiB)."))
    var journalGroup: SizeArgument?

    @Option(
        help: .size("Memory for recent messages, per namespace (32MiB)."))
    var journalCache: SizeArgument?

    @Option(
        help: .size("Bytes a second to compact old files with, per namespace; 0: no limit (32MiB).")
    )
    var compactionRate: SizeArgument?

    @Option(
        help: .duration("How long history outlives its messages; 0s: not at all (7d)."))
    var history: DurationArgument?

    @Option(
        help: .size("Most bytes of history, per namespace (a twentieth of the disk)."))
    var historySize: SizeArgument?

    func run() async throws {
        let logger = try makeLogger()
        do {
            let server = try BrokerServer(configuration: try configuration(), logger: logger)
            let group = ServiceGroup(
                configuration: ServiceGroupConfiguration(
                    services: [
                        .init(
                            service: server, successTerminationBehavior: .gracefullyShutdownGroup,
                            failureTerminationBehavior: .cancelGroup)
                    ], logger: logger))
            let stopping = Task {
                await Interruption.shared.wait()
                if Interruption.shared.isRequested { await group.triggerGracefulShutdown() }
            }
            defer { stopping.cancel() }
            try await group.run()
        } catch let problem as StartupFailure {
            throw Self.told(problem)
        }
    }

    private func makeLogger() throws -> Logger {
        let name = Environment.process.resolve(logLevel, "LOG_LEVEL", default: "info")
        guard let level = Logger.Level(rawValue: name) else {
            throw Failure(
                .invalidArgument, .invalidOption,
                "--log-level \"\(Text.printable(name))\" is not trace, debug, info, notice, "
                    + "warning, error or critical")
        }
        var logger = Logger(label: "chaski", factory: StreamLogHandler.standardError(label:))
        logger.logLevel = level
        return logger
    }

    private func configuration() throws -> ServerConfiguration {
        let environment = Environment.process
        var configuration = ServerConfiguration()
        let address = environment.resolve(listen, "LISTEN", default: HostPort.standard.description)
        let place = try HostPort.parse(
            address, source: listen == nil ? "CHASKI_LISTEN" : "--listen")
        configuration.host = place.host
        configuration.port = place.port
        configuration.dataDirectory = environment.resolve(
            data, "DATA", default: configuration.dataDirectory)
        configuration.namespaces =
            namespaces.isEmpty
            ? (environment.text("NAMESPACE") ?? "").split(separator: ",").map { String($0) }
            : namespaces
        configuration.insecure = try environment.resolve(insecure, "INSECURE")
        configuration.eventLoopThreads =
            try environment.resolve(eventLoops, "EVENT_LOOPS") { Int($0) }
            ?? configuration.eventLoopThreads
        configuration.readerThreads =
            try environment.resolve(readers, "READERS") { Int($0) } ?? configuration.readerThreads
        configuration.drainNanos =
            try environment.resolve(drain, "DRAIN", parse: DurationArgument.init(argument:))?.nanos
            ?? configuration.drainNanos
        try apply(to: &configuration.journal)
        return configuration
    }

    private func apply(to journal: inout JournalConfiguration) throws {
        func size(_ given: SizeArgument?, _ name: String, _ value: inout Int) throws {
            guard
                let size = try Environment.process.resolve(
                    given, name, parse: SizeArgument.init(argument:))
            else { return }
            value = Int(clamping: size.bytes)
        }
        try size(journalFile, "JOURNAL_FILE", &journal.fileBytes)
        try size(journalReserve, "JOURNAL_RESERVE", &journal.reserveBytes)
        try size(journalCheckpoint, "JOURNAL_CHECKPOINT", &journal.checkpointBytes)
        try size(journalGroup, "JOURNAL_GROUP", &journal.maximumGroupBytes)
        try size(journalCache, "JOURNAL_CACHE", &journal.cacheBytes)
        try size(compactionRate, "COMPACTION_RATE", &journal.compactionBytesPerSecond)
        journal.historyNanos =
            try Environment.process.resolve(
                history, "HISTORY", parse: DurationArgument.init(argument:))?.nanos
            ?? journal.historyNanos
        journal.historyBytes =
            try Environment.process.resolve(
                historySize, "HISTORY_SIZE", parse: SizeArgument.init(argument:))?.bytes
            ?? journal.historyBytes
    }

    /// The broker's own words, under this program's exit status.
    static func told(_ problem: StartupFailure) -> any Error {
        let status: ProgramStatus =
            switch problem.kind {
            case .configuration: .usage
            case .software: .internalError
            case .disk, .damaged: .ioError
            case .portInUse, .address, .directoryInUse: .cannotCreate
            case .newerFormat: .protocolError
            }
        return ToldFailure(failure: problem.failure, status: status)
    }
}
