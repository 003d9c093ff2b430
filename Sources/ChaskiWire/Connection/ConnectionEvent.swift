package import ChaskiModel

/// One message of a stream.
package struct InboundMessage: Sendable {
    /// The protobuf part, inflated.
    package var protobuf: Bytes
    /// In memory of its own, shared with nobody.
    package var attachment: Bytes
    /// Whether it is the sender's last on the stream.
    package var end: Bool
    /// What it took of the transport windows: give it to `consumed` when it is dealt with, also
    /// where the stream is over meanwhile.
    package var windowBytes: Int
}

/// What came out of received bytes, timers, and the host's own calls. The host takes them with
/// `nextEvent()` until nil after each call.
package enum ConnectionEvent: Sendable {
    /// Server: a client said HELLO in a version that this side speaks. The host answers with
    /// `welcome` or `refuse`.
    case helloReceived(PeerHello)
    /// Client: streams may be opened from now on.
    case welcomed(PeerWelcome)
    /// Server: the client called a method. The stream's slot is taken until `close`, `reset`, or,
    /// once the peer ended it, `release`.
    case opened(StreamID, OpenRequest)
    case message(StreamID, InboundMessage)
    /// The peer sends no more messages on the stream, and said so without a message.
    case halfClosed(StreamID)
    /// The peer ended the stream: nil is OK. A server calls `release` when its work on it is over.
    case closed(StreamID, Failure?)
    /// The peer cancelled the stream. A server calls `release` when its work on it is over.
    case reset(StreamID, Failure)
    /// A stream that was not writable is writable again.
    case writable(StreamID)
    /// The peer takes no streams above the last one it handled; those above come as `closed` with
    /// `draining` in a client.
    case goingAway(last: StreamID, Failure?)
    /// The connection is over: write what `writeOutput` still gives, then close the transport.
    /// The last event.
    case failed(Failure)
}
