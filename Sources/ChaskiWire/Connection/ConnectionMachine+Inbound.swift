import ChaskiModel

extension ConnectionMachine {
    /// Takes what was read, in pieces of any size. Bytes of messages are copied once, into the
    /// unit's own memory.
    package mutating func received(_ bytes: RawSpan, now: Int64) {
        guard phase != .failed, bytes.byteCount > 0 else { return }
        counters.bytesReceived &+= UInt64(bytes.byteCount)
        timers.received(now: now)
        if phase != .established, counters.bytesReceived > UInt64(Limits.totalBytesBeforeWelcome) {
            return fail(
                .totalBytesBeforeWelcome,
                "more than \(Limits.totalBytesBeforeWelcome) bytes came before WELCOME")
        }
        var position = 0
        guard takePreface(bytes, &position) else { return }
        var completed = false
        while phase != .failed {
            if input.header == nil {
                guard input.takeHeader(bytes, &position), let header = input.header else { break }
                counters.framesReceived &+= 1
                accept(header, now: now)
                guard phase != .failed else { return }
            }
            guard input.takeBody(bytes, &position) else { break }
            frameCompleted(now: now)
            completed = true
        }
        timers.frame(isPartial: input.isPartial, isNew: completed, now: now)
        guard !output.control.isEmpty else { return }
        timers.outputWaits(now: now)
        if output.control.count > configuration.outboundBytes {
            fail(.outboundBytes, "the peer takes no answers to what it sends")
        }
    }

    // MARK: Headers

    /// Judges a header before memory is taken for its parts.
    private mutating func accept(_ header: FrameHeader, now: Int64) {
        let limit =
            phase == .established
            ? configuration.limits.frameBytes : Limits.frameBytesBeforeWelcome
        guard Int(header.length) <= limit - FrameHeader.bytes else {
            let size = Int(header.length) + FrameHeader.bytes
            return fail(
                phase == .established ? .frameBytes : .frameBytesBeforeWelcome,
                "a frame of \(size) bytes; at most \(limit) are allowed")
        }
        guard header.protobufLength <= header.length, header.reserved == 0,
            FrameFlags.known.isSuperset(of: header.flags)
        else { return failProtocol("a frame header contradicts itself or sets reserved bits") }
        guard let type = FrameType(rawValue: header.rawType) else {
            guard header.rawType >= FrameType.firstExtension, phase == .established else {
                return failProtocol("frame type \(header.rawType) is not known")
            }
            counters.framesSkipped &+= 1
            countEmpty(true)
            return input.skip(header)
        }
        guard type.isOfConnection == (header.stream == 0) || type == .window else {
            return failProtocol("a frame of type \(type) on stream \(header.stream)")
        }
        guard phase == .established || isHandshake(type) else {
            return failProtocol("a frame of type \(type) before WELCOME")
        }
        acceptParts(header, type)
    }

    private func isHandshake(_ type: FrameType) -> Bool {
        switch phase {
        case .awaitingHello: type == .hello
        case .awaitingWelcome: type == .welcome || type == .goAway
        case .preface, .awaitingHost, .established, .failed: false
        }
    }

    private mutating func acceptParts(_ header: FrameHeader, _ type: FrameType) {
        switch type {
        case .message: return acceptMessage(header)
        case .window, .ping, .pong:
            guard header.protobufLength == 0, header.length == 8, header.flags.isEmpty else {
                return failProtocol("a frame of type \(type) has other parts than 8 bytes")
            }
        case .hello, .welcome, .open, .close, .reset, .goAway:
            guard header.protobufLength == header.length, allowsFlags(header.flags) else {
                return failProtocol("a frame of type \(type) has an attachment or flags")
            }
        }
        input.keep(header)
    }

    private func allowsFlags(_ flags: FrameFlags) -> Bool {
        flags.isEmpty || (flags == .deflated && phase == .established)
    }

    private mutating func acceptMessage(_ header: FrameHeader) {
        let flags = header.flags
        let id = StreamID(rawValue: header.stream)
        guard !flags.contains(.noMessage) || (flags == [.noMessage, .end] && header.length == 0),
            !flags.contains(.continues) || header.protobufLength == 0,
            !flags.contains(.continues) || !flags.contains(.deflated),
            !flags.contains(.end) || !flags.contains(.more)
        else { return failProtocol("the flags of a message contradict each other") }
        countEmpty(header.length == 0 && !flags.contains(.end))
        guard phase != .failed else { return }
        guard receiveWindow.received(Int(header.length)) else {
            return fail(.connectionWindow, "the peer sent more than the connection's window")
        }
        guard let state = streams[id], state.remote != .closed, state.local != .closed else {
            return skipMessage(header, id)
        }
        do throws(MessageRefusal) {
            let unitBytes = configuration.limits.unitBytes
            let continued = try streams[id]?.beginFrame(header, unitBytes: unitBytes) ?? []
            input.keep(header, continuing: continued)
        } catch {
            switch error {
            case .afterEnd: failProtocol("a message on stream \(header.stream) after its END")
            case .outOfOrder: failProtocol("the frames of a unit are out of order")
            case .window:
                fail(.streamWindow, "the peer sent more than the window of stream \(header.stream)")
            case .unit:
                fail(.unitBytes, "a unit of more than \(configuration.limits.unitBytes) bytes")
            }
        }
    }

    /// A message for a stream that is over was on its way when it ended; its bytes are dropped and
    /// granted again.
    private mutating func skipMessage(_ header: FrameHeader, _ id: StreamID) {
        guard streams.wasOpened(id), id.rawValue % 2 == 1 else {
            return failProtocol("a message on stream \(header.stream), which was never opened")
        }
        counters.framesSkipped &+= 1
        sendWindow(StreamID(rawValue: 0), receiveWindow.consumed(Int(header.length)))
        input.skip(header)
    }

    /// Counts frames in a row that carry nothing.
    private mutating func countEmpty(_ isEmpty: Bool) {
        emptyFrames = isEmpty ? emptyFrames + 1 : 0
        if emptyFrames > configuration.emptyFramesInARow {
            fail(
                .emptyFrames,
                "more than \(configuration.emptyFramesInARow) frames in a row carry nothing")
        }
    }
}
