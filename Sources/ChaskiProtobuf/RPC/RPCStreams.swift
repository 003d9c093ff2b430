/// The messages that come in on a call, in order. Nothing is read ahead: who does not ask for the
/// next message makes the sender wait.
///
/// To be iterated once; several iterators share the messages. A caller that drops the sequence
/// before its end cancels the call.
public struct RPCMessages<M: Message>: AsyncSequence, Sendable {
    public typealias Element = M
    public typealias Failure = RPCError

    let owner: RPCCallOwner
    let options: DecodingOptions

    /// Asks for one message after the other.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let messages: RPCMessages

        /// The next message; nil at the end.
        public mutating func next() async throws(RPCError) -> M? {
            try await messages.owner.receive(M.self, messages.options)
        }

        /// The next message; nil at the end.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(RPCError) -> M? {
            try await messages.owner.receive(M.self, messages.options)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(messages: self) }
}

/// Where the messages that go out on a call are written. One task writes at a time.
public struct RPCWriter<M: Message>: Sendable {
    let owner: RPCCallOwner

    /// Sends `message`; suspends while the other side takes no more.
    public func write(_ message: M) async throws(RPCError) {
        try await owner.send(message, isLast: false)
    }

    /// Sends all of `messages`.
    public func write<S: AsyncSequence>(contentsOf messages: S) async throws where S.Element == M {
        for try await message in messages { try await write(message) }
    }

    /// Sends all of `messages`.
    public func write(contentsOf messages: some Sequence<M>) async throws(RPCError) {
        for message in messages { try await write(message) }
    }
}

/// A bidirectional call as the caller sees it. Dropping it cancels the call.
public struct RPCDuplex<Request: Message, Response: Message>: Sendable {
    /// Where requests are written; `finish()` when there are no more.
    public let requests: RPCWriter<Request>
    /// The responses.
    public let responses: RPCMessages<Response>

    /// Says that no request follows. Responses go on.
    public func finish() async throws(RPCError) {
        try await requests.owner.stream.finish()
    }

    /// Ends the call at once.
    public func cancel() {
        requests.owner.stream.cancel()
    }
}
