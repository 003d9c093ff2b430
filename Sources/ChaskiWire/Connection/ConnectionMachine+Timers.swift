import ChaskiModel

extension ConnectionMachine {
    /// When `timerFired` has something to do, on the clock of `now`; nil when the connection is
    /// over.
    package var nextDeadlineNanos: Int64? { phase == .failed ? nil : timers.next }

    /// Does what is due: a PING, or the end of a connection whose peer took too long.
    package mutating func timerFired(now: Int64) {
        guard phase != .failed, let action = timers.due(now) else { return }
        switch action {
        case .failHandshake:
            fail(.handshakeTime, "the connection was not established in time")
        case .failFrame:
            fail(.frameTime, "a frame was begun and not completed in time")
        case .failStalled:
            fail(.outboundTime, "the peer took nothing of what waits for it for too long")
        case .failSilent:
            fail(.silence, "the peer answered no PING")
        case .ping:
            pingsSent &+= 1
            var echo: [UInt8] = []
            echo.append(littleEndian: pingsSent)
            sendControl(.ping, attachment: echo)
            timers.pinged(now: now)
            timers.outputWaits(now: now)
        }
    }
}
