import ChaskiBroker
import ChaskiModel
import ChaskiRecords
import ChaskiStreams
import ChaskiWire

/// The broker's end of a connection: the production machine and streams, with the simulated host
/// in the place of sockets and loops.
final class WireBroker {
    let number: Int
    private unowned let host: BrokerHost
    var machine: ConnectionMachine
    private(set) lazy var streams = ConnectionStreams(
        number: UInt64(number), settings: host.streamSettings, host: self)
    /// Requests of this turn for the namespace.
    private var outbox: [ShardRequest] = []
    private(set) var hasFailed = false

    init(number: Int, host: BrokerHost, _ configuration: ConnectionConfiguration) {
        self.number = number
        self.host = host
        machine = ConnectionMachine(configuration, now: host.simulation.now)
    }

    private var now: Int64 { host.simulation.now }

    /// Handles what came of received bytes or a timer.
    func handleEvents() {
        while let event = machine.nextEvent() { handle(event) }
        streams.endTurn()
    }

    private func handle(_ event: ConnectionEvent) {
        switch event {
        case .helloReceived: machine.welcome(identity: "simulated", now: now)
        case .welcomed, .writable, .goingAway: break
        case .opened(let id, let open): streams.opened(id, open)
        case .message(let id, let message): streams.received(message, on: id)
        case .halfClosed(let id): streams.halfClosed(id)
        case .closed(let id, _), .reset(let id, _): streams.abandoned(id)
        case .failed(let failure):
            hasFailed = true
            host.simulation.wireFailed(failure, atBroker: true, on: number)
        }
    }
}

extension WireBroker: StreamsHost {
    func send(
        _ protobuf: [UInt8], _ attachment: Bytes, on stream: StreamID, class: TrafficClass,
        end: Bool
    ) {
        // What cannot be queued ends the stream or the connection, with an event.
        try? machine.send(
            on: stream, protobuf: protobuf, attachment: attachment, end: end, class: `class`,
            now: now)
    }

    func consumed(_ stream: StreamID, bytes: Int) { machine.consumed(stream, bytes: bytes) }
    func close(_ stream: StreamID, _ failure: Failure?) {
        machine.close(stream, failure, now: now)
    }
    func release(_ stream: StreamID) { machine.release(stream) }
    var peerLimits: PeerLimits { machine.peerLimits ?? PeerLimits() }
    var queuedBytes: Int { machine.queuedBytes }

    func scheduleDeadline(of stream: StreamID, nanos: Int64) {
        host.simulation.queue.schedule(
            .callDeadline(connection: number, stream: stream), at: now + nanos)
    }

    func line(to namespace: String) throws(Failure) -> Int {
        guard namespace == WireClient.namespace else {
            throw Failure(.notFound, .unknownNamespace, "no namespace \(namespace)")
        }
        return 0
    }

    func send(_ request: ShardRequest, over line: Int) { outbox.append(request) }

    func flushLines() {
        while !outbox.isEmpty {
            let requests = outbox
            outbox.removeAll(keepingCapacity: true)
            host.take(requests)
        }
    }

    func answerStatus(_ stream: UnaryStream) {
        stream.answered(.failure(Failure(.unimplemented, .unknownMethod, "not simulated")))
    }

    func batchReceived(messages: Int) {}
    func delivered(messages: Int) {}

    func batchNotDelivered(_ batch: StoredBatch, _ failure: Failure) {
        host.oracle.violated(
            "A1", "the batch at \(batch.baseOffset) cannot be sent: \(failure.message)")
    }
}
