import ChaskiModel
import ChaskiStreams
import ChaskiTransport
import ChaskiWire
import Logging
import NIOCore

/// One client's connection: joins its socket, its streams and its lines to the shards. Confined to
/// the connection's loop.
final class ServerConnection: ConnectionOwner {
    let number: UInt64
    let loop: any EventLoop
    let broker: BrokerContext
    var connection: Connection?
    /// One line for each namespace that this connection uses.
    var links: [ShardLink] = []
    private(set) lazy var streams = ConnectionStreams(
        number: number, settings: broker.streams, host: self)
    private var isDraining = false
    /// Nothing is asked of shards any more.
    private(set) var isEnded = false

    init(number: UInt64, loop: any EventLoop, broker: BrokerContext) {
        self.number = number
        self.loop = loop
        self.broker = broker
    }

    var port: ConnectionPort { ConnectionPort(number: number, loop: loop, connection: self) }

    // MARK: ConnectionOwner

    func connectionStarted(_ connection: Connection) {
        self.connection = connection
        broker.connections.add(port)
        broker.metrics.connectionOpened()
        if broker.connections.isDraining { drain() }
    }

    func eventsArrived(on connection: Connection) {
        while let event = connection.machine.nextEvent() { handle(event, connection) }
        endTurn()
    }

    func outputDrained(on connection: Connection) { streams.outputDrained() }

    func connectionEnded(_ connection: Connection) {
        guard !isEnded else { return }
        isEnded = true
        streams.connectionEnded()
        for link in links { link.send(.detach) }
        flushLines()
        // A line knows its connection: they would keep each other.
        links.removeAll()
        broker.connections.remove(number)
        broker.metrics.connectionClosed(connection.machine.counters)
        self.connection = nil
    }

    // MARK: Events

    private func handle(_ event: ConnectionEvent, _ connection: Connection) {
        switch event {
        case .helloReceived(let hello):
            broker.logger.debug(
                "client connected",
                metadata: [
                    "peer": "\(connection.peerDescription)", "client": "\(hello.clientName)",
                    "software": "\(hello.software)",
                ])
            connection.machine.welcome(identity: "anonymous", now: Connection.nowNanos())
        case .welcomed, .writable, .goingAway:
            break
        case .opened(let id, let open):
            streams.opened(id, open)
        case .message(let id, let message):
            streams.received(message, on: id)
        case .halfClosed(let id):
            streams.halfClosed(id)
        case .closed(let id, _):
            streams.abandoned(id)
        case .reset(let id, _):
            streams.abandoned(id)
        case .failed(let failure):
            broker.logger.info(
                "connection failed",
                metadata: [
                    "peer": "\(connection.peerDescription)",
                    "reason": "\(failure.reason.rawValue)", "detail": "\(failure.message)",
                ])
            broker.metrics.connectionFailed(failure.reason)
            connection.closeWhenFlushed()
        }
    }

    // MARK: Turns

    /// Takes one event of a shard; `turnEnded` follows the last of a run.
    func take(_ event: ShardEvent) {
        if case .turnEnded = event {
            endTurn()
        } else {
            streams.take(event)
        }
    }

    /// The end of a run of events or of what a shard had to say.
    func endTurn() {
        streams.endTurn()
        finishDrain()
        connection?.setNeedsFlush()
    }

    /// Says goodbye: requests under way are answered, then the connection closes.
    func drain() {
        guard !isDraining, let connection else { return }
        isDraining = true
        connection.machine.goAway(.draining, now: Connection.nowNanos())
        streams.beginDrain()
        endTurn()
    }

    private func finishDrain() {
        if isDraining, streams.isAnswered { connection?.closeWhenFlushed() }
    }
}
