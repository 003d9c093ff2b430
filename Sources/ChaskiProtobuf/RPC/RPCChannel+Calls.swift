/// The four kinds of calls; generated clients are made of them.
extension RPCChannel {
    /// One request, one response.
    public func unary<Request, Response>(
        _ method: RPCMethod<Request, Response>, _ request: Request, _ options: RPCOptions
    ) async throws(RPCError) -> Response {
        let owner = try await open(method, options)
        try await owner.send(request, isLast: true)
        return try await only(owner, options)
    }

    /// What `send` writes, one response. A response that comes before `send` returned cancels it;
    /// what `send` throws ends the call and is thrown here.
    public func clientStream<Request, Response>(
        _ method: RPCMethod<Request, Response>, _ options: RPCOptions,
        _ send: @escaping @Sendable (RPCWriter<Request>) async throws -> Void
    ) async throws -> Response {
        let owner = try await open(method, options)
        async let sending = Self.failure(of: send, owner)
        do {
            return try await only(owner, options)
        } catch {
            // The call's own failure shows in `send` as well; the sender's comes first.
            if error.code == .cancelled, let failure = await sending { throw failure }
            throw error
        }
    }

    /// One request, the responses as they come.
    public func serverStream<Request, Response>(
        _ method: RPCMethod<Request, Response>, _ request: Request, _ options: RPCOptions
    ) async throws(RPCError) -> RPCMessages<Response> {
        let owner = try await open(method, options)
        try await owner.send(request, isLast: true)
        return RPCMessages(owner: owner, options: options.decoding)
    }

    /// Requests and responses as they come, each at its own pace.
    public func bidirectional<Request, Response>(
        _ method: RPCMethod<Request, Response>, _ options: RPCOptions
    ) async throws(RPCError) -> RPCDuplex<Request, Response> {
        let owner = try await open(method, options)
        return RPCDuplex(
            requests: RPCWriter(owner: owner),
            responses: RPCMessages(owner: owner, options: options.decoding))
    }

    private func open<Request, Response>(
        _ method: RPCMethod<Request, Response>, _ options: RPCOptions
    ) async throws(RPCError) -> RPCCallOwner {
        let stream = try await open(
            method.path, isIdempotent: method.isIdempotent, options: options)
        return RPCCallOwner(stream, cancelsAtEnd: true)
    }

    /// The one response, and after it the call's status.
    private func only<Response: Message>(
        _ owner: RPCCallOwner, _ options: RPCOptions
    ) async throws(RPCError) -> Response {
        guard let response = try await owner.receive(Response.self, options.decoding) else {
            throw RPCError(.internalError, "the call ended without a response")
        }
        guard try await owner.stream.receive() == nil else {
            throw RPCError(.internalError, "more than one response")
        }
        return response
    }

    /// Runs `send` to its end; what it threw, if that was not the call's own failure.
    private static func failure<Request>(
        of send: @Sendable (RPCWriter<Request>) async throws -> Void, _ owner: RPCCallOwner
    ) async -> (any Error)? {
        do {
            try await send(RPCWriter(owner: owner))
            try await owner.stream.finish()
            return nil
        } catch {
            owner.stream.cancel()
            return error is RPCError ? nil : error
        }
    }
}
