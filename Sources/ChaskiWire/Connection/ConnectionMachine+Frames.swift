import ChaskiModel

extension ConnectionMachine {
    /// Handles the frame whose parts are whole.
    mutating func frameCompleted(now: Int64) {
        guard let header = input.header else { return }
        let isSkipped = input.isSkipped
        let parts = input.takeParts()
        guard !isSkipped, let type = FrameType(rawValue: header.rawType) else { return }
        let id = StreamID(rawValue: header.stream)
        switch type {
        case .message: messageFrame(header, id, parts.protobuf, parts.attachment)
        case .window: windowReceived(id, parts.attachment[...])
        case .ping: pingReceived(parts.attachment, now: now)
        // Whatever it echoes, it is a sign of life; those are counted where bytes come in.
        case .pong: break
        case .hello, .welcome, .open, .close, .reset, .goAway:
            guard let protobuf = inflated(parts.protobuf, header.flags) else { return }
            controlReceived(type, id, protobuf, now: now)
        }
    }

    private mutating func controlReceived(
        _ type: FrameType, _ id: StreamID, _ protobuf: Bytes, now: Int64
    ) {
        do throws(Failure) {
            switch type {
            case .hello: helloReceived(protobuf)
            case .welcome: welcomeReceived(protobuf, now: now)
            case .open: openReceived(id, protobuf, now: now)
            case .close: closeReceived(id, try ControlCoding.decodeStatus(protobuf))
            case .reset: resetReceived(id, try ControlCoding.decodeStatus(protobuf), now: now)
            case .goAway:
                let (last, failure) = try ControlCoding.decodeGoAway(protobuf)
                goAwayReceived(last, failure)
            case .message, .window, .ping, .pong: break
            }
        } catch {
            failProtocol(error.message)
        }
    }

    /// The protobuf part as it was before deflating; nil, and the connection failed, where it
    /// cannot be had within the limits.
    private mutating func inflated(_ protobuf: [UInt8], _ flags: FrameFlags) -> Bytes? {
        guard flags.contains(.deflated) else { return protobuf[...] }
        let inflater = self.inflater ?? Inflater()
        self.inflater = inflater
        let limit = configuration.limits.payloadBytes
        let (bytes, outcome) = inflater.inflate(protobuf[...], maximumBytes: limit)
        switch outcome {
        case .inflated: return bytes[...]
        case .tooLarge:
            fail(
                .inflatedBytes,
                "a protobuf part inflates to more than \(limit) bytes, or than "
                    + "\(Limits.inflateRatio) times its size")
        case .malformed: failProtocol("a protobuf part is not what its DEFLATED flag says")
        }
        return nil
    }

    // MARK: Messages

    private mutating func messageFrame(
        _ header: FrameHeader, _ id: StreamID, _ protobuf: [UInt8], _ attachment: [UInt8]
    ) {
        guard var state = streams.take(id) else {
            // The host ended the stream while the frame was coming in.
            return sendWindow(
                StreamID(rawValue: 0), receiveWindow.consumed(Int(header.length)))
        }
        var unit: UnitAssembly
        if header.flags.contains(.continues), let begun = state.assembly {
            unit = begun
            unit.attachment = attachment
            unit.windowBytes += Int(header.length)
            state.assembly = nil
        } else {
            unit = UnitAssembly(
                protobuf: protobuf, attachment: attachment, windowBytes: Int(header.length),
                deflated: header.flags.contains(.deflated))
        }
        if state.local == .closed {
            streams.put(id, state)
            return returnWindow(unit)
        }
        if header.flags.contains(.more) {
            state.assembly = unit
            streams.put(id, state)
            return
        }
        let end = header.flags.contains(.end)
        if end { state.remote = .ended }
        streams.put(id, state)
        if header.flags.contains(.noMessage) {
            events.append(.halfClosed(id))
            return
        }
        guard let whole = inflated(unit.protobuf, unit.deflated ? .deflated : []) else { return }
        counters.messagesReceived &+= 1
        events.append(
            .message(
                id,
                InboundMessage(
                    protobuf: whole, attachment: unit.attachment[...], end: end,
                    windowBytes: unit.windowBytes)))
    }

    // MARK: Streams

    private mutating func openReceived(_ id: StreamID, _ protobuf: Bytes, now: Int64) {
        guard configuration.role == .server, id.rawValue % 2 == 1 else {
            return failProtocol("OPEN of stream \(id.rawValue): only clients open, with odd ids")
        }
        guard id > streams.highest else {
            return failProtocol("OPEN of stream \(id.rawValue): ids must rise")
        }
        let open: OpenRequest
        do throws(Failure) {
            open = try ControlCoding.decodeOpen(protobuf)
        } catch {
            return failProtocol(error.message)
        }
        counters.streamsOpened &+= 1
        resets.opened(now: now)
        if let refusal = refusal(of: open) {
            streams.skip(id)
            return sendControl(.reset, stream: id, protobuf: ControlCoding.encode(refusal))
        }
        streams.open(id, newStream(open, now: now))
        events.append(.opened(id, open))
    }

    private mutating func refusal(of open: OpenRequest) -> Failure? {
        if isDraining {
            return Failure(.unavailable, .draining, "this broker takes no new calls; try another")
        }
        if streams.count >= configuration.limits.streams {
            counters.count(.streams)
            return WireLimit.streams.failure(
                "\(streams.count) streams are open; at most \(configuration.limits.streams) may be")
        }
        guard open.isWithinLimits else {
            counters.count(.openBytes)
            return WireLimit.openBytes.failure("method, namespace or metadata are too large")
        }
        return nil
    }

    func newStream(_ open: OpenRequest, now: Int64) -> StreamState {
        let window = min(peer?.streamWindowBytes ?? 0, SendWindow.maximumBytes)
        return StreamState(
            sendWindow: SendWindow(window),
            receiveWindow: ReceiveWindow(configuration.limits.streamWindowBytes),
            openedNanos: now, timeoutNanos: open.timeoutNanos)
    }

    private mutating func closeReceived(_ id: StreamID, _ failure: Failure?) {
        guard endReceived(id, "CLOSE") else { return }
        events.append(.closed(id, failure))
    }

    private mutating func resetReceived(_ id: StreamID, _ failure: Failure?, now: Int64) {
        let isEarly = streams[id].map { !$0.hasSentMessage && !$0.isPastDeadline(now) } ?? false
        guard endReceived(id, "RESET") else { return }
        counters.resetsReceived &+= 1
        events.append(
            .reset(
                id, failure ?? Failure(.cancelled, .protocolError, "the peer reset the stream")))
        if configuration.role == .server, isEarly, !resets.reset(now: now) {
            fail(
                .rapidResets,
                "too many calls cancelled before an answer; at most \(configuration.resetBudget) "
                    + "or a fifth of them in 30 s")
        }
    }

    /// The peer ended a stream. False where there is nothing to tell: it is over already.
    private mutating func endReceived(_ id: StreamID, _ what: String) -> Bool {
        guard streams.wasOpened(id), id.rawValue % 2 == 1 else {
            failProtocol("\(what) of stream \(id.rawValue), which was never opened")
            return false
        }
        guard let state = streams[id], state.remote != .closed else {
            counters.framesSkipped &+= 1
            return false
        }
        guard state.assembly == nil || what == "RESET" else {
            failProtocol("CLOSE of stream \(id.rawValue) in the middle of a unit")
            return false
        }
        endedByPeer(id)
        return true
    }

    /// Frees what a stream holds. A client's slot is free at once, a server's when its host says
    /// so, or has already closed its side.
    mutating func endedByPeer(_ id: StreamID) {
        dropOutbound(id)
        guard let state = streams[id] else { return }
        returnWindow(state.assembly)
        if configuration.role == .client || state.local == .closed {
            _ = streams.remove(id)
        } else {
            streams[id]?.remote = .closed
            streams[id]?.assembly = nil
        }
    }

    /// What a unit that is given up took of the connection's window is granted again.
    mutating func returnWindow(_ assembly: UnitAssembly?) {
        guard let assembly else { return }
        sendWindow(StreamID(rawValue: 0), receiveWindow.consumed(assembly.windowBytes))
    }

    // MARK: Windows, pings, going away

    private mutating func windowReceived(_ id: StreamID, _ attachment: Bytes) {
        guard let increment = attachment.littleEndian(UInt64.self, at: 0), increment > 0 else {
            return failProtocol("a WINDOW of nothing")
        }
        if id.rawValue == 0 {
            guard output.window.refill(increment) else {
                return failProtocol("a WINDOW beyond what a window can be")
            }
            return
        }
        guard streams.wasOpened(id), id.rawValue % 2 == 1 else {
            return failProtocol("a WINDOW for stream \(id.rawValue), which was never opened")
        }
        guard streams[id] != nil else { return }
        guard streams[id]?.sendWindow.refill(increment) == true else {
            return failProtocol("a WINDOW beyond what a window can be")
        }
        enterRings(id)
    }

    private mutating func pingReceived(_ echo: [UInt8], now: Int64) {
        if let last = lastPeerPing, now &- last < configuration.pingSpacingNanos {
            return fail(
                .pingSpacing,
                "PINGs less than \(configuration.pingSpacingNanos / 1_000_000) ms apart")
        }
        lastPeerPing = now
        sendControl(.pong, attachment: echo)
    }

    private mutating func goAwayReceived(_ last: StreamID, _ failure: Failure?) {
        guard phase == .established else {
            return fail(
                failure ?? Failure(.unavailable, .draining, "the broker turned the client away"))
        }
        isDraining = true
        events.append(.goingAway(last: last, failure))
        guard configuration.role == .client else { return }
        let reason =
            failure
            ?? Failure(
                .unavailable, .draining, "the broker takes no new calls on this connection")
        for id in streams.ids(above: last) {
            endedByPeer(id)
            events.append(.closed(id, reason))
        }
    }
}

extension OpenRequest {
    /// Whether names and metadata are within their limits: 255 bytes of method and of namespace,
    /// and what a message's attributes may have.
    var isWithinLimits: Bool {
        guard method.utf8.count <= Limits.nameBytes, namespace.utf8.count <= Limits.nameBytes,
            metadata.count <= Limits.attributes
        else { return false }
        var total = 0
        for (key, value) in metadata { total += key.utf8.count + value.utf8.count }
        return total <= Limits.attributesBytes
    }
}
