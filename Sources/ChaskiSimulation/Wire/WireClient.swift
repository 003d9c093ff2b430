import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiRecords
import ChaskiWire

/// A client's end of a connection: the production machine; puts requests into messages, and makes
/// answers of the messages that come.
final class WireClient {
    static let namespace = "default"

    /// What an open consumer alias is at.
    struct Alias {
        enum Phase { case opening(tag: UInt64), open, closing(tag: UInt64) }
        var phase: Phase
        var stream: StreamID
        var subscription = SubscriptionID(rawValue: 0)
    }

    private let number: Int
    unowned let simulation: Simulation
    private let client: Int
    var machine: ConnectionMachine
    /// What was asked before the broker's welcome.
    private var early: [(Request, UInt64)] = []
    var publishStream: StreamID?
    var topicAliases: [TopicID: UInt32] = [:]
    var bindings: [UInt32: UInt64] = [:]
    /// One stream for each session, the last one open.
    var consumeStreams: [SessionID: StreamID] = [:]
    var aliases: [UInt32: Alias] = [:]
    var lastAlias: UInt32 = 0
    /// The tags of calls under way.
    var calls: [StreamID: (tag: UInt64, answer: Bytes?)] = [:]
    /// Requests by their tags that wait for exactly one answer.
    private var unanswered: Set<UInt64> = []
    /// Over: nothing is sent or told any more.
    private(set) var isOver = false

    init(
        _ simulation: Simulation, number: Int, client: Int, _ configuration: ConnectionConfiguration
    ) {
        self.simulation = simulation
        self.number = number
        self.client = client
        machine = ConnectionMachine(configuration, now: simulation.now)
    }

    var now: Int64 { simulation.now }

    func end() { isOver = true }

    /// Gives the client what came.
    func tell(_ response: Response) {
        guard !isOver else { return }
        simulation.clients[client].received(response)
    }

    /// Gives the client the one answer of a request.
    func answer(_ tag: UInt64, _ result: Result<Reply, Failure>) {
        guard unanswered.remove(tag) != nil else {
            return simulation.oracle.violated(
                "one reply", "request \(tag) was answered twice on connection \(number)")
        }
        tell(.reply(tag: tag, result))
    }

    /// The connection cannot go on: the client begins anew.
    func giveUp(_ reason: String) {
        guard !isOver else { return }
        simulation.note("given up", UInt64(number), 0, reason)
        simulation.lost(number)
    }

    // MARK: - Requests

    func ask(_ request: Request, tag: UInt64) {
        guard machine.isEstablished else {
            early.append((request, tag))
            return
        }
        switch request {
        case .publish, .skip, .settle: unanswered.insert(tag)
        default: break
        }
        do {
            try encode(request, tag: tag)
        } catch {
            giveUp("\(error)")
        }
    }

    func openStream(_ method: String) throws -> StreamID {
        try machine.openStream(OpenRequest(method: method, namespace: Self.namespace), now: now)
    }

    func send(
        _ message: some ChaskiProtobuf.Message, _ attachment: Bytes = [], on stream: StreamID,
        end: Bool = false, class trafficClass: TrafficClass = .control
    ) throws {
        try machine.send(
            on: stream, protobuf: try message.serializedBytes(), attachment: attachment, end: end,
            class: trafficClass, now: now)
    }

    // MARK: - Events

    func handleEvents() {
        while !isOver, let event = machine.nextEvent() {
            switch event {
            case .welcomed:
                let waiting = early
                early.removeAll()
                for (request, tag) in waiting { ask(request, tag: tag) }
            case .message(let stream, let message):
                do {
                    try received(message, on: stream)
                } catch {
                    simulation.oracle.violated("wire", "a message cannot be read: \(error)")
                }
                machine.consumed(stream, bytes: message.windowBytes)
            case .closed(let stream, let failure), .reset(let stream, let failure as Failure?):
                closed(stream, failure)
            case .failed(let failure):
                simulation.wireFailed(failure, atBroker: false, on: number)
                giveUp(failure.message)
            case .goingAway(_, let failure): giveUp(failure?.message ?? "going away")
            case .helloReceived, .opened, .halfClosed, .writable: break
            }
        }
    }

    private func received(_ message: InboundMessage, on stream: StreamID) throws {
        if stream == publishStream {
            try publishAnswered(Chaski_V1_PublishResponse(serializedBytes: message.protobuf))
        } else if calls[stream] != nil {
            calls[stream]?.answer = message.protobuf
        } else {
            try consumeAnswered(
                Chaski_V1_ConsumeResponse(serializedBytes: message.protobuf), message.attachment)
        }
    }

    private func closed(_ stream: StreamID, _ failure: Failure?) {
        guard let call = calls.removeValue(forKey: stream) else {
            return giveUp("a stream was closed: \(failure?.message ?? "")")
        }
        if let failure {
            tell(.answered(tag: call.tag, .failure(failure)))
        } else if let answer = call.answer {
            tell(.answered(tag: call.tag, .success(answer)))
        } else {
            simulation.oracle.violated("wire", "a call ended well and without an answer")
        }
    }

    private func publishAnswered(_ response: Chaski_V1_PublishResponse) throws {
        switch response.kind {
        case .bound(let bound)?:
            guard let tag = bindings.removeValue(forKey: bound.alias) else { return }
            if let failure = bound.status.failure, bound.hasStatus {
                return tell(.bound(tag: tag, nil, .failure(failure)))
            }
            let topic = TopicID(rawValue: bound.topicID)
            topicAliases[topic] = bound.alias
            tell(
                .bound(
                    tag: tag, topic, .success(.producerOpened(nextSequence: bound.nextSequence))))
        case .results(let list)?:
            for result in list.results {
                if result.hasStatus, let failure = result.status.failure {
                    answer(result.requestID, .failure(failure))
                } else {
                    answer(
                        result.requestID,
                        .success(
                            .published(
                                baseOffset: result.baseOffset,
                                appendTimeNanos: result.appendUnixNanos,
                                duplicate: result.duplicate,
                                duplicates: try DuplicateMembers.decode(result.duplicates))))
                }
            }
        case nil: simulation.oracle.violated("wire", "a publish response of no kind")
        }
    }
}

extension Chaski_V1_Status {
    /// The failure that it states; nil for code 0.
    var failure: Failure? {
        guard code != 0 else { return nil }
        return Failure(
            StatusCode(rawValue: code) ?? .unknown, FailureReason(rawValue: reason), message,
            retryAfterNanos: retryAfterMillis == 0
                ? nil : Int64(clamping: min(retryAfterMillis, 1 << 40)) * 1_000_000)
    }
}
