import ChaskiBroker
import ChaskiModel
import ChaskiProtobuf
package import ChaskiWire

/// The streams of one client's connection: turns their messages into requests to shards, and what
/// shards say into messages. Pure: sockets, loops and clocks are its host's.
///
/// The host gives it each event of the connection's machine and each event of a shard, and calls
/// `endTurn` after a run of either.
package final class ConnectionStreams {
    /// Unique among the living connections of a process.
    package let number: UInt64
    package let settings: StreamSettings
    unowned let host: any StreamsHost
    /// The lines of the namespaces that this connection uses.
    private var lines: [String: Int] = [:]
    var streams: [StreamID: ServerStream] = [:]
    /// Requests that shards have not answered, by own number.
    private var pending: [UInt64: Pending] = [:]
    private var lastRequest: UInt64 = 0
    private var lastConsumer: UInt64 = 0
    private var consumers: [UInt64: ConsumeStream] = [:]
    /// Streams that have gathered something to say in this turn.
    private var gathering: [StreamID] = []
    /// Whether the outbound queue is so long that consumers are handed nothing new.
    package private(set) var isPaused = false

    /// - Parameter host: outlives the streams.
    package init(number: UInt64, settings: StreamSettings, host: any StreamsHost) {
        self.number = number
        self.settings = settings
        self.host = host
    }

    /// Whether every request has had its answer.
    package var isAnswered: Bool { pending.isEmpty }
    /// Streams and requests at the moment, for checks of what is left over.
    package var tableSizes: (streams: Int, requests: Int, consumers: Int) {
        (streams.count, pending.count, consumers.count)
    }

    // MARK: Events of the connection

    package func opened(_ id: StreamID, _ open: OpenRequest) { self.open(id, open) }

    package func received(_ message: InboundMessage, on id: StreamID) {
        guard let stream = streams[id] else { return consumed(id, message.windowBytes) }
        do throws(Failure) {
            try stream.receive(message)
            if message.end { stream.ended() }
        } catch {
            consumed(id, message.windowBytes)
            end(id, error)
        }
    }

    package func halfClosed(_ id: StreamID) { streams[id]?.ended() }

    /// The peer ended the stream, or reset it; its slot is free once our work on it is over.
    package func abandoned(_ id: StreamID) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        stream.abandon()
        if !stream.isBusy { release(id) }
    }

    /// Output has gone out: consumers go on where little enough is left.
    package func outputDrained() {
        guard isPaused, host.queuedBytes <= settings.resumeBytes else { return }
        isPaused = false
        for stream in consumeStreams { stream.resume() }
        host.flushLines()
    }

    /// The connection is over: what its consumers hold waits for their sessions.
    package func connectionEnded() {
        for stream in consumeStreams { stream.abandon() }
        streams.removeAll()
        pending.removeAll()
        consumers.removeAll()
    }

    /// The time of a call is over.
    package func deadlinePassed(of id: StreamID) {
        guard streams[id] != nil else { return }
        end(id, Failure(.deadlineExceeded, .deadlineExceeded, "The call's time is over."))
    }

    /// Consumers are handed nothing new from now on; the connection is about to be closed.
    package func beginDrain() {
        for stream in consumeStreams { stream.pause() }
    }

    // MARK: Turns

    /// The end of a run of events or of what a shard had to say.
    package func endTurn() {
        while let id = gathering.popLast() { streams[id]?.sendGathered() }
        host.flushLines()
        checkPause()
    }

    /// `stream` has something that `endTurn` shall send.
    func willGather(_ id: StreamID) { gathering.append(id) }

    /// Stops hand-outs while more waits to be sent than should.
    private func checkPause() {
        guard !isPaused, host.queuedBytes > settings.pauseBytes else { return }
        isPaused = true
        for stream in consumeStreams { stream.pause() }
    }

    // MARK: Requests to shards

    /// The index of the line to a namespace.
    func link(to namespace: String) throws(Failure) -> Int {
        if let index = lines[namespace] { return index }
        let line = try host.line(to: namespace)
        lines[namespace] = line
        return line
    }

    func send(_ request: ShardRequest, over link: Int) { host.send(request, over: link) }

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

    /// Takes one event of a shard; `endTurn` follows the last of a run.
    package func take(_ event: ShardEvent) {
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
    func send(
        _ message: some ChaskiProtobuf.Message, _ attachment: [UInt8] = [], on id: StreamID,
        class trafficClass: TrafficClass = .control
    ) {
        do throws(Failure) {
            send(try message.bytes(), attachment[...], on: id, class: trafficClass)
        } catch {
            end(id, error)
        }
    }

    /// Bytes of the largest attachment of deliveries that the peer takes.
    var largestAttachment: Int {
        let limits = host.peerLimits
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
        host.send(protobuf, attachment, on: id, class: trafficClass, end: end)
    }

    /// Ends a call with its answer. One that does not fit a frame of the peer ends it with
    /// `too-large`: a call never ends well without its answer.
    func finish(_ id: StreamID, _ answer: [UInt8]) {
        let frame = host.peerLimits.frameBytes
        guard answer.count <= frame - FrameHeader.bytes else {
            let failure = Failure(
                .resourceExhausted, .tooLarge,
                "the answer has \(answer.count) bytes, and this connection takes frames of \(frame): "
                    + "ask for less, or connect with a larger frame limit")
            return end(id, failure)
        }
        send(answer, [], on: id, class: .rpc, end: true)
        end(id, nil)
    }

    /// Gives window bytes back for a message that was dealt with.
    func consumed(_ id: StreamID, _ bytes: Int) { host.consumed(id, bytes: bytes) }

    // MARK: Ends

    /// Ends a stream from our side; nil is OK. What its consumers still hold waits for their sessions.
    func end(_ id: StreamID, _ failure: Failure?) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        stream.abandon()
        host.close(id, failure)
    }

    /// The work on a stream is over: where the peer ended it before, its slot is free now.
    func release(_ id: StreamID) {
        if streams[id] == nil { host.release(id) }
    }

    /// In order of the streams' ids, so that nothing depends on a table's order.
    private var consumeStreams: [ConsumeStream] {
        streams.keys.sorted().compactMap {
            if case .consume(let stream)? = streams[$0] { return stream }
            return nil
        }
    }
}
