import ChaskiModel
import ChaskiTransport
import ChaskiWire
import Logging
import NIOCore

/// A client's connection, made again whenever it breaks, and the streams on it. Confined to its
/// event loop.
final class Link {
    let loop: any EventLoop
    let host: String
    let port: Int
    let configuration: ClientConfiguration
    /// What the broker said when it welcomed the client; nil before the first time.
    private(set) var welcome: PeerWelcome?
    private var state = State.idle
    private var backoff: ReconnectBackoff
    private var random = SystemRandomNumberGenerator()
    /// Those who want a stream on every connection, in the order in which they came.
    private var members: [any StreamOwner] = []
    private var owners: [StreamID: any StreamOwner] = [:]
    /// Owners with events since the last turn ended.
    private var touched: [any StreamOwner] = []
    private var firstAttempt: (promise: EventLoopPromise<Void>, deadlineNanos: Int64)?
    private var ticker: RepeatedTask?
    private var lastFailure = Failure(
        .unavailable, .unreachable, "no connection was made yet")

    private enum State {
        case idle
        case connecting
        /// Connected, before the broker's welcome.
        case greeting(Connection)
        case established(Connection)
        case waiting
        case closed(Failure)
    }

    init(host: String, port: Int, configuration: ClientConfiguration, loop: any EventLoop) {
        self.host = host
        self.port = port
        self.configuration = configuration
        self.loop = loop
        backoff = ReconnectBackoff(
            minimumNanos: configuration.minimumReconnectDelay.clampedNanos,
            maximumNanos: configuration.maximumReconnectDelay.clampedNanos)
    }

    static func nowNanos() -> Int64 { Connection.nowNanos() }

    // MARK: Life

    /// Begins to connect; the future succeeds with the first welcome and fails when the time of
    /// `connectTimeout` is over, or for good.
    func start() -> EventLoopFuture<Void> {
        loop.preconditionInEventLoop()
        let promise = loop.makePromise(of: Void.self)
        let timeout = configuration.connectTimeout.clampedNanos
        firstAttempt = (promise, Self.nowNanos().advancedClamping(by: timeout))
        let bound = NIOLoopBound(self, eventLoop: loop)
        ticker = loop.scheduleRepeatedTask(
            initialDelay: .milliseconds(100), delay: .milliseconds(100)
        ) { _ in bound.value.tick() }
        connect()
        return promise.futureResult
    }

    /// Ends the connection and fails everything that waits.
    func close(_ failure: Failure) {
        if case .closed = state { return }
        let old = state
        state = .closed(failure)
        ticker?.cancel()
        ticker = nil
        if let firstAttempt {
            self.firstAttempt = nil
            firstAttempt.promise.fail(ChaskiError(failure))
        }
        let all = members
        let streams = owners.keys.sorted()
        members.removeAll()
        owners.removeAll()
        touched.removeAll()
        for member in all { member.linkClosed(failure) }
        switch old {
        case .greeting(let connection), .established(let connection):
            // In good order: consumers give back what they hold.
            for stream in streams {
                try? connection.machine.endStream(stream, now: Self.nowNanos())
            }
            connection.closeWhenFlushed()
        case .idle, .connecting, .waiting, .closed:
            break
        }
    }

    /// Why the link is closed for good; nil while it is not.
    var closedBy: Failure? {
        if case .closed(let failure) = state { return failure }
        return nil
    }

    /// Whether the broker is on this machine's loopback interface.
    var isLoopback: Bool {
        let peer = establishedConnection?.peerDescription ?? ""
        return peer.contains("]127.") || peer.contains("]::1") || peer.contains("[::1]")
    }

    /// Whether streams can be opened now.
    var isEstablished: Bool { establishedConnection != nil }

    private var establishedConnection: Connection? {
        if case .established(let connection) = state { return connection }
        return nil
    }

    /// Adds an owner that wants a stream on this and every later connection.
    func add(_ member: any StreamOwner) {
        if let closedBy {
            member.linkClosed(closedBy)
            return
        }
        members.append(member)
        if isEstablished {
            member.linkEstablished(self)
            member.turnEnded(now: Self.nowNanos())
        }
    }

    func remove(_ member: any StreamOwner) {
        members.removeAll { $0 === member }
        touched.removeAll { $0 === member }
    }

    /// Whether `connection` is the current one and waits for the broker's welcome.
    func isGreeting(_ connection: Connection) -> Bool {
        if case .greeting(let current) = state { return current === connection }
        return false
    }

    // MARK: Streams

    /// Opens a stream; nil without a connection, or where it refuses.
    func openStream(
        _ method: String, for owner: any StreamOwner, timeoutNanos: Int64? = nil
    )
        -> Result<StreamID, Failure>
    {
        guard let connection = establishedConnection else { return .failure(lastFailure) }
        let request = OpenRequest(
            method: method, namespace: configuration.namespace, timeoutNanos: timeoutNanos)
        do throws(Failure) {
            let stream = try connection.machine.openStream(request, now: Self.nowNanos())
            owners[stream] = owner
            connection.setNeedsFlush()
            return .success(stream)
        } catch {
            return .failure(error)
        }
    }

    /// Whether a stream takes more now; when it does again its owner's turn ends once more.
    func isWritable(_ stream: StreamID) -> Bool {
        establishedConnection?.machine.isWritable(stream) ?? false
    }

    /// Queues a message; what cannot be queued ends the stream.
    func send(
        on stream: StreamID, protobuf: [UInt8], attachment: Bytes = [], end: Bool = false,
        class trafficClass: TrafficClass
    ) -> Failure? {
        guard let connection = establishedConnection else { return lastFailure }
        do throws(Failure) {
            try connection.machine.send(
                on: stream, protobuf: protobuf, attachment: attachment, end: end,
                class: trafficClass, now: Self.nowNanos())
            connection.setNeedsFlush()
            return nil
        } catch {
            return error
        }
    }

    /// Gives the window of a message back.
    func consumed(_ stream: StreamID, bytes: Int) {
        guard let connection = establishedConnection else { return }
        connection.machine.consumed(stream, bytes: bytes)
        connection.setNeedsFlush()
    }

    /// Gives a stream up; its owner hears nothing more of it.
    func reset(_ stream: StreamID, _ failure: Failure) {
        owners[stream] = nil
        guard let connection = establishedConnection else { return }
        connection.machine.reset(stream, failure, now: Self.nowNanos())
        connection.setNeedsFlush()
    }

    /// Ends a stream in good order; its owner hears nothing more of it.
    func closeStream(_ stream: StreamID) {
        owners[stream] = nil
        guard let connection = establishedConnection else { return }
        connection.machine.close(stream, nil, now: Self.nowNanos())
        connection.setNeedsFlush()
    }

    // MARK: Connecting

    private func connect() {
        state = .connecting
        let machine = machineConfiguration()
        let bound = NIOLoopBound(self, eventLoop: loop)
        Sockets.connect(
            host: host, port: port, on: loop,
            timeout: .nanoseconds(max(1, configuration.connectTimeout.clampedNanos))
        ) { _ in
            Connection(
                machine: ConnectionMachine(machine, now: Self.nowNanos()), owner: bound.value)
        }
        .hop(to: loop)
        .assumeIsolated()
        .whenFailure { error in
            bound.value.attemptFailed(bound.value.connectFailure(error))
        }
    }

    private func machineConfiguration() -> ConnectionConfiguration {
        var machine = ConnectionConfiguration(
            role: .client,
            limits: PeerLimits(
                unitBytes: Limits.unitBytesMaximum, payloadBytes: Limits.payloadBytesMaximum,
                batchMessages: Limits.batchMessagesMaximum,
                streamWindowBytes: 2 * Limits.unitBytesMaximum,
                connectionWindowBytes: 4 * Limits.unitBytesMaximum),
            software: "chaski-swift")
        machine.clientName = configuration.clientName
        machine.outboundBytes = 32 * 1024 * 1024
        return machine
    }

    private func attemptFailed(_ failure: Failure) {
        lastFailure = failure
        switch state {
        case .closed: return
        case .idle, .connecting, .greeting, .established, .waiting: break
        }
        // Somebody else listens there; later it may be a broker that starts anew.
        let isNoBroker = firstAttempt != nil && failure.reason == .protocolError
        if Self.isFinal(failure) || isNoBroker {
            close(failure)
            return
        }
        if let firstAttempt, firstAttempt.deadlineNanos <= Self.nowNanos() {
            close(failure)
            return
        }
        state = .waiting
        let wait = backoff.attemptFailed(using: &random)
        configuration.logger.debug("reconnecting in \(wait / 1_000_000) ms: \(failure.message)")
        let bound = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .nanoseconds(wait)) {
            if case .waiting = bound.value.state { bound.value.connect() }
        }
    }

    /// Whether no later attempt can do better.
    private static func isFinal(_ failure: Failure) -> Bool {
        failure.reason == .unsupportedVersion || failure.code == .unauthenticated
    }

    private func tick() {
        let now = Self.nowNanos()
        if let firstAttempt, firstAttempt.deadlineNanos <= now {
            close(lastFailure)
            return
        }
        for member in members { member.ticked(now: now) }
    }
}

// MARK: - Events

extension Link: ConnectionOwner {
    func connectionStarted(_ connection: Connection) {
        guard case .connecting = state else {
            connection.closeNow()
            return
        }
        state = .greeting(connection)
    }

    func eventsArrived(on connection: Connection) {
        let now = Self.nowNanos()
        while let event = connection.machine.nextEvent() { handle(event, connection, now: now) }
        endTurn(now: now)
    }

    func outputDrained(on connection: Connection) {
        // The machine may have become writable without an event of its own.
        eventsArrived(on: connection)
    }

    func connectionEnded(_ connection: Connection) {
        let answered = connection.machine.counters.bytesReceived > 0
        detach(
            connection,
            isGreeting(connection) && answered
                ? notChaski
                : Failure(
                    .unavailable, .connectionLost, "the connection to \(host):\(port) was lost"))
    }

    /// Goes on without a connection that is, or is about to be, closed.
    private func detach(_ connection: Connection, _ failure: Failure) {
        switch state {
        case .greeting(let current) where current === connection:
            attemptFailed(failure)
        case .established(let current) where current === connection:
            lost(failure)
            attemptFailed(failure)
        case .greeting, .established, .idle, .connecting, .waiting, .closed:
            break
        }
    }

    private func handle(_ event: ConnectionEvent, _ connection: Connection, now: Int64) {
        switch event {
        case .welcomed(let welcome):
            established(welcome, connection, now: now)
        case .message(let stream, let message):
            if let owner = owners[stream] {
                touch(owner)
                owner.received(message, now: now)
            }
            connection.machine.consumed(stream, bytes: message.windowBytes)
            connection.setNeedsFlush()
        case .closed(let stream, let failure):
            ended(stream, failure, now: now)
        case .reset(let stream, let failure):
            ended(stream, failure, now: now)
        case .writable(let stream):
            if let owner = owners[stream] { touch(owner) }
        case .halfClosed:
            // The status follows.
            break
        case .goingAway(_, let failure):
            configuration.logger.debug("the broker goes away: \(failure?.message ?? "")")
        case .failed(let failure):
            connection.closeWhenFlushed()
            detach(connection, isStranger(connection) ? notChaski : failure)
        case .helloReceived, .opened:
            // A client's machine never reports these.
            break
        }
    }

    private func established(_ welcome: PeerWelcome, _ connection: Connection, now: Int64) {
        guard case .greeting(let current) = state, current === connection else { return }
        state = .established(connection)
        self.welcome = welcome
        backoff.connected()
        if let firstAttempt {
            self.firstAttempt = nil
            firstAttempt.promise.succeed()
        }
        for member in members {
            member.linkEstablished(self)
            touch(member)
        }
    }

    private func lost(_ failure: Failure) {
        state = .waiting
        owners.removeAll()
        touched.removeAll()
        let now = Self.nowNanos()
        for member in members { member.linkLost(failure, now: now) }
        for member in members { member.turnEnded(now: now) }
    }

    private func ended(_ stream: StreamID, _ failure: Failure?, now: Int64) {
        guard let owner = owners.removeValue(forKey: stream) else { return }
        touch(owner)
        owner.streamEnded(failure, now: now)
    }

    private func touch(_ owner: any StreamOwner) {
        if touched.last === owner { return }
        if !touched.contains(where: { $0 === owner }) { touched.append(owner) }
    }

    /// Lets those who had events send and answer.
    private func endTurn(now: Int64) {
        while !touched.isEmpty {
            let owners = touched
            touched.removeAll(keepingCapacity: true)
            for owner in owners { owner.turnEnded(now: now) }
        }
    }
}
