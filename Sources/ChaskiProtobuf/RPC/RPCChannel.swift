/// What opens calls: the one thing that a transport gives to generated clients. It moves bytes and
/// knows no message types.
public protocol RPCChannel: Sendable {
    /// Opens a call of the method at `path`, `package.Service/Method`.
    ///
    /// Returns before the other side has answered; that there is no such method, say, comes out of
    /// `RPCStream.receive()`. The call ends by itself when `options.timeout` has passed.
    /// - Throws: what keeps the call from being sent at all.
    func open(
        _ path: String, isIdempotent: Bool, options: RPCOptions
    ) async throws(RPCError) -> any RPCStream
}

/// One call as one of its two sides sees it: messages out, messages in. A transport implements it
/// for both sides.
///
/// One task may send while another receives; two must not send, nor two receive, at a time. Each
/// function throws `cancelled` when its task is cancelled, and the status of the call once that
/// failed.
public protocol RPCStream: Sendable {
    /// Sends a message; suspends while the other side takes no more. `isLast` saves a `finish()`.
    func send(_ message: [UInt8], isLast: Bool) async throws(RPCError)

    /// Says that no message follows. On the server's side the transport does so by itself when the
    /// handler returned.
    func finish() async throws(RPCError)

    /// The next message; nil when the other side finished: for a caller, with success.
    func receive() async throws(RPCError) -> [UInt8]?

    /// Ends the call at once, from any thread. Nothing happens to a call that has ended.
    func cancel()
}

/// Owns one side of a call: who forgets it cancels it.
final class RPCCallOwner: Sendable {
    let stream: any RPCStream
    private let cancelsAtEnd: Bool

    /// - Parameter cancelsAtEnd: true for callers; a handler's call ends when the handler returns.
    init(_ stream: any RPCStream, cancelsAtEnd: Bool) {
        self.stream = stream
        self.cancelsAtEnd = cancelsAtEnd
    }

    deinit {
        if cancelsAtEnd { stream.cancel() }
    }

    func send<M: Message>(_ message: M, isLast: Bool) async throws(RPCError) {
        let bytes: [UInt8]
        do throws(EncodingError) {
            bytes = try message.serializedBytes()
        } catch {
            throw RPCError(.internalError, "\(M.protoMessageName) cannot be sent: \(error)")
        }
        try await stream.send(bytes, isLast: isLast)
    }

    func receive<M: Message>(
        _ type: M.Type, _ options: DecodingOptions
    ) async throws(RPCError) -> M? {
        guard let bytes = try await stream.receive() else { return nil }
        do throws(DecodingError) {
            return try M(serializedBytes: bytes, options: options)
        } catch {
            // A handler's complaint about what it was sent, a caller's about what it got.
            throw RPCError(
                cancelsAtEnd ? .internalError : .invalidArgument,
                "\(M.protoMessageName) cannot be read: \(error)")
        }
    }
}
