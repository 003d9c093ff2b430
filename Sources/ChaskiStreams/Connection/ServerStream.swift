import ChaskiBroker
import ChaskiModel
import ChaskiWire

/// A stream that a client opened, by method.
enum ServerStream {
    case unary(UnaryStream)
    case publish(PublishStream)
    case consume(ConsumeStream)

    /// Takes one message, whose window bytes it gives back when it is dealt with.
    ///
    /// - Throws: what ends the stream; the window bytes are the caller's then.
    func receive(_ message: InboundMessage) throws(Failure) {
        switch self {
        case .unary(let stream): try stream.receive(message)
        case .publish(let stream): try stream.receive(message)
        case .consume(let stream): try stream.receive(message)
        }
    }

    /// The client sends no more.
    func ended() {
        switch self {
        case .unary(let stream): stream.ended()
        case .publish(let stream): stream.ended()
        case .consume(let stream): stream.ended()
        }
    }

    /// The client, or the connection, is gone.
    func abandon() {
        switch self {
        case .unary, .publish: break
        case .consume(let stream): stream.abandon()
        }
    }

    /// Whether requests of it are still at work; it calls `release` after the last.
    var isBusy: Bool {
        switch self {
        case .unary(let stream): stream.isBusy
        case .publish(let stream): stream.isBusy
        case .consume: false
        }
    }

    /// Sends what was gathered in this turn.
    func sendGathered() {
        switch self {
        case .unary, .consume: break
        case .publish(let stream): stream.sendResults()
        }
    }
}

/// A request that a shard has not answered, and whom the answer is for.
enum Pending {
    case unary(UnaryStream)
    case atomic(UnaryStream)
    case bind(PublishStream, alias: UInt32)
    /// `slot` is the place among the stream's results.
    case publish(PublishStream, slot: UInt64, windowBytes: Int)
    case subscribe(ConsumeStream, alias: UInt32)
    /// `givesBack`: the verdict ends hand-outs without an ack.
    case settle(ConsumeStream, request: UInt64, windowBytes: Int, givesBack: Bool)
    /// A reply that nobody waits for.
    case ignored

    func replied(_ result: Result<Reply, Failure>) {
        switch self {
        case .publish(let stream, let slot, let windowBytes):
            stream.published(slot, windowBytes, result)
        case .settle(let stream, let request, let windowBytes, let givesBack):
            stream.settled(request, windowBytes, givesBack: givesBack, result)
        case .atomic(let stream):
            stream.replied(result)
        case .unary, .bind, .subscribe, .ignored:
            break
        }
    }

    func bound(_ result: Result<BoundTopic, Failure>) {
        if case .bind(let stream, let alias) = self { stream.bound(alias, result) }
    }

    func subscribed(_ result: Result<OpenedConsumer, Failure>) {
        if case .subscribe(let stream, let alias) = self { stream.subscribed(alias, result) }
    }

    func answered(_ result: Result<[UInt8], Failure>) {
        if case .unary(let stream) = self { stream.answered(result) }
    }
}
