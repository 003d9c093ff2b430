import ChaskiBroker
import ChaskiDisk
import ChaskiModel
import ChaskiStorage
import Logging
import NIOCore

/// Opens the namespaces of a data directory: each journal is recovered before its shard exists.
struct NamespaceOpener: Sendable {
    let configuration: ServerConfiguration
    let readers: Readers
    let upkeep: UpkeepWorker
    let admission: DiskAdmission
    let metrics: BrokerMetrics
    let logger: Logger

    /// The names to open: those asked for, "default", and those that have a journal already; in
    /// order.
    func names() throws -> [String] {
        let root = try PosixFileSystem(path: configuration.dataDirectory)
        var names = Set(configuration.namespaces)
        names.insert("default")
        for name in try root.list() where ServerConfiguration.isNamespace(name) {
            if hasJournal(name) { names.insert(name) }
        }
        guard names.count <= ServerConfiguration.maximumNamespaces else {
            throw StartupFailure(
                .configuration,
                Failure(
                    .invalidArgument, .invalidSetting,
                    "\(configuration.dataDirectory) holds \(names.count) namespaces; at most "
                        + "\(ServerConfiguration.maximumNamespaces) are served"))
        }
        return names.sorted()
    }

    private func hasJournal(_ name: String) -> Bool {
        guard let folder = try? PosixFileSystem(path: path(name)), let files = try? folder.list()
        else { return false }
        return files.contains(JournalName.lock)
    }

    private func path(_ name: String) -> String { "\(configuration.dataDirectory)/\(name)" }

    /// Recovers one namespace and begins its shard. Blocks; called on the shard's loop before
    /// anything is served there.
    func open(_ name: String, on loop: any EventLoop) throws -> ShardPort {
        var logger = logger
        logger[metadataKey: "namespace"] = "\(name)"
        let fileSystem = try PosixFileSystem(path: path(name))
        let system = SystemClock()
        var random = SystemRandomNumberGenerator()
        let machine = NamespaceMachine(configuration: BrokerConfiguration(seed: random.next()))
        let journal = try Journal.open(
            fileSystem: fileSystem, configuration: configuration.journal, clock: system.reading(),
            newIdentity: UInt128(random.next()) << 64 | UInt128(random.next())
        ) { machine.replay($0.entry, time: $0.time) }
        report(journal.recovery, logger)
        if let failure = machine.replayFailure {
            journal.close()
            throw failure
        }

        var clock = BrokerClock(
            offset: journal.recovery.clockOffset,
            lastJournaled: journal.recovery.lastTime?.clock ?? 0)
        machine.recovered(epoch: journal.recovery.epoch, now: clock.now())
        journal.index.retainOnly(
            machine.topics().map { (topic: $0.id, from: $0.firstOffset) })
        for (topic, ranges) in machine.releasedRanges() {
            for range in ranges { journal.index.released(topic, range) }
        }
        let parts = ShardParts(
            namespace: name, journal: journal, worker: JournalWorker(journal: journal),
            upkeep: upkeep, readers: readers, fileSystem: fileSystem, admission: admission,
            flow: configuration.flow, journalConfiguration: configuration.journal,
            metrics: metrics, logger: logger, machine: machine, clock: clock)
        return Shard(parts, loop: loop).open()
    }

    private func report(_ recovery: RecoveryReport, _ logger: Logger) {
        logger.info(
            "journal recovered",
            metadata: [
                "epoch": "\(recovery.epoch)", "files": "\(recovery.files)",
                "replayed-bytes": "\(recovery.replayedBytes)",
                "replayed-groups": "\(recovery.replayedGroups)",
            ])
        if let tail = recovery.cutTail {
            logger.notice("an unfinished write was cut off", metadata: ["at": "\(tail)"])
        }
        for segment in recovery.damagedSegments {
            logger.error(
                "damaged segment: what it holds of its topic cannot be read",
                metadata: [
                    "topic": "\(segment.topic.rawValue)",
                    "file": "\(JournalName.segmentFile(segment))",
                ])
        }
        for damage in recovery.damage {
            logger.error(
                "damaged batch",
                metadata: [
                    "topic": "\(damage.location.topic.rawValue)",
                    "offset": "\(damage.location.baseOffset)",
                    "detail": "\(damage.failure.message)",
                ])
        }
    }
}
