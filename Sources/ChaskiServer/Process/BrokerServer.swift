import ChaskiDisk
import ChaskiModel
import ChaskiStorage
import ChaskiTransport
import ChaskiWire
package import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// A broker process: recovers its namespaces, listens, and on shutdown lets go of nothing that
/// it has accepted.
package final class BrokerServer: Sendable {
    private let configuration: ServerConfiguration
    private let logger: Logger
    private let metrics = BrokerMetrics()
    private let listening = ListeningPort()

    /// - Throws: a setting that cannot be.
    package init(configuration: ServerConfiguration, logger: Logger) throws(StartupFailure) {
        try configuration.check()
        self.configuration = configuration
        self.logger = logger
    }

    /// The port that it listens on, once everything is recovered.
    ///
    /// - Throws: a `StartupFailure` when it never will.
    package func port() async throws -> Int { try await listening.get() }

    /// Serves until a graceful shutdown, or until the task is cancelled.
    ///
    /// - Throws: a `StartupFailure`.
    package func run() async throws {
        ProcessFigures.raiseFileLimit()
        let threads = BrokerThreads(
            loops: MultiThreadedEventLoopGroup(numberOfThreads: configuration.eventLoopThreads),
            readers: Readers(threads: configuration.readerThreads),
            upkeep: UpkeepWorker(
                bytesPerSecond: configuration.journal.compactionBytesPerSecond))
        do {
            // Before a data directory is made or opened; it listens when that is recovered.
            try AddressProbe.check(host: configuration.host, port: configuration.port)
            let shards = try await openNamespaces(threads)
            let broker = BrokerContext(
                shards: shards, flow: configuration.flow, metrics: metrics, logger: logger,
                startedWallNanos: SystemClock().reading().wallNanos)
            try await serve(broker, threads)
            await threads.stop()
        } catch {
            let failure = StartupFailure(error, configuration)
            listening.resolve(.failure(failure))
            await threads.stop()
            throw failure
        }
    }

    // MARK: Start

    private func openNamespaces(_ threads: BrokerThreads) async throws -> ShardDirectory {
        let opener = NamespaceOpener(
            configuration: configuration, readers: threads.readers, upkeep: threads.upkeep,
            admission: DiskAdmission(
                concurrency: 2, sharedGroupBytes: configuration.flow.sharedGroupBytes),
            metrics: metrics, logger: logger)
        let names = try opener.names()
        var ports: [ShardPort] = []
        var fenced: [String: Failure] = [:]
        do {
            for name in names {
                let loop = threads.loops.next()
                let port = loop.submit { try opener.open(name, on: loop) }
                do {
                    ports.append(try await port.get())
                } catch let failure as Failure where failure.reason == .damaged {
                    // Its neighbours need not suffer for it.
                    guard names.count > 1 else { throw failure }
                    fenced[name] = failure
                    logger.critical(
                        "namespace is fenced",
                        metadata: ["namespace": "\(name)", "detail": "\(failure.message)"])
                }
            }
            if ports.isEmpty, let name = fenced.keys.min(), let failure = fenced[name] {
                throw failure
            }
        } catch {
            await stop(ports, threads.upkeep)
            throw error
        }
        return ShardDirectory(ports, fenced: fenced)
    }

    private func serve(_ broker: BrokerContext, _ threads: BrokerThreads) async throws {
        let group = threads.loops
        let channel: any Channel
        do {
            channel = try await Sockets.listen(
                host: configuration.host, port: configuration.port, on: group.any(),
                connections: group
            ) { loop in Self.makeConnection(broker, loop) }.get()
        } catch {
            await stop(broker.shards.ports, threads.upkeep)
            throw error
        }
        let port = channel.localAddress?.port ?? configuration.port
        logger.notice(
            "listening", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
        listening.resolve(.success(port))

        // A cancelled task goes the same way.
        try? await gracefulShutdown()
        logger.notice("shutting down")
        try? await channel.close().get()
        await drain(broker, threads.upkeep, on: group.any())
    }

    private static func makeConnection(
        _ broker: BrokerContext, _ loop: any EventLoop
    )
        -> Connection?
    {
        guard let number = broker.connections.number() else { return nil }
        return Connection(
            machine: ConnectionMachine(broker.wire, now: Connection.nowNanos()),
            owner: ServerConnection(number: number, loop: loop, broker: broker))
    }

    // MARK: End

    /// Refuses new work, lets what is in flight finish, says goodbye, and syncs the rest.
    private func drain(
        _ broker: BrokerContext, _ upkeep: UpkeepWorker, on loop: any EventLoop
    ) async {
        for port in broker.shards.ports {
            try? await port.loop.submit { port.shard.beginDrain() }.get()
        }
        let gone = broker.connections.drain(on: loop)
        let deadline = loop.scheduleTask(in: .nanoseconds(configuration.drainNanos)) {
            broker.connections.closeAll()
        }
        try? await gone.get()
        deadline.cancel()
        await stop(broker.shards.ports, upkeep)
    }

    private func stop(_ ports: [ShardPort], _ upkeep: UpkeepWorker) async {
        // It must not touch a directory that is given back.
        await upkeep.stop()
        for port in ports {
            try? await port.loop.flatSubmit { port.shard.finish() }.get()
            if let worker = try? await port.loop.submit({ port.shard.worker }).get() {
                await worker.stop()
            }
        }
    }
}

/// The threads of a broker that are shared by all namespaces.
private struct BrokerThreads: Sendable {
    let loops: MultiThreadedEventLoopGroup
    let readers: Readers
    let upkeep: UpkeepWorker

    func stop() async {
        await upkeep.stop()
        try? await readers.pool.shutdownGracefully()
        try? await loops.shutdownGracefully()
    }
}

extension BrokerServer: Service {}
