import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiTransport
import ChaskiWire
import NIOCore
import NIOPosix
import Synchronization

/// A broker in memory, good enough to talk to one client over the loopback interface, that breaks
/// connections and refuses when it is told to.
final class ScriptedBroker: Sendable {
    struct Script: Sendable {
        /// Stores the batch with this number (from 1), and breaks the connection instead of
        /// answering.
        var breakAtBatch: Int?
        /// Answers the batch with this number with a failure.
        var refuseBatch: (number: Int, failure: Failure)?
        /// Breaks the connection when the first verdict comes, and takes it.
        var breakAtVerdict = false
        /// The first subscribe is told that messages cannot be read.
        var stalls = false
        /// Subscriptions are ordered; with the answer to a failure comes what lies behind it, anew.
        var isOrdered = false
    }

    struct State: Sendable {
        var script = Script()
        var connections = 0
        var batches = 0
        /// Stored batches with the sequence that each began with.
        var stored: [Stored] = []
        var nextSequence: UInt64 = 0
        var nextOffset: UInt64 = 0
        var wasRefused = false
        var skips: [UInt64] = []
        var acked: Set<Offset> = []
        var claims: [[TokenRange]] = []
        var unsubscribed = 0
    }

    typealias Stored = (sequence: UInt64, offset: UInt64, count: Int, bytes: [UInt8])

    let state = Mutex(State())
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// Listens on a free port.
    func start() async throws -> Int {
        let channel = try await Sockets.listen(
            host: "127.0.0.1", port: 0, on: group.next(), connections: group
        ) { _ in
            var configuration = ConnectionConfiguration(role: .server)
            configuration.resumeGraceNanos = 1_000_000_000
            return Connection(
                machine: ConnectionMachine(configuration, now: Connection.nowNanos()),
                owner: BrokerConnection(self))
        }.get()
        return channel.localAddress?.port ?? 0
    }

    func stop() async throws { try await group.shutdownGracefully() }
}

/// One connection of a scripted broker; confined to its loop.
private final class BrokerConnection: ConnectionOwner {
    private let broker: ScriptedBroker
    private var methods: [StreamID: String] = [:]

    init(_ broker: ScriptedBroker) { self.broker = broker }

    func connectionStarted(_ connection: Connection) {
        broker.state.withLock { $0.connections += 1 }
    }

    func outputDrained(on connection: Connection) {}
    func connectionEnded(_ connection: Connection) {}

    func eventsArrived(on connection: Connection) {
        while let event = connection.machine.nextEvent() {
            switch event {
            case .helloReceived:
                connection.machine.welcome(identity: "tester", now: Connection.nowNanos())
            case .opened(let stream, let request):
                methods[stream] = request.method
            case .message(let stream, let message):
                connection.machine.consumed(stream, bytes: message.windowBytes)
                handle(message, on: stream, connection)
            case .failed:
                connection.closeWhenFlushed()
            case .welcomed, .halfClosed, .closed, .reset, .writable, .goingAway:
                break
            }
        }
        connection.setNeedsFlush()
    }

    private func handle(
        _ message: InboundMessage, on stream: StreamID, _ connection: Connection
    ) {
        do {
            switch methods[stream] ?? "" {
            case "chaski.v1.Publisher/Publish":
                try publish(message, on: stream, connection)
            case "chaski.v1.Consumer/Consume":
                try consume(message, on: stream, connection)
            case "chaski.v1.Topics/Create":
                let request = try Chaski_V1_CreateTopicRequest(serializedBytes: message.protobuf)
                let response = Chaski_V1_CreateTopicResponse.with { $0.topic.name = request.name }
                try connection.machine.send(
                    on: stream, protobuf: response.serializedBytes(), end: true, class: .rpc,
                    now: Connection.nowNanos())
                connection.machine.close(stream, nil, now: Connection.nowNanos())
            default:
                connection.machine.close(
                    stream, Failure(.unimplemented, .unknownMethod, "no such method"),
                    now: Connection.nowNanos())
            }
        } catch {
            connection.closeNow()
        }
    }

    // MARK: Publishing

    private func publish(
        _ message: InboundMessage, on stream: StreamID, _ connection: Connection
    ) throws {
        let request = try Chaski_V1_PublishRequest(serializedBytes: message.protobuf)
        switch request.kind {
        case .bind(let bind)?:
            let next = broker.state.withLock { $0.nextSequence }
            try say(
                .with {
                    $0.bound = .with {
                        $0.alias = bind.alias
                        $0.topicID = 1
                        $0.nextSequence = next
                    }
                }, on: stream, connection)
        case .skip(let skip)?:
            broker.state.withLock {
                $0.skips.append(skip.next)
                $0.nextSequence = skip.next
                $0.wasRefused = false
            }
            try answer(.with { $0.requestID = skip.requestID }, on: stream, connection)
        case .batch(let batch)?:
            guard let result = try take(batch, message.attachment) else {
                connection.closeNow()
                return
            }
            try answer(result, on: stream, connection)
        case .open?, nil:
            break
        }
    }

    /// The answer to a batch; nil where the connection is to break instead.
    private func take(
        _ batch: Chaski_V1_PublishBatch, _ attachment: Bytes
    ) throws -> Chaski_V1_PublishResult? {
        let view = try RecordBatchView(validating: attachment)
        return broker.state.withLock { state in
            state.batches += 1
            var result = Chaski_V1_PublishResult()
            result.requestID = batch.requestID
            if let known = state.stored.first(where: { $0.sequence == batch.baseSequence }) {
                result.baseOffset = known.offset
                result.duplicate = true
                return result
            }
            if let refusal = state.script.refuseBatch, refusal.number == state.batches {
                state.wasRefused = true
                result.status.code = refusal.failure.code.rawValue
                result.status.reason = refusal.failure.reason.rawValue
                return result
            }
            guard batch.baseSequence == state.nextSequence else {
                let reason: FailureReason = state.wasRefused ? .afterRefused : .sequenceGap
                result.status.code = StatusCode.failedPrecondition.rawValue
                result.status.reason = reason.rawValue
                return result
            }
            var bytes = Array(attachment)
            bytes.setBrokerHeader(baseOffset: state.nextOffset, appendTime: 7)
            state.stored.append((batch.baseSequence, state.nextOffset, view.count, bytes))
            result.baseOffset = state.nextOffset
            state.nextOffset += UInt64(view.count)
            state.nextSequence += UInt64(view.count)
            return state.script.breakAtBatch == state.batches ? nil : result
        }
    }

    private func answer(
        _ result: Chaski_V1_PublishResult, on stream: StreamID, _ connection: Connection
    ) throws {
        try say(.with { $0.results = .with { $0.results = [result] } }, on: stream, connection)
    }

    private func say(
        _ response: Chaski_V1_PublishResponse, on stream: StreamID, _ connection: Connection
    ) throws {
        try connection.machine.send(
            on: stream, protobuf: response.serializedBytes(), class: .control,
            now: Connection.nowNanos())
    }

    // MARK: Consuming

    private func consume(
        _ message: InboundMessage, on stream: StreamID, _ connection: Connection
    ) throws {
        let request = try Chaski_V1_ConsumeRequest(serializedBytes: message.protobuf)
        switch request.kind {
        case .subscribe(let subscribe)?:
            try subscribed(subscribe, message.attachment, on: stream, connection)
        case .settle(let settle)?:
            let ranges = try TokenRanges.decode(message.attachment, epoch: settle.epoch)
            let (breaks, again) = broker.state.withLock { state in
                for range in ranges where settle.verb == .ack {
                    state.acked.formUnion(range.first..<range.first + UInt64(range.count))
                }
                defer { state.script.breakAtVerdict = false }
                let returns = state.script.isOrdered && settle.verb != .ack
                return (state.script.breakAtVerdict, returns ? state.stored : [])
            }
            if breaks {
                connection.closeNow()
                return
            }
            try say(
                .with { $0.settled = .with { $0.requestID = settle.requestID } }, on: stream,
                connection)
            try deliver(
                again, behind: ranges.last?.first, alias: settle.alias, handout: 2, on: stream,
                connection)
        case .unsubscribe(let unsubscribe)?:
            broker.state.withLock { $0.unsubscribed += 1 }
            try say(
                .with { $0.ended = .with { $0.alias = unsubscribe.alias } }, on: stream,
                connection)
        case .open?, .limit?, .heartbeat?, nil:
            break
        }
    }

    private func subscribed(
        _ subscribe: Chaski_V1_Subscribe, _ attachment: Bytes, on stream: StreamID,
        _ connection: Connection
    ) throws {
        guard subscribe.subscription != "nobody" else {
            try say(
                .with {
                    $0.ended = .with {
                        $0.alias = subscribe.alias
                        $0.status = .with {
                            $0.code = StatusCode.notFound.rawValue
                            $0.reason = FailureReason.unknownSubscription.rawValue
                        }
                    }
                }, on: stream, connection)
            return
        }
        let claims = try TokenRanges.decode(attachment, epoch: subscribe.claimsEpoch)
        let (stored, stalls, isOrdered) = broker.state.withLock { state in
            state.claims.append(claims)
            return (
                claims.isEmpty ? state.stored : [], state.script.stalls && state.claims.count == 1,
                state.script.isOrdered
            )
        }
        // All claims hold.
        try say(
            .with {
                $0.subscribed = .with {
                    $0.alias = subscribe.alias
                    $0.epoch = 1
                    $0.leaseNanos = 30_000_000_000
                    $0.topic = "orders"
                    $0.topicIncarnation = 1
                    $0.subscriptionID = 1
                    $0.ordered = isOrdered
                }
            }, attachment: Array(attachment), on: stream, connection)
        if stalls {
            try say(
                .with {
                    $0.stalled = .with {
                        $0.alias = subscribe.alias
                        $0.status = .with {
                            $0.code = StatusCode.dataLoss.rawValue
                            $0.reason = FailureReason.damaged.rawValue
                        }
                    }
                }, on: stream, connection)
        }
        try deliver(stored, alias: subscribe.alias, handout: 1, on: stream, connection)
    }

    private func deliver(
        _ batches: [ScriptedBroker.Stored], behind: Offset? = nil, alias: UInt32, handout: UInt32,
        on stream: StreamID, _ connection: Connection
    ) throws {
        var sections: [UInt8] = []
        for batch in batches {
            let end = batch.offset + UInt64(batch.count)
            let first = behind.map { max(batch.offset, $0 + 1) } ?? batch.offset
            guard first < end else { continue }
            let run = DeliveredRun(
                first: first, count: UInt32(end - first), handout: handout, failed: 0)
            DeliverySections.encode([run], batch: batch.bytes[...], to: &sections)
        }
        guard !sections.isEmpty else { return }
        try say(
            .with {
                $0.deliver = .with {
                    $0.alias = alias
                    $0.epoch = 1
                }
            }, attachment: sections, on: stream, connection)
    }

    private func say(
        _ response: Chaski_V1_ConsumeResponse, attachment: [UInt8] = [], on stream: StreamID,
        _ connection: Connection
    ) throws {
        try connection.machine.send(
            on: stream, protobuf: response.serializedBytes(), attachment: attachment[...],
            class: .control, now: Connection.nowNanos())
    }
}
