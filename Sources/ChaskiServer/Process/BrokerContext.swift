package import ChaskiModel
import ChaskiRecords
import ChaskiStreams
import ChaskiTransport
import ChaskiWire
import Logging
import NIOCore
import Synchronization

/// What the connections of a broker share. Immutable, or behind a lock of its own.
final class BrokerContext: Sendable {
    let shards: ShardDirectory
    let connections: ConnectionRegistry
    let flow: FlowLimits
    let streams: StreamSettings
    let wire: ChaskiWire.ConnectionConfiguration
    let metrics: BrokerMetrics
    let logger: Logger
    /// When the broker started, by the wall clock.
    let startedWallNanos: Int64

    /// Name and version, as peers are told.
    static let software = "chaski/0.1.0"

    init(
        shards: ShardDirectory, flow: FlowLimits, metrics: BrokerMetrics, logger: Logger,
        startedWallNanos: Int64
    ) {
        self.shards = shards
        connections = ConnectionRegistry(limit: flow.connections)
        self.flow = flow
        let limits = PeerLimits()
        streams = StreamSettings(
            pauseBytes: flow.pauseBytes, resumeBytes: min(flow.resumeBytes, flow.pauseBytes),
            deliverBytes: flow.deliverBytes,
            recordLimits: RecordBatchLimits(
                messages: limits.batchMessages, payloadBytes: limits.payloadBytes,
                batchBytes: limits.unitBytes))
        wire = ConnectionConfiguration(role: .server, limits: limits, software: Self.software)
        self.metrics = metrics
        self.logger = logger
        self.startedWallNanos = startedWallNanos
    }
}

/// The shards of a broker, by namespace.
struct ShardDirectory: Sendable {
    /// In order of their names.
    let ports: [ShardPort]
    private let byName: [String: ShardPort]
    /// Namespaces that could not be opened, and why.
    let fenced: [String: Failure]

    init(_ ports: [ShardPort], fenced: [String: Failure] = [:]) {
        self.ports = ports.sorted { $0.namespace < $1.namespace }
        self.fenced = fenced
        var byName: [String: ShardPort] = [:]
        for port in ports { byName[port.namespace] = port }
        self.byName = byName
    }

    /// The shard of a namespace.
    ///
    /// - Throws: `unknown-namespace`, or why it could not be opened.
    func find(_ namespace: String) throws(Failure) -> ShardPort {
        if let port = byName[namespace] { return port }
        if let failure = fenced[namespace] { throw failure }
        throw .unknownNamespace(namespace)
    }
}

extension Failure {
    /// The broker serves no namespace of this name: `unknown-namespace`.
    package static func unknownNamespace(_ name: String) -> Failure {
        Failure(
            .notFound, .unknownNamespace,
            "this broker has no namespace \"\(name.prefix(100))\"")
    }
}

/// The living connections of a broker.
final class ConnectionRegistry: Sendable {
    private struct State: Sendable {
        var ports: [UInt64: ConnectionPort] = [:]
        var last: UInt64 = 0
        var isDraining = false
        var whenEmpty: EventLoopPromise<Void>?
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// A number that no living connection has, or nil when there are too many.
    func number() -> UInt64? {
        state.withLock { state in
            guard state.ports.count < limit else { return nil }
            repeat {
                state.last = (state.last &+ 1) & Numbering.connectionMask
            } while state.ports[state.last] != nil
            return state.last
        }
    }

    func add(_ port: ConnectionPort) { state.withLock { $0.ports[port.number] = port } }

    func remove(_ number: UInt64) {
        let promise = state.withLock { state -> EventLoopPromise<Void>? in
            state.ports[number] = nil
            guard state.ports.isEmpty else { return nil }
            defer { state.whenEmpty = nil }
            return state.whenEmpty
        }
        promise?.succeed()
    }

    var count: Int { state.withLock { $0.ports.count } }

    /// Whether the broker is on its way out.
    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// Asks every connection to finish; the future is done when the last one is gone.
    func drain(on loop: any EventLoop) -> EventLoopFuture<Void> {
        let promise = loop.makePromise(of: Void.self)
        let ports = state.withLock { state -> [ConnectionPort] in
            state.isDraining = true
            if !state.ports.isEmpty { state.whenEmpty = promise }
            return state.ports.values.sorted { $0.number < $1.number }
        }
        for port in ports { port.loop.execute { port.connection.drain() } }
        if ports.isEmpty { promise.succeed() }
        return promise.futureResult
    }

    /// Closes what is left.
    func closeAll() {
        let ports = state.withLock { $0.ports.values.sorted { $0.number < $1.number } }
        for port in ports { port.loop.execute { port.connection.connection?.closeNow() } }
    }
}
