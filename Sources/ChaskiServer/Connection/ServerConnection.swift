import ChaskiBroker
import ChaskiModel
import ChaskiProtobuf
import ChaskiTransport
import ChaskiWire
import Logging
import NIOCore

/// One client's connection: turns its streams' messages into requests to shards, and what shards
/// say into messages. Confined to the connection's loop.
final class ServerConnection: ConnectionOwner {
    let number: UInt64
    let loop: any EventLoop
    let broker: BrokerContext
    var connection: Connection?
    /// One line for each namespace that this connection uses.
    private var links: [ShardLink] = []
    private var linkIndices: [String: Int] = [:]
    var streams: [StreamID: ServerStream] = [:]
    /// Requests that shards have not answered, by own number.
    private var pending: [UInt64: Pending] = [:]
    private var lastRequest: UInt64 = 0
    private var lastConsumer: UInt64 = 0
    private var consumers: [UInt64: ConsumeStream] = [:]
    /// Streams that have gathered something to say in this turn.
    private var gathering: [StreamID] = []
    private var isDraining = false
    /// Whether the outbound queue is so long that consumers are handed nothing new.
    private(set) var isPaused = false
    private var isEnded = false

    init(number: UInt64, loop: any EventLoop, broker: BrokerContext) {
        self.number = number
        self.loop = loop
        self.broker = broker
    }

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

    func outputDrained(on connection: Connection) {
        guard isPaused, connection.machine.queuedBytes <= broker.flow.resumeBytes else { return }
        isPaused = false
        for stream in consumeStreams { stream.resume() }
        flushLinks()
    }

    func connectionEnded(_ connection: Connection) {
        guard !isEnded else { return }
        isEnded = true
        for stream in consumeStreams { stream.abandon() }
        streams.removeAll()
        pending.removeAll()
        consumers.removeAll()
        for link in links { link.send(.detach) }
        flushLinks()
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
            self.open(id, open)
        case .message(let id, let message):
            receive(message, on: id)
        case .halfClosed(let id):
            streams[id]?.ended()
        case .closed(let id, _):
            abandon(id)
        case .reset(let id, _):
            abandon(id)
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

    private func receive(_ message: InboundMessage, on id: StreamID) {
        guard let stream = streams[id] else { return consumed(id, message.windowBytes) }
        do throws(Failure) {
            try stream.receive(message)
            if message.end { stream.ended() }
        } catch {
            consumed(id, message.windowBytes)
            end(id, error)
        }
    }

    // MARK: Turns

    /// The end of a run of events or of what a shard had to say.
    func endTurn() {
        while let id = gathering.popLast() { streams[id]?.sendGathered() }
        flushLinks()
        checkPause()
        finishDrain()
        connection?.setNeedsFlush()
    }

    private func flushLinks() {
        for link in links { link.flush() }
    }

    /// `stream` has something that `endTurn` shall send.
    func willGather(_ id: StreamID) { gathering.append(id) }

    /// Stops hand-outs while more waits to be sent than should.
    func checkPause() {
        guard !isPaused, let connection,
            connection.machine.queuedBytes > broker.flow.pauseBytes
        else { return }
        isPaused = true
        for stream in consumeStreams { stream.pause() }
    }

    // MARK: Requests to shards

    var port: ConnectionPort { ConnectionPort(number: number, loop: loop, connection: self) }

    /// The index of the line to a namespace.
    func link(to namespace: String) throws(Failure) -> Int {
        if let index = linkIndices[namespace] { return index }
        let shard = try broker.shards.find(namespace)
        let link = ShardLink(shard: shard, connection: port)
        link.send(.attach)
        links.append(link)
        linkIndices[namespace] = links.count - 1
        return links.count - 1
    }

    func send(_ request: ShardRequest, over link: Int) { links[link].send(request) }

    /// A number for a request whose reply goes to `stream`, with what it needs then.
    func expect(_ pending: Pending) -> RequestID {
        lastRequest = (lastRequest &+ 1) & Numbering.ownMask
        self.pending[lastRequest] = pending
        return RequestID(rawValue: Numbering.raw(connection: number, own: lastRequest))
    }

    func addConsumer(_ stream: ConsumeStream) -> ConsumerID {
        lastConsumer = (lastConsumer &+ 1) & Numbering.ownMask
        consumers[lastConsumer] = stream
        return ConsumerID(rawValue: Numbering.raw(connection: number, own: lastConsumer))
    }

    func removeConsumer(_ id: ConsumerID) {
        consumers[id.rawValue & Numbering.ownMask] = nil
    }

    // MARK: What shards say

    /// Takes one event of a shard; `turnEnded` follows the last of a run.
    func take(_ event: ShardEvent) {
        switch event {
        case .replied(let request, let result):
            take(request)?.replied(result)
        case .bound(let request, let result):
            take(request)?.bound(result)
        case .subscribed(let request, let result):
            take(request)?.subscribed(result)
        case .answered(let request, let result):
            take(request)?.answered(result)
        case .deliver(let consumer, let deliveries):
            consumers[consumer.rawValue & Numbering.ownMask]?.deliver(deliveries, to: consumer)
            checkPause()
        case .ended(let consumer, let failure):
            consumers[consumer.rawValue & Numbering.ownMask]?.consumerEnded(consumer, failure)
        case .stalled(let consumer, let failure):
            consumers[consumer.rawValue & Numbering.ownMask]?.stalled(consumer, failure)
        case .turnEnded:
            endTurn()
        }
    }

    private func take(_ request: RequestID) -> Pending? {
        pending.removeValue(forKey: request.rawValue & Numbering.ownMask)
    }

    /// Answers a request that never went to a shard.
    func answer(_ request: RequestID, _ result: Result<Reply, Failure>) {
        take(request)?.replied(result)
    }

    // MARK: Output

    /// Sends an answer on a stream that is still there; what cannot be encoded ends the stream.
    func send(_ message: some ChaskiProtobuf.Message, _ attachment: [UInt8] = [], on id: StreamID) {
        do throws(Failure) {
            send(try message.bytes(), attachment[...], on: id, class: .control)
        } catch {
            end(id, error)
        }
    }

    /// Bytes of the largest attachment of deliveries that the peer takes.
    var largestAttachment: Int {
        let limits = connection?.machine.peerLimits ?? PeerLimits()
        let unit = min(
            limits.unitBytes, limits.streamWindowBytes / 2,
            limits.connectionWindowBytes / 2 - PeerLimits.windowReserveBytes)
        return max(unit - DeliveryWriter.prefixBytes, 1)
    }

    /// Sends record batches.
    func deliver(_ prefix: [UInt8], _ attachment: [UInt8], on id: StreamID) {
        send(prefix, attachment[...], on: id, class: .batch)
    }

    /// Sends one message. A queue that is full ends the connection with an event of its own; a
    /// stream that is over takes nothing more.
    func send(
        _ protobuf: [UInt8], _ attachment: Bytes, on id: StreamID, class trafficClass: TrafficClass,
        end: Bool = false
    ) {
        guard streams[id] != nil else { return }
        do throws(Failure) {
            try connection?.machine.send(
                on: id, protobuf: protobuf, attachment: attachment, end: end, class: trafficClass,
                now: Connection.nowNanos())
        } catch {
            broker.logger.debug(
                "a message was not sent", metadata: ["reason": "\(error.reason.rawValue)"])
        }
    }

    /// Gives window bytes back for a message that was dealt with.
    func consumed(_ id: StreamID, _ bytes: Int) {
        connection?.machine.consumed(id, bytes: bytes)
    }

    // MARK: Ends

    /// Ends a stream from our side; nil is OK.
    func end(_ id: StreamID, _ failure: Failure?) {
        guard streams.removeValue(forKey: id) != nil else { return }
        connection?.machine.close(id, failure, now: Connection.nowNanos())
    }

    /// The peer ended the stream; its slot is free once our work on it is over.
    private func abandon(_ id: StreamID) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        stream.abandon()
        if !stream.isBusy { release(id) }
    }

    /// The work on a stream is over: where the peer ended it before, its slot is free now.
    func release(_ id: StreamID) {
        if streams[id] == nil { connection?.machine.release(id) }
    }

    /// Ends a stream whose caller waits no longer.
    func scheduleDeadline(_ id: StreamID, nanos: Int64) {
        loop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .nanoseconds(nanos)) { [weak self] in
            guard let self, self.streams[id] != nil else { return }
            self.end(
                id,
                Failure(
                    .deadlineExceeded, .deadlineExceeded, "The call's time is over."))
            self.endTurn()
        }
    }

    /// Says goodbye: requests under way are answered, then the connection closes.
    func drain() {
        guard !isDraining, let connection else { return }
        isDraining = true
        connection.machine.goAway(.draining, now: Connection.nowNanos())
        for stream in consumeStreams { stream.pause() }
        endTurn()
    }

    private func finishDrain() {
        if isDraining, pending.isEmpty { connection?.closeWhenFlushed() }
    }

    /// In order of the streams' ids, so that nothing depends on a table's order.
    private var consumeStreams: [ConsumeStream] {
        streams.keys.sorted().compactMap {
            if case .consume(let stream)? = streams[$0] { return stream }
            return nil
        }
    }
}
