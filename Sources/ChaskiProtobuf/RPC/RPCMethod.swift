/// A method of a service: what generated code says of it.
public struct RPCMethod<Input: Message, Output: Message>: Sendable, Hashable {
    /// `package.Service/Method`.
    public let path: String
    /// True when the caller sends a stream of messages.
    public let clientStreams: Bool
    /// True when the handler sends a stream of messages.
    public let serverStreams: Bool
    /// True when a call may be handed out a second time: the .proto file gives the method's
    /// `idempotency_level`.
    public let isIdempotent: Bool

    /// Describes a method; for generated code.
    public init(
        path: String, clientStreams: Bool = false, serverStreams: Bool = false,
        isIdempotent: Bool = false
    ) {
        self.path = path
        self.clientStreams = clientStreams
        self.serverStreams = serverStreams
        self.isIdempotent = isIdempotent
    }
}
