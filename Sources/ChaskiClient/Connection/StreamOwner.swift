import ChaskiModel
import ChaskiWire

/// Something of a client that talks over a stream of its link: a call, a producer, a consumer.
/// Used on the link's event loop only.
protocol StreamOwner: AnyObject {
    /// A connection is there: open a stream if one is wanted.
    func linkEstablished(_ link: Link)
    /// The connection is gone, and the stream with it.
    func linkLost(_ failure: Failure, now: Int64)
    /// A message came on the stream.
    func received(_ message: InboundMessage, now: Int64)
    /// The broker ended the stream; nil is OK.
    func streamEnded(_ failure: Failure?, now: Int64)
    /// A run of events is over: send what they led to, and tell the waiting.
    func turnEnded(now: Int64)
    /// A few times a second.
    func ticked(now: Int64)
    /// The client is closed; nothing follows.
    func linkClosed(_ failure: Failure)
}
