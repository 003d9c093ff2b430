import ChaskiModel
import DequeModule

extension ConnectionMachine {
    /// Appends bytes to send to `output`: frames of the connection first, then class by class,
    /// one frame of a stream after the other. Stops at about `maximumBytes`; passes it by at most
    /// one frame and what the connection itself has to say.
    ///
    /// - Returns: whether more could be written now.
    package mutating func writeOutput(
        into output: inout [UInt8], maximumBytes: Int, now: Int64
    ) -> Bool {
        writeOutput(maximumBytes: maximumBytes, now: now) { part in
            part.withUnsafeBytes { output.append(contentsOf: $0) }
        }
    }

    /// The same, piece by piece to `write`: frame headers with their protobuf parts, and parts of
    /// attachments, without a copy.
    package mutating func writeOutput(
        maximumBytes: Int, now: Int64, _ write: (RawSpan) -> Void
    ) -> Bool {
        var written = 0
        var more = true
        repeat {
            if !output.control.isEmpty {
                write(output.control.span.bytes)
                written += output.control.count
                output.control.removeAll(keepingCapacity: output.control.count <= 65536)
            }
            guard written < maximumBytes else { break }
            let frame = writeFrame(write)
            written += frame
            more = frame > 0
        } while more
        counters.bytesSent &+= UInt64(written)
        let waits = stallCounts
        if written > 0 {
            timers.outputMoved(waits: waits, now: now)
            tellWritable()
        } else if waits {
            timers.outputWaits(now: now)
        }
        return more
    }

    /// Whether what still waits counts as a stall. At a client, what only the peer's windows hold
    /// back does not.
    private var stallCounts: Bool {
        guard output.queuedBytes > 0 else { return false }
        return configuration.role == .server || hasSendableFrame
    }

    private var hasSendableFrame: Bool {
        if !output.control.isEmpty { return true }
        return TrafficClass.allCases.contains { trafficClass in
            output.rings[trafficClass.rawValue].contains { id in
                streams[id].map { canSend($0, trafficClass) } ?? false
            }
        }
    }

    private func canSend(_ state: StreamState, _ trafficClass: TrafficClass) -> Bool {
        guard let unit = state.outbound.head(of: trafficClass) else { return false }
        return unit.sentAttachment != nil
            || (state.sendWindow.covers(unit.windowBytes)
                && output.window.covers(unit.windowBytes, leaving: reserve(for: trafficClass)))
    }

    /// The last part of the connection's window is control traffic's alone.
    private func reserve(for trafficClass: TrafficClass) -> Int {
        trafficClass == .control ? 0 : PeerLimits.windowReserveBytes
    }

    /// Writes the most urgent frame that may go; 0 where none may.
    private mutating func writeFrame(_ write: (RawSpan) -> Void) -> Int {
        guard phase == .established else { return 0 }
        for trafficClass in TrafficClass.allCases {
            // Each stream of the ring gets one look.
            for _ in 0..<output.rings[trafficClass.rawValue].count {
                guard let id = output.rings[trafficClass.rawValue].popFirst() else { break }
                guard var state = streams.take(id) else { continue }
                guard let unit = state.outbound.head(of: trafficClass) else {
                    state.outbound.leftRing(trafficClass)
                    streams.put(id, state)
                    continue
                }
                guard canSend(state, trafficClass) else {
                    leaveOrStay(id, &state, unit, trafficClass)
                    streams.put(id, state)
                    continue
                }
                return writeFrame(of: unit, id, state, trafficClass, write)
            }
        }
        return 0
    }

    /// A stream whose own window is used up leaves the ring until a WINDOW comes for it; one that
    /// waits for the connection's stays.
    private mutating func leaveOrStay(
        _ id: StreamID, _ state: inout StreamState, _ unit: OutboundUnit,
        _ trafficClass: TrafficClass
    ) {
        if state.sendWindow.covers(unit.windowBytes) {
            output.rings[trafficClass.rawValue].append(id)
        } else {
            state.outbound.leftRing(trafficClass)
        }
    }

    /// Writes the next frame of a unit that may be sent, and puts the stream back.
    private mutating func writeFrame(
        of unit: OutboundUnit, _ id: StreamID, _ taken: consuming StreamState,
        _ trafficClass: TrafficClass, _ write: (RawSpan) -> Void
    ) -> Int {
        var state = taken
        let isFirst = unit.sentAttachment == nil
        let sent = unit.sentAttachment ?? 0
        if isFirst, unit.kind == .message {
            state.sendWindow.reserve(unit.windowBytes)
            output.window.reserve(unit.windowBytes)
        }
        let protobuf = isFirst ? unit.protobuf.count : 0
        let room = (peer?.frameBytes ?? Limits.frameBytes) - FrameHeader.bytes - protobuf
        precondition(room >= 0, "send checks that a protobuf part fits a frame")
        let attachment = min(unit.attachment.count - sent, room)
        let isLast = sent + attachment == unit.attachment.count
        var flags = isFirst ? unit.flags : unit.flags.subtracting(.deflated).union(.continues)
        if !isLast { flags = flags.subtracting(.end).union(.more) }
        scratch.removeAll(keepingCapacity: true)
        FrameHeader(
            unit.kind == .close ? .close : .message, flags: flags, stream: id.rawValue,
            protobuf: protobuf, attachment: attachment
        ).write(to: &scratch)
        if isFirst { scratch += unit.protobuf }
        write(scratch.span.bytes)
        if attachment > 0 {
            let start = unit.attachment.startIndex + sent
            write(unit.attachment[start..<start + attachment].span.bytes)
        }
        counters.framesSent &+= 1
        if unit.kind == .message {
            state.sendWindow.sent(protobuf + attachment)
            output.window.sent(protobuf + attachment)
        }
        finishFrame(unit, id, state, trafficClass, attachment: attachment, isLast: isLast)
        return FrameHeader.bytes + protobuf + attachment
    }

    private mutating func finishFrame(
        _ unit: OutboundUnit, _ id: StreamID, _ taken: consuming StreamState,
        _ trafficClass: TrafficClass, attachment: Int, isLast: Bool
    ) {
        var state = taken
        guard isLast else {
            state.outbound.advanceHead(of: trafficClass, by: attachment)
            streams.put(id, state)
            output.rings[trafficClass.rawValue].append(id)
            return
        }
        output.removed(unit.queuedBytes)
        state.outbound.removeHead(of: trafficClass)
        // CLOSE ends both directions; what the peer has on its way is dropped when it comes.
        if unit.kind == .close {
            returnWindow(state.assembly)
            assert(state.outbound.queuedBytes == 0, "CLOSE goes last")
            return
        }
        state.outbound.leftRing(trafficClass)
        streams.put(id, state)
        enterRings(id)
    }

    /// Tells the hosts of streams that can take more.
    private mutating func tellWritable() {
        guard output.queuedBytes < configuration.outboundBytes / 2 else { return }
        if isFull {
            // No stream was writable, also those that had sent nothing.
            isFull = false
            for id in streams.ids(above: StreamID(rawValue: 0)) where streams[id]?.local == .open {
                guard let state = streams[id], !state.wantsWritable else { continue }
                streams[id]?.wantsWritable = true
                waitingForWritable.append(id)
            }
        }
        guard !waitingForWritable.isEmpty else { return }
        var still: [StreamID] = []
        for id in waitingForWritable {
            guard let state = streams[id], state.local == .open else { continue }
            if isBelowHighWater(state) {
                streams[id]?.wantsWritable = false
                events.append(.writable(id))
            } else {
                still.append(id)
            }
        }
        waitingForWritable = still
    }
}
