import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiWire

/// A consumer session's stream: subscriptions and verdicts in, deliveries and answers out.
final class ConsumeStream {
    let id: StreamID
    private let link: Int
    private unowned let owner: ConnectionStreams
    private var session: SessionID?
    /// Subscriptions on this stream, in order of their aliases' arrival; few.
    private var subscriptions: [Subscription] = []
    private var hasEnded = false
    private var isPaused = false
    /// Verdicts that the shard has not answered.
    private var unanswered = 0

    /// One subscription on the stream.
    struct Subscription {
        let alias: UInt32
        let consumer: ConsumerID
        var limit: ConsumerLimit
        var isOpen = false
        /// What precedes the sections of each delivery, encoded once.
        var deliverPrefix: [UInt8] = []
    }

    /// Subscriptions that one stream may serve.
    private static let maximumSubscriptions = 1_000

    init(_ id: StreamID, link: Int, _ owner: ConnectionStreams) {
        self.id = id
        self.link = link
        self.owner = owner
        isPaused = owner.isPaused
    }

    // MARK: From the client

    func receive(_ message: InboundMessage) throws(Failure) {
        guard !hasEnded else { throw .protocolError("a message after the last one") }
        let request = try Chaski_V1_ConsumeRequest(control: message.protobuf)
        switch request.kind {
        case .settle(let settle):
            try self.settle(settle, message)
            return
        case .open(let open):
            try self.open(open)
        case .subscribe(let subscribe):
            try self.subscribe(subscribe, claims: message.attachment)
        case .limit(let limit):
            try setLimit(limit)
        case .heartbeat:
            owner.send(.command(.heartbeat(try requireSession())), over: link)
        case .unsubscribe(let unsubscribe):
            self.unsubscribe(unsubscribe.alias)
        case nil:
            throw .protocolError("a consume request without content")
        }
        owner.consumed(id, message.windowBytes)
    }

    private func open(_ open: Chaski_V1_OpenSession) throws(Failure) {
        guard session == nil else { throw .protocolError("the session is open already") }
        guard let raw = UInt128(littleEndianBytes: open.sessionID) else {
            throw .protocolError("a session id has 16 bytes, not \(open.sessionID.count)")
        }
        session = SessionID(rawValue: raw)
    }

    private func requireSession() throws(Failure) -> SessionID {
        guard let session else { throw .protocolError("the session is not open yet") }
        return session
    }

    private func subscribe(_ message: Chaski_V1_Subscribe, claims: Bytes) throws(Failure) {
        let session = try requireSession()
        guard index(of: message.alias) == nil else {
            throw .protocolError("subscription alias \(message.alias) is taken")
        }
        guard subscriptions.count < Self.maximumSubscriptions else {
            throw Failure(
                .resourceExhausted, .tooMany,
                "A stream serves at most \(Self.maximumSubscriptions) subscriptions; open another.")
        }
        let limit = ConsumerLimit(messages: message.limit.messages, bytes: message.limit.bytes)
        let request = SubscribeRequest(
            request: owner.expect(.subscribe(self, alias: message.alias)),
            consumer: owner.addConsumer(self), session: session,
            subscription: message.subscription, limit: isPaused ? .none : limit,
            claims: SessionClaims(
                of: SubscriptionID(rawValue: message.claimsSubscriptionID),
                try TokenRanges.decode(claims, epoch: message.claimsEpoch)))
        subscriptions.append(
            Subscription(alias: message.alias, consumer: request.consumer, limit: limit))
        owner.send(.subscribe(request), over: link)
    }

    private func setLimit(_ message: Chaski_V1_SetLimit) throws(Failure) {
        // A subscription that ended meanwhile is no mistake of the client.
        guard let index = index(of: message.alias) else { return }
        subscriptions[index].limit = ConsumerLimit(
            messages: message.limit.messages, bytes: message.limit.bytes)
        sendLimit(subscriptions[index])
    }

    private func settle(_ message: Chaski_V1_Settle, _ inbound: InboundMessage) throws(Failure) {
        unanswered += 1
        let verb = message.verb
        let request = owner.expect(
            .settle(
                self, request: message.requestID, windowBytes: inbound.windowBytes,
                givesBack: verb != .ack && verb != .extend))
        do throws(Failure) {
            guard let index = index(of: message.alias) else {
                throw Failure(
                    .notFound, .unknownSubscription,
                    "Subscription alias \(message.alias) is not open on this stream.")
            }
            let command = SettleCommand(
                consumer: subscriptions[index].consumer, verb: try Verb(message.verb),
                ranges: try TokenRanges.decode(inbound.attachment, epoch: message.epoch),
                delayNanos: message.hasDelayNanos ? Int64(clamping: message.delayNanos) : nil,
                reason: message.reason, code: message.code)
            guard !command.ranges.isEmpty else { throw .protocolError("a verdict about nothing") }
            owner.send(.command(.settle(request, command)), over: link)
        } catch {
            owner.answer(request, .failure(error))
        }
    }

    private func unsubscribe(_ alias: UInt32) {
        guard let index = index(of: alias) else { return }
        let subscription = subscriptions.remove(at: index)
        close(subscription)
        say(.ended(.with { $0.alias = alias }))
    }

    private func close(_ subscription: Subscription) {
        owner.removeConsumer(subscription.consumer)
        owner.send(
            .command(.closeConsumer(owner.expect(.ignored), subscription.consumer)), over: link)
    }

    /// The client sends no more: what it holds is released, and when the last verdict is answered
    /// the stream is over.
    func ended() {
        hasEnded = true
        for subscription in subscriptions { close(subscription) }
        subscriptions.removeAll()
        endIfDone()
    }

    private func endIfDone() {
        if hasEnded, unanswered == 0 { owner.end(id, nil) }
    }

    /// The client is gone: what it holds waits for its session.
    func abandon() {
        for subscription in subscriptions {
            owner.removeConsumer(subscription.consumer)
            owner.send(.command(.disconnected(subscription.consumer)), over: link)
        }
        subscriptions.removeAll()
    }

    // MARK: Flow

    /// The connection cannot take more at the moment.
    func pause() {
        isPaused = true
        for subscription in subscriptions { sendLimit(subscription) }
    }

    func resume() {
        isPaused = false
        for subscription in subscriptions { sendLimit(subscription) }
    }

    private func sendLimit(_ subscription: Subscription) {
        let limit = isPaused ? .none : subscription.limit
        owner.send(.command(.setLimit(subscription.consumer, limit)), over: link)
    }

    // MARK: From the shard

    func subscribed(_ alias: UInt32, _ result: Result<OpenedConsumer, Failure>) {
        guard let index = index(of: alias) else { return }
        switch result {
        case .success(let opened):
            subscriptions[index].isOpen = true
            subscriptions[index].deliverPrefix = DeliveryWriter.prefix(alias: alias, opened.epoch)
            var held: [UInt8] = []
            TokenRanges.encode(opened.held, to: &held)
            let answer = Chaski_V1_Subscribed.with {
                $0.alias = alias
                $0.epoch = opened.epoch
                $0.leaseNanos = UInt64(clamping: opened.leaseNanos)
                $0.topic = opened.topic
                $0.topicIncarnation = opened.topicIncarnation
                $0.subscriptionID = opened.id.rawValue
                $0.ordered = opened.isOrdered
            }
            say(.subscribed(answer), attachment: held)
        case .failure(let failure):
            let subscription = subscriptions.remove(at: index)
            owner.removeConsumer(subscription.consumer)
            say(
                .ended(
                    .with {
                        $0.alias = alias
                        $0.status = Chaski_V1_Status(failure)
                    }))
        }
    }

    func deliver(_ deliveries: [Delivery], to consumer: ConsumerID) {
        guard let subscription = subscriptions.first(where: { $0.consumer == consumer }) else {
            return
        }
        precondition(subscription.isOpen, "a delivery before the subscription was answered")
        var writer = DeliveryWriter(
            preferredBytes: owner.settings.deliverBytes, maximumBytes: owner.largestAttachment)
        var messages: UInt64 = 0
        for delivery in deliveries {
            messages += delivery.messages
            do throws(Failure) {
                try writer.append(delivery) { attachment in
                    owner.deliver(subscription.deliverPrefix, attachment, on: id)
                }
            } catch {
                return cannotDeliver(delivery, subscription, error)
            }
        }
        writer.finish { owner.deliver(subscription.deliverPrefix, $0, on: id) }
        owner.host.delivered(messages: Int(clamping: messages))
    }

    /// Ends the subscription on this stream: what its consumer holds is released, for one that can
    /// take it.
    private func cannotDeliver(
        _ delivery: Delivery, _ subscription: Subscription, _ failure: Failure
    ) {
        owner.host.batchNotDelivered(delivery.batch, failure)
        subscriptions.removeAll { $0.consumer == subscription.consumer }
        close(subscription)
        say(
            .ended(
                .with {
                    $0.alias = subscription.alias
                    $0.status = Chaski_V1_Status(failure)
                }))
    }

    /// - Parameter givesBack: the answer goes out behind the deliveries before it: what the client
    ///   has then of the later messages of a key is superseded, and what comes after is not.
    func settled(
        _ request: UInt64, _ windowBytes: Int, givesBack: Bool, _ result: Result<Reply, Failure>
    ) {
        owner.consumed(id, windowBytes)
        var answer = Chaski_V1_Settled()
        var attachment: [UInt8] = []
        answer.requestID = request
        switch result {
        case .success(.settled(let accepted, let rejected)):
            answer.accepted = accepted
            for rejection in rejected {
                SettleRejections.encode(
                    SettleRefusal(
                        offset: rejection.offset, handout: rejection.handout,
                        reason: rejection.reason), to: &attachment)
            }
        case .success:
            answer.status = Chaski_V1_Status(.unexpectedReply)
        case .failure(let failure):
            answer.status = Chaski_V1_Status(failure)
        }
        say(.settled(answer), attachment: attachment, class: givesBack ? .batch : .control)
        unanswered -= 1
        endIfDone()
    }

    func consumerEnded(_ consumer: ConsumerID, _ failure: Failure) {
        guard let index = subscriptions.firstIndex(where: { $0.consumer == consumer }) else {
            return
        }
        let subscription = subscriptions.remove(at: index)
        owner.removeConsumer(consumer)
        say(
            .ended(
                .with {
                    $0.alias = subscription.alias
                    $0.status = Chaski_V1_Status(failure)
                }))
    }

    func stalled(_ consumer: ConsumerID, _ failure: Failure?) {
        guard let subscription = subscriptions.first(where: { $0.consumer == consumer }) else {
            return
        }
        say(
            .stalled(
                .with {
                    $0.alias = subscription.alias
                    if let failure { $0.status = Chaski_V1_Status(failure) }
                }))
    }

    // MARK: Helpers

    private func index(of alias: UInt32) -> Int? {
        subscriptions.firstIndex { $0.alias == alias }
    }

    private func say(
        _ kind: Chaski_V1_ConsumeResponse.OneOf_Kind, attachment: [UInt8] = [],
        class trafficClass: TrafficClass = .control
    ) {
        owner.send(
            Chaski_V1_ConsumeResponse.with { $0.kind = kind }, attachment, on: id,
            class: trafficClass)
    }
}

extension ConsumerLimit {
    /// Nothing new.
    static let none = ConsumerLimit(messages: 0, bytes: 0)
}
