package import ChaskiModel
import DequeModule

/// One side of a connection: bytes in, events out; calls in, bytes out. Pure: it knows no socket
/// and no clock. Every method that depends on time takes `now`, nanoseconds of a clock that never
/// goes back, the same for all calls.
///
/// A host gives it what it reads (`received`), handles `nextEvent()` until nil, and writes what
/// `writeOutput` gives while its socket takes it. It calls `timerFired` at `nextDeadlineNanos`.
/// After the event `failed` it writes the rest and closes.
package struct ConnectionMachine {
    package let configuration: ConnectionConfiguration
    package internal(set) var counters = WireCounters()

    var phase: Phase
    var input = FrameInput()
    var events: Deque<ConnectionEvent> = []
    var streams = StreamTable()
    var output: OutboundState
    var receiveWindow: ReceiveWindow
    var peer: PeerLimits?
    var timers: ConnectionTimers
    var resets: ResetBudget
    var emptyFrames = 0
    var inflater: Inflater?
    var deflater: Deflater?
    /// Server: what the client said, until the host decides.
    var pendingHello: PeerHello?
    /// Whether this side sent GOAWAY, or received it.
    var isDraining = false
    /// When the peer's last PING came.
    var lastPeerPing: Int64?
    /// PINGs sent, which number themselves.
    var pingsSent: UInt64 = 0
    /// Streams whose hosts wait for `writable`.
    var waitingForWritable: [StreamID] = []
    /// Whether so much waits on the connection that no stream is writable.
    var isFull = false
    /// Reused for frame headers and protobuf parts on their way out.
    var scratch: [UInt8] = []

    /// Where a connection stands.
    enum Phase: Hashable {
        /// Server: the client's first bytes, so many of which have come.
        case preface(Int)
        /// Server: HELLO is next.
        case awaitingHello
        /// Server: the host decides.
        case awaitingHost
        /// Client: WELCOME is next.
        case awaitingWelcome
        case established
        /// Over; only output is left.
        case failed
    }

    /// What a client sends before its first frame.
    package static let preface: [UInt8] = Array("CHASKI1\n".utf8)

    /// A machine at the moment of connecting. A client's has HELLO to write at once.
    package init(_ configuration: ConnectionConfiguration, now: Int64) {
        self.configuration = configuration
        output = OutboundState()
        receiveWindow = ReceiveWindow(configuration.limits.connectionWindowBytes)
        timers = ConnectionTimers(configuration, now: now)
        resets = ResetBudget(configuration.resetBudget, now: now)
        switch configuration.role {
        case .server: phase = .preface(0)
        case .client:
            phase = .awaitingWelcome
            output.control += Self.preface
            sendControl(
                .hello,
                protobuf: ControlCoding.encode(
                    PeerHello(
                        versions: configuration.versions, features: configuration.features,
                        software: configuration.software, clientName: configuration.clientName,
                        limits: configuration.limits)))
        }
    }

    /// The next event, in order; nil when there is none.
    package mutating func nextEvent() -> ConnectionEvent? { events.popFirst() }

    /// Whether streams can be used: after WELCOME and before `failed`.
    package var isEstablished: Bool { phase == .established }

    /// Whether it is over.
    package var isFailed: Bool { phase == .failed }

    /// The peer's limits; nil before HELLO or WELCOME.
    package var peerLimits: PeerLimits? { peer }

    /// Streams whose slots are taken.
    package var openStreams: Int { streams.count }

    /// Bytes that wait to be sent, frame headers included.
    package var queuedBytes: Int { output.queuedBytes }

    /// Whether a stream should be given more to send: little enough waits on it and on the
    /// connection. After a false answer for an open stream comes the event `writable`.
    package func isWritable(_ stream: StreamID) -> Bool {
        guard phase == .established, let state = streams[stream], state.local == .open else {
            return false
        }
        return isBelowHighWater(state)
    }

    func isBelowHighWater(_ state: StreamState) -> Bool {
        state.outbound.queuedBytes < configuration.streamHighWaterBytes
            && output.queuedBytes < configuration.outboundBytes / 2
    }

    // MARK: Ending

    /// Ends the connection: tells the peer why, drops what is queued, and leaves `failed` as the
    /// last event.
    mutating func fail(_ failure: Failure) {
        guard phase != .failed else { return }
        let tells = if case .preface = phase { false } else { true }
        phase = .failed
        output.clear()
        streams.removeAll()
        input = FrameInput()
        if tells {
            sendControl(
                .goAway,
                protobuf: ControlCoding.encode(goAway: streams.highest, failure))
        }
        events.append(.failed(failure))
    }

    /// Ends the connection because a limit was passed.
    mutating func fail(_ limit: WireLimit, _ message: String) {
        counters.count(limit)
        fail(limit.failure(message))
    }

    /// Ends the connection because the peer broke the protocol.
    mutating func failProtocol(_ message: String) {
        counters.protocolErrors &+= 1
        fail(Failure(.invalidArgument, .protocolError, message))
    }

    /// Queues a frame of the connection itself; such frames go before all others.
    mutating func sendControl(
        _ type: FrameType, stream: StreamID = StreamID(rawValue: 0), protobuf: [UInt8] = [],
        attachment: [UInt8] = []
    ) {
        output.appendControl(type, stream: stream, protobuf: protobuf, attachment: attachment)
        counters.framesSent &+= 1
    }

    /// Grants bytes to the peer, on a stream (0: the connection).
    mutating func sendWindow(_ stream: StreamID, _ bytes: Int) {
        guard bytes > 0 else { return }
        var increment: [UInt8] = []
        increment.append(littleEndian: UInt64(bytes))
        sendControl(.window, stream: stream, attachment: increment)
    }
}

extension FailureReason {
    /// A stream that this connection does not have, or that has ended.
    package static let streamClosed = Self(rawValue: "stream-closed")
    /// The connection is not established, or over.
    package static let notConnected = Self(rawValue: "not-connected")
}
