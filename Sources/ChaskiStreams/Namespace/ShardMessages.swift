package import ChaskiBroker
package import ChaskiModel

/// How requests and consumers are numbered: the connection in the upper bits, so that a shard
/// finds the way back without a table entry per request.
package enum Numbering {
    /// Bits of a connection's own numbers; they wrap after 68 billion requests, long after the
    /// request that bore the number was answered.
    package static let ownBits: UInt64 = 36
    package static let ownMask: UInt64 = (1 << ownBits) - 1
    /// Connections are numbered in the bits above.
    package static let connectionMask: UInt64 = (1 << (64 - ownBits)) - 1

    package static func connection(of raw: UInt64) -> UInt64 { raw >> ownBits }

    package static func raw(connection: UInt64, own: UInt64) -> UInt64 {
        (connection & connectionMask) << ownBits | own & ownMask
    }
}

/// What a connection asks of a shard.
package enum ShardRequest: Sendable {
    /// Goes to the core as it is.
    case command(Command)
    /// Looks a topic up and opens the producer on it; answered by `bound`.
    case bind(RequestID, topic: String, ProducerID, epoch: UInt32)
    /// Opens a consumer; answered by `subscribed`.
    case subscribe(SubscribeRequest)
    /// Answered by `answered`.
    case admin(RequestID, AdminRequest)
    /// The first of a connection: this is the way back.
    case attach
    /// The connection is over: forget the way back.
    case detach
}

/// A consumer to be opened.
package struct SubscribeRequest: Sendable {
    package var request: RequestID
    package var consumer: ConsumerID
    package var session: SessionID
    package var subscription: String
    package var limit: ConsumerLimit
    package var claims: SessionClaims
}

/// A topic that a publisher may write to.
package struct BoundTopic: Sendable {
    package var id: TopicID
    package var incarnation: UInt32
    package var nextSequence: UInt64
}

/// A subscription that a consumer listens to.
package struct OpenedConsumer: Sendable {
    package var id: SubscriptionID
    package var topic: String
    package var topicIncarnation: UInt32
    package var isOrdered: Bool
    package var epoch: UInt32
    package var leaseNanos: Int64
    package var held: [TokenRange]
}

/// What a shard has to say to a connection.
package enum ShardEvent: Sendable {
    case replied(RequestID, Result<Reply, Failure>)
    case bound(RequestID, Result<BoundTopic, Failure>)
    case subscribed(RequestID, Result<OpenedConsumer, Failure>)
    /// The protobuf bytes of a unary answer.
    case answered(RequestID, Result<[UInt8], Failure>)
    case deliver(ConsumerID, [Delivery])
    case ended(ConsumerID, Failure)
    /// Messages cannot be read, for what reason; or, with none, they can again.
    case stalled(ConsumerID, Failure?)
    /// The end of a run of events: what was gathered may go out.
    case turnEnded
}
