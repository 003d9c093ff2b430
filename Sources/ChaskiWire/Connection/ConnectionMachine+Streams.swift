package import ChaskiModel

/// What a host does with streams.
extension ConnectionMachine {
    /// Client: opens a stream for a call. Throws `not-connected`, `draining`, `too-many-streams`,
    /// `open-too-large`.
    package mutating func openStream(_ open: OpenRequest, now: Int64) throws(Failure) -> StreamID {
        precondition(configuration.role == .client, "only clients open streams")
        guard phase == .established, let peer else {
            throw Failure(.unavailable, .notConnected, "the connection is not established")
        }
        guard !isDraining else {
            throw Failure(.unavailable, .draining, "the broker takes no new calls here")
        }
        guard streams.count < peer.streams else {
            counters.count(.streams)
            throw WireLimit.streams.failure("\(streams.count) streams are open already")
        }
        let protobuf = open.isWithinLimits ? ControlCoding.encode(open) : nil
        guard let protobuf, protobuf.count <= peer.frameBytes - FrameHeader.bytes else {
            counters.count(.openBytes)
            throw WireLimit.openBytes.failure("method, namespace or metadata are too large")
        }
        let next = streams.highest.rawValue == 0 ? 1 : streams.highest.rawValue &+ 2
        let id = StreamID(rawValue: next)
        guard id > streams.highest else {
            throw WireLimit.streams.failure("this connection has used up its stream ids")
        }
        streams.open(id, newStream(open, now: now))
        counters.streamsOpened &+= 1
        sendControl(.open, stream: id, protobuf: protobuf)
        timers.outputWaits(now: now)
        return id
    }

    /// Queues a message. Throws `stream-closed` where this side or the peer ended the stream (then
    /// nothing was queued), `unit-too-large` beyond what the peer takes, `outbound-full` where
    /// too much waits already: then the connection is over.
    ///
    /// - Parameters:
    ///   - protobuf: one encoded message, at most a frame long.
    ///   - end: whether it is this side's last message on the stream.
    package mutating func send(
        on stream: StreamID, protobuf: [UInt8], attachment: Bytes = [], end: Bool = false,
        class trafficClass: TrafficClass, now: Int64
    ) throws(Failure) {
        guard phase == .established, let peer, streams[stream]?.local == .open else {
            throw Self.streamClosed(stream)
        }
        var flags: FrameFlags = end ? .end : []
        var protobuf = protobuf
        if let deflated = deflated(protobuf) {
            protobuf = deflated
            flags.insert(.deflated)
        }
        guard protobuf.count <= peer.frameBytes - FrameHeader.bytes,
            attachment.count <= peer.sendableUnitBytes - protobuf.count
        else {
            counters.count(.unitBytes)
            throw WireLimit.unitBytes.failure(
                "a message of \(protobuf.count) and \(attachment.count) bytes; the peer takes "
                    + "\(peer.sendableUnitBytes)")
        }
        let unit = OutboundUnit(
            protobuf: protobuf, attachment: attachment, flags: flags, trafficClass: trafficClass)
        streams[stream]?.hasSentMessage = true
        try enqueue(unit, on: stream, isLast: end, now: now)
        counters.messagesSent &+= 1
    }

    /// Says that this side sends no more messages on the stream, without a message.
    package mutating func endStream(_ stream: StreamID, now: Int64) throws(Failure) {
        guard phase == .established, streams[stream]?.local == .open else {
            throw Self.streamClosed(stream)
        }
        let unit = OutboundUnit(
            protobuf: [], attachment: [], flags: [.end, .noMessage], trafficClass: .control)
        try enqueue(unit, on: stream, isLast: true, now: now)
    }

    /// Ends the stream in both directions once what is queued on it is sent: nil is OK. What the
    /// peer still sends is dropped. Does nothing on a stream that is over.
    package mutating func close(_ stream: StreamID, _ failure: Failure?, now: Int64) {
        guard phase == .established, let state = streams[stream], state.local != .closed else {
            return
        }
        if state.remote == .closed { return release(stream) }
        let unit = OutboundUnit(
            kind: .close, protobuf: ControlCoding.encode(failure), attachment: [], flags: [],
            trafficClass: .control)
        // A queue that is too full ends the connection; there is nothing else to report.
        try? enqueue(unit, on: stream, isLast: true, now: now)
        streams[stream]?.local = .closed
        // What was half received will not be finished.
        let assembly = streams[stream]?.assembly
        streams[stream]?.assembly = nil
        returnWindow(assembly)
    }

    /// Gives a stream up at once: what is queued on it is dropped. Does nothing on a stream that
    /// is over.
    package mutating func reset(_ stream: StreamID, _ failure: Failure, now: Int64) {
        guard phase == .established, let state = streams[stream] else { return }
        dropOutbound(stream)
        returnWindow(state.assembly)
        _ = streams.remove(stream)
        guard state.remote != .closed else { return }
        sendControl(.reset, stream: stream, protobuf: ControlCoding.encode(failure))
        timers.outputWaits(now: now)
    }

    /// Server: the work on a stream that the peer ended is over; its slot is free. Does nothing on
    /// another stream.
    package mutating func release(_ stream: StreamID) {
        guard let state = streams[stream], state.remote == .closed else { return }
        dropOutbound(stream)
        _ = streams.remove(stream)
    }

    /// Gives window bytes back: the application is done with a message that took `bytes`. Also
    /// for streams that are over meanwhile.
    package mutating func consumed(_ stream: StreamID, bytes: Int) {
        guard phase == .established, bytes > 0 else { return }
        if let grant = streams[stream]?.receiveWindow.consumed(bytes),
            streams[stream]?.remote == .open
        {
            sendWindow(stream, grant)
        }
        sendWindow(StreamID(rawValue: 0), receiveWindow.consumed(bytes))
    }

    /// Tells the peer that no new streams are taken; those that are open go on. The host closes
    /// the connection when `openStreams` is 0, or when it has waited long enough.
    package mutating func goAway(_ failure: Failure?, now: Int64) {
        guard phase == .established, !isDraining else { return }
        isDraining = true
        sendControl(.goAway, protobuf: ControlCoding.encode(goAway: streams.highest, failure))
        timers.outputWaits(now: now)
    }

    /// Ends the connection from this side: the peer is told why.
    package mutating func shutDown(_ failure: Failure) { fail(failure) }

    // MARK: Queueing

    private mutating func enqueue(
        _ unit: OutboundUnit, on stream: StreamID, isLast: Bool, now: Int64
    ) throws(Failure) {
        guard unit.queuedBytes <= configuration.outboundBytes - output.queuedBytes else {
            fail(
                .outboundBytes,
                "more than \(configuration.outboundBytes) bytes wait to be sent")
            throw WireLimit.outboundBytes.failure("too much waits to be sent to this peer")
        }
        if isLast, unit.flags.contains(.end) { streams[stream]?.local = .ended }
        streams[stream]?.outbound.enqueue(unit, isLast: isLast)
        output.added(unit.queuedBytes)
        enterRings(stream)
        timers.outputWaits(now: now)
        if output.queuedBytes >= configuration.outboundBytes / 2 { isFull = true }
        if let state = streams[stream], !state.wantsWritable, !isBelowHighWater(state) {
            streams[stream]?.wantsWritable = true
            if waitingForWritable.count > 2 * streams.count {
                waitingForWritable.removeAll { streams[$0] == nil }
            }
            waitingForWritable.append(stream)
        }
    }

    /// Puts a stream into the rings of the classes in which it has something to send.
    mutating func enterRings(_ stream: StreamID) {
        streams[stream]?.outbound.enterRings { output.rings[$0.rawValue].append(stream) }
    }

    /// Throws away what waits on a stream.
    mutating func dropOutbound(_ stream: StreamID) {
        guard let bytes = streams[stream]?.outbound.queuedBytes else { return }
        output.removed(bytes)
        let reserved = streams[stream]?.outbound.clear() ?? 0
        output.window.unreserve(reserved)
    }

    private static func streamClosed(_ stream: StreamID) -> Failure {
        Failure(.cancelled, .streamClosed, "stream \(stream.rawValue) is over")
    }

    /// The protobuf part deflated, where that is wanted and worth it; nil otherwise.
    private mutating func deflated(_ protobuf: [UInt8]) -> [UInt8]? {
        guard configuration.deflates, protobuf.count >= 1024,
            protobuf.count <= peer?.payloadBytes ?? 0
        else { return nil }
        let deflater = self.deflater ?? Deflater()
        self.deflater = deflater
        return deflater.deflate(
            protobuf[...], maximumBytes: protobuf.count - protobuf.count / 8)
    }
}
