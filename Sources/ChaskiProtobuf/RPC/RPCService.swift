/// What a handler learns of a call beside its messages.
public struct RPCContext: Sendable, Hashable {
    /// `package.Service/Method`.
    public var path: String
    /// Pairs from the caller.
    public var metadata: RPCMetadata
    /// The time that was left for the call when it came; nil for no limit. When it has passed, the
    /// handler's task is cancelled.
    public var timeLeft: Duration?
    /// Who calls, as the transport proved it; empty when it does not know.
    public var caller: String

    /// What a transport knows of a call.
    public init(
        path: String, metadata: RPCMetadata = [:], timeLeft: Duration? = nil, caller: String = ""
    ) {
        self.path = path
        self.metadata = metadata
        self.timeLeft = timeLeft
        self.caller = caller
    }
}

/// What can be registered at a server. Generated server protocols refine and implement it.
public protocol RPCServable: Sendable {
    /// The service's name and its handlers.
    var rpcService: RPCService { get }
}

/// A service as a server holds it.
public struct RPCService: Sendable {
    /// `package.Service`.
    public let name: String
    /// One per method, in the order of the .proto file.
    public let handlers: [RPCHandler]

    /// For generated code.
    public init(name: String, handlers: [RPCHandler]) {
        self.name = name
        self.handlers = handlers
    }
}

/// One method of a service, ready to run: reads requests from a stream and writes responses to it.
public struct RPCHandler: Sendable {
    /// `package.Service/Method`.
    public let path: String
    /// True when the caller sends a stream of messages.
    public let clientStreams: Bool
    /// True when the handler sends a stream of messages.
    public let serverStreams: Bool
    /// True when running it twice does no harm.
    public let isIdempotent: Bool
    private let body: @Sendable (RPCCallOwner, RPCContext) async throws -> Void

    private init<Request, Response>(
        _ method: RPCMethod<Request, Response>,
        _ body: @escaping @Sendable (RPCCallOwner, RPCContext) async throws -> Void
    ) {
        path = method.path
        clientStreams = method.clientStreams
        serverStreams = method.serverStreams
        isIdempotent = method.isIdempotent
        self.body = body
    }

    /// Handles one call. The transport ends it: with success when this returns, else with the error.
    public func run(_ stream: any RPCStream, _ context: RPCContext) async throws(RPCError) {
        let owner = RPCCallOwner(stream, cancelsAtEnd: false)
        do {
            try await body(owner, context)
        } catch {
            throw RPCError(thrownByHandler: error)
        }
    }

    /// One request, one response.
    public static func unary<Request, Response>(
        _ method: RPCMethod<Request, Response>,
        _ body: @escaping @Sendable (Request, RPCContext) async throws -> Response
    ) -> RPCHandler {
        RPCHandler(method) { owner, context in
            let response = try await body(try await first(owner), context)
            try await owner.send(response, isLast: true)
        }
    }

    /// Many requests, one response.
    public static func clientStream<Request, Response>(
        _ method: RPCMethod<Request, Response>,
        _ body: @escaping @Sendable (RPCMessages<Request>, RPCContext) async throws -> Response
    ) -> RPCHandler {
        RPCHandler(method) { owner, context in
            let requests = RPCMessages<Request>(owner: owner, options: DecodingOptions())
            try await owner.send(try await body(requests, context), isLast: true)
        }
    }

    /// One request, many responses.
    public static func serverStream<Request, Response>(
        _ method: RPCMethod<Request, Response>,
        _ body: @escaping @Sendable (Request, RPCWriter<Response>, RPCContext) async throws -> Void
    ) -> RPCHandler {
        RPCHandler(method) { owner, context in
            try await body(try await first(owner), RPCWriter(owner: owner), context)
        }
    }

    /// Many requests, many responses.
    public static func bidirectional<Request, Response>(
        _ method: RPCMethod<Request, Response>,
        _ body:
            @escaping @Sendable (
                RPCMessages<Request>, RPCWriter<Response>, RPCContext
            ) async throws -> Void
    ) -> RPCHandler {
        RPCHandler(method) { owner, context in
            let requests = RPCMessages<Request>(owner: owner, options: DecodingOptions())
            try await body(requests, RPCWriter(owner: owner), context)
        }
    }

    private static func first<Request: Message>(
        _ owner: RPCCallOwner
    ) async throws(RPCError) -> Request {
        guard let request = try await owner.receive(Request.self, DecodingOptions()) else {
            throw RPCError(.invalidArgument, "the call came without a request")
        }
        return request
    }
}

/// The methods that a server offers, by path.
public struct RPCDispatcher: Sendable {
    /// The services, in the order of registration.
    public private(set) var services: [RPCService] = []
    private var handlers: [String: RPCHandler] = [:]

    /// Offers `services`.
    /// - Throws: `alreadyExists` when two have one name.
    public init(_ services: [any RPCServable] = []) throws(RPCError) {
        for service in services { try register(service) }
    }

    /// Offers a service more.
    /// - Throws: `alreadyExists` when it is offered already.
    public mutating func register(_ service: some RPCServable) throws(RPCError) {
        let service = service.rpcService
        guard !services.contains(where: { $0.name == service.name }) else {
            throw RPCError(.alreadyExists, "\(service.name) is registered twice")
        }
        services.append(service)
        for handler in service.handlers { handlers[handler.path] = handler }
    }

    /// The handler of `path`, if a service has it.
    public func handler(of path: String) -> RPCHandler? { handlers[path] }

    /// Handles a call of `context.path`; `unimplemented` when no service has it. The transport ends
    /// the call: with success when this returns, else with the error.
    public func run(_ stream: any RPCStream, _ context: RPCContext) async throws(RPCError) {
        guard let handler = handlers[context.path] else {
            throw RPCError(.unimplemented, "there is no method \(context.path)")
        }
        try await handler.run(stream, context)
    }
}
