import Testing
import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire

/// A publish stream on one topic.
struct RawPublisher {
    let client: RawClient
    let stream: StreamID
    let bound: Chaski_V1_TopicBound

    static func open(
        _ client: RawClient, topic: String, producer: UInt8 = 1, epoch: UInt32 = 1,
        namespace: String = "default"
    ) async throws -> RawPublisher {
        let stream = try await client.open("chaski.v1.Publisher/Publish", namespace: namespace)
        var open = Chaski_V1_PublishRequest()
        open.open.producerID = [UInt8](repeating: producer, count: 16)
        open.open.epoch = epoch
        try await client.send(open, on: stream)
        var bind = Chaski_V1_PublishRequest()
        bind.bind.alias = 1
        bind.bind.topic = topic
        try await client.send(bind, on: stream)
        let (answer, _) = try await client.message(Chaski_V1_PublishResponse.self, on: stream)
        return RawPublisher(client: client, stream: stream, bound: answer.bound)
    }

    /// Sends one batch, without waiting for its result.
    func send(_ texts: [String], sequence: UInt64, request: UInt64) async throws {
        var builder = RecordBatchBuilder()
        for text in texts { try builder.append(message: Message(text, key: "k")) }
        try await send(batch: builder.finish(), sequence: sequence, request: request)
    }

    func send(batch: [UInt8], sequence: UInt64, request: UInt64) async throws {
        var publish = Chaski_V1_PublishRequest()
        publish.batch.requestID = request
        publish.batch.alias = 1
        publish.batch.baseSequence = sequence
        try await client.send(publish, attachment: batch, on: stream)
    }

    /// The next results, in order.
    func results() async throws -> [Chaski_V1_PublishResult] {
        try await client.message(Chaski_V1_PublishResponse.self, on: stream).0.results.results
    }

    /// Sends one batch and waits for its result.
    func publish(_ texts: [String], sequence: UInt64) async throws -> Chaski_V1_PublishResult {
        try await send(texts, sequence: sequence, request: sequence + 1)
        let results = try await results()
        return try #require(results.first)
    }
}

/// A consume stream on one subscription.
struct RawConsumer {
    let client: RawClient
    let stream: StreamID
    let subscribed: Chaski_V1_Subscribed
    /// The claims that still hold.
    let held: [TokenRange]

    static func open(
        _ client: RawClient, subscription: String, session: UInt8 = 1, messages: UInt32 = 1_000,
        bytes: UInt64 = 1 << 20, claims: [TokenRange] = [], claimsOf: UInt64 = 0,
        namespace: String = "default"
    ) async throws -> RawConsumer {
        let stream = try await client.open("chaski.v1.Consumer/Consume", namespace: namespace)
        var open = Chaski_V1_ConsumeRequest()
        open.open.sessionID = [UInt8](repeating: session, count: 16)
        try await client.send(open, on: stream)
        var subscribe = Chaski_V1_ConsumeRequest()
        subscribe.subscribe.alias = 1
        subscribe.subscribe.subscription = subscription
        subscribe.subscribe.limit.messages = messages
        subscribe.subscribe.limit.bytes = bytes
        subscribe.subscribe.claimsEpoch = claims.first?.epoch ?? 0
        subscribe.subscribe.claimsSubscriptionID = claimsOf
        var attachment: [UInt8] = []
        TokenRanges.encode(claims, to: &attachment)
        try await client.send(subscribe, attachment: attachment, on: stream)
        let (answer, held) = try await client.message(Chaski_V1_ConsumeResponse.self, on: stream)
        if case .ended(let ended) = answer.kind { throw Failure(wire: ended.status) }
        return RawConsumer(
            client: client, stream: stream, subscribed: answer.subscribed,
            held: try TokenRanges.decode(held[...], epoch: answer.subscribed.epoch))
    }

    /// Messages of the next Deliver, with their tokens.
    func deliveries() async throws -> [RawDelivery] {
        let (answer, attachment) = try await client.message(
            Chaski_V1_ConsumeResponse.self, on: stream)
        guard case .deliver(let deliver) = answer.kind else {
            throw Failure(.unknown, .protocolError, "not a delivery: \(answer)")
        }
        var deliveries: [RawDelivery] = []
        for section in try DeliverySections.decode(attachment[...]) {
            let view = try RecordBatchView(validating: section.batch, origin: .delivered)
            var payloads = view.payloads()
            var place = 0
            for run in section.runs {
                for offset in run.first..<run.first + UInt64(run.count) {
                    let payload = try payloads.payload(of: view.header(at: place))
                    place += 1
                    deliveries.append(
                        RawDelivery(
                            token: TokenRange(
                                epoch: deliver.epoch, first: offset, count: 1,
                                handout: run.handout),
                            failed: run.failed, text: String(decoding: payload, as: UTF8.self)))
                }
            }
        }
        return deliveries
    }

    /// At least `count` messages.
    func deliveries(atLeast count: Int) async throws -> [RawDelivery] {
        var all: [RawDelivery] = []
        while all.count < count { all += try await deliveries() }
        return all
    }

    /// Settles and waits for the answer.
    func settle(
        _ verb: Chaski_V1_SettleVerb, _ tokens: [TokenRange], delayNanos: UInt64? = nil,
        reason: String = "", code: String = ""
    ) async throws -> Chaski_V1_Settled {
        var settle = Chaski_V1_ConsumeRequest()
        settle.settle.requestID = 7
        settle.settle.alias = 1
        settle.settle.verb = verb
        settle.settle.epoch = tokens.first?.epoch ?? 0
        if let delayNanos { settle.settle.delayNanos = delayNanos }
        settle.settle.reason = reason
        settle.settle.code = code
        var attachment: [UInt8] = []
        TokenRanges.encode(tokens, to: &attachment)
        try await client.send(settle, attachment: attachment, on: stream)
        let (answer, _) = try await client.message(Chaski_V1_ConsumeResponse.self, on: stream)
        return answer.settled
    }
}

struct RawDelivery: Sendable {
    var token: TokenRange
    var failed: UInt32
    var text: String
}

extension Failure {
    init(wire status: Chaski_V1_Status) {
        self.init(
            StatusCode(rawValue: status.code) ?? .unknown, FailureReason(rawValue: status.reason),
            status.message)
    }
}
