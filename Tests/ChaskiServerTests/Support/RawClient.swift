import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiTransport
import ChaskiWire
import NIOCore
import NIOPosix

/// A client without the SDK: opens streams, sends messages, waits for what comes. Everything runs
/// on one event loop.
final class RawClient: Sendable {
    let loop: any EventLoop
    private let bound: NIOLoopBound<RawOwner>

    private init(loop: any EventLoop, owner: RawOwner) {
        self.loop = loop
        bound = NIOLoopBound(owner, eventLoop: loop)
    }

    /// Connects and waits for the handshake; throws what the broker answered instead.
    static func connect(
        port: Int, versions: ClosedRange<UInt32> = 1...1, limits: PeerLimits = PeerLimits(),
        grantsWindow: Bool = true
    ) async throws -> RawClient {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        var configuration = ConnectionConfiguration(
            role: .client, limits: limits, software: "test")
        configuration.versions = versions
        let client = try await loop.submit { [configuration] in
            let owner = RawOwner(loop, grantsWindow)
            let client = RawClient(loop: loop, owner: owner)
            return (client, configuration)
        }.get()
        try await Sockets.connect(
            host: "127.0.0.1", port: port, on: loop, timeout: .seconds(5)
        ) { [client] _ in
            Connection(
                machine: ConnectionMachine(client.1, now: Connection.nowNanos()),
                owner: client.0.bound.value)
        }.get()
        try await client.0.perform { $0.welcomed.futureResult }.get()
        return client.0
    }

    private func perform<T: Sendable>(
        _ body: @escaping @Sendable (RawOwner) throws -> T
    )
        async throws -> T
    {
        try await loop.submit { try body(self.bound.value) }.get()
    }

    /// Opens a stream.
    func open(_ method: String, namespace: String = "default") async throws -> StreamID {
        try await perform { try $0.open(OpenRequest(method: method, namespace: namespace)) }
    }

    /// Sends one message.
    func send(
        _ message: some ChaskiProtobuf.Message, attachment: [UInt8] = [], on stream: StreamID,
        end: Bool = false
    ) async throws {
        let bytes = try message.serializedBytes()
        try await perform { try $0.send(bytes, attachment, on: stream, end: end) }
    }

    /// The next thing that the broker says on a stream.
    func next(_ stream: StreamID) async throws -> RawItem {
        try await perform { $0.next(stream) }.get()
    }

    /// The next message; throws how the stream ended, where it did.
    func message<M: ChaskiProtobuf.Message>(
        _ type: M.Type = M.self, on stream: StreamID
    )
        async throws -> (M, [UInt8])
    {
        switch try await next(stream) {
        case .message(let protobuf, let attachment, _):
            return (try M(serializedBytes: protobuf), Array(attachment))
        case .closed(let failure):
            throw failure ?? Failure(.cancelled, .streamClosed, "closed without an answer")
        }
    }

    /// A unary call.
    func call<Answer: ChaskiProtobuf.Message>(
        _ method: String, _ request: some ChaskiProtobuf.Message, attachment: [UInt8] = [],
        namespace: String = "default", returning: Answer.Type = Answer.self
    ) async throws -> Answer {
        let bytes = try request.serializedBytes()
        // In one turn: a refusal may come as soon as the stream is open.
        let stream = try await perform {
            let stream = try $0.open(OpenRequest(method: method, namespace: namespace))
            try $0.send(bytes, attachment, on: stream, end: true)
            return stream
        }
        return try await message(Answer.self, on: stream).0
    }

    /// Breaks the connection without a word.
    func cut() async throws {
        try await perform {
            $0.connection?.closeNow()
            return $0.ended.futureResult
        }.get()
    }

    /// Waits until the connection is over; why, where the machine knows.
    func ended() async throws -> Failure? {
        try await perform { $0.ended.futureResult }.get()
        return try await perform { $0.failure }
    }
}

/// What comes on a stream.
enum RawItem: Sendable {
    case message(Bytes, Bytes, end: Bool)
    case closed(Failure?)
}

private final class RawOwner: ConnectionOwner {
    let loop: any EventLoop
    var connection: Connection?
    let welcomed: EventLoopPromise<Void>
    let ended: EventLoopPromise<Void>
    var failure: Failure?
    /// Whether window bytes are given back: a client that does not stops its peer.
    private let grantsWindow: Bool
    private var items: [StreamID: [RawItem]] = [:]
    private var waiting: [StreamID: [EventLoopPromise<RawItem>]] = [:]

    init(_ loop: any EventLoop, _ grantsWindow: Bool) {
        self.loop = loop
        self.grantsWindow = grantsWindow
        welcomed = loop.makePromise()
        ended = loop.makePromise()
    }

    func open(_ request: OpenRequest) throws -> StreamID {
        guard let connection else { throw RawClientError.closed }
        defer { connection.setNeedsFlush() }
        return try connection.machine.openStream(request, now: Connection.nowNanos())
    }

    func send(_ protobuf: [UInt8], _ attachment: [UInt8], on stream: StreamID, end: Bool) throws {
        guard let connection else { throw RawClientError.closed }
        try connection.machine.send(
            on: stream, protobuf: protobuf, attachment: attachment[...], end: end, class: .rpc,
            now: Connection.nowNanos())
        connection.setNeedsFlush()
    }

    func next(_ stream: StreamID) -> EventLoopFuture<RawItem> {
        if var list = items[stream], !list.isEmpty {
            let item = list.removeFirst()
            items[stream] = list
            return loop.makeSucceededFuture(item)
        }
        guard connection != nil else {
            return loop.makeFailedFuture(failure ?? RawClientError.closed as any Error)
        }
        let promise = loop.makePromise(of: RawItem.self)
        waiting[stream, default: []].append(promise)
        return promise.futureResult
    }

    private func put(_ item: RawItem, _ stream: StreamID) {
        if var list = waiting[stream], !list.isEmpty {
            let promise = list.removeFirst()
            waiting[stream] = list
            promise.succeed(item)
        } else {
            items[stream, default: []].append(item)
        }
    }

    func connectionStarted(_ connection: Connection) { self.connection = connection }

    func eventsArrived(on connection: Connection) {
        while let event = connection.machine.nextEvent() {
            switch event {
            case .welcomed: welcomed.succeed()
            case .message(let stream, let message):
                if grantsWindow {
                    connection.machine.consumed(stream, bytes: message.windowBytes)
                }
                put(.message(message.protobuf, message.attachment, end: message.end), stream)
            case .closed(let stream, let failure): put(.closed(failure), stream)
            case .reset(let stream, let failure): put(.closed(failure), stream)
            case .failed(let failure):
                self.failure = failure
                connection.closeWhenFlushed()
            case .helloReceived, .opened, .halfClosed, .writable, .goingAway: break
            }
        }
    }

    func outputDrained(on connection: Connection) {}

    func connectionEnded(_ connection: Connection) {
        self.connection = nil
        let error = failure ?? RawClientError.closed as any Error
        welcomed.fail(error)
        for stream in waiting.keys {
            for promise in waiting[stream] ?? [] { promise.fail(error) }
        }
        waiting.removeAll()
        ended.succeed()
    }
}

enum RawClientError: Error {
    case closed
}
