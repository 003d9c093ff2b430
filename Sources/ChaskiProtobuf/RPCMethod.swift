/// A method of a service: what generated code says of it.
public struct RPCMethod<Input: Message, Output: Message>: Sendable, Hashable {
    /// `package.Service/Method`.
    public let path: String
    /// True when the caller sends a stream of messages.
    public let clientStreams: Bool
    /// True when the handler sends a stream of messages.
    public let serverStreams: Bool

    /// Describes a method; for generated code.
    public init(path: String, clientStreams: Bool, serverStreams: Bool) {
        self.path = path
        self.clientStreams = clientStreams
        self.serverStreams = serverStreams
    }
}
