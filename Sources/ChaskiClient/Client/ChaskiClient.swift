import ChaskiModel
import NIOCore
import NIOPosix
import Synchronization

/// A connection to a broker, made again whenever it breaks.
///
/// ```swift
/// try await ChaskiClient.withClient(host: "127.0.0.1", port: 7420) { client in
///     try await client.createTopic("orders")
///     try await client.producer().publish(Message("hello"), to: "orders")
/// }
/// ```
///
/// One client carries everything a service does: any number of producers, subscriptions and calls
/// share its connection. It may be used from any task.
public final class ChaskiClient: Sendable {
    /// What it was made with.
    public let configuration: ClientConfiguration
    let loop: any EventLoop
    private let gate: LoopGate
    private let link: NIOLoopBound<Link>
    private let ownedGroup: MultiThreadedEventLoopGroup?
    private let isClosed = Atomic(false)

    /// The port that a broker listens on unless told otherwise.
    public static let defaultPort = 7420

    private init(
        configuration: ClientConfiguration, loop: any EventLoop, link: NIOLoopBound<Link>,
        ownedGroup: MultiThreadedEventLoopGroup?
    ) {
        self.configuration = configuration
        self.loop = loop
        gate = LoopGate(loop)
        self.link = link
        self.ownedGroup = ownedGroup
    }

    deinit {
        guard !isClosed.load(ordering: .acquiring) else { return }
        let link = link
        gate.execute { link.value.close(.clientClosed) }
        gate.shut()
        ownedGroup?.shutdownGracefully { _ in }
    }

    // MARK: Life

    /// Connects to a broker; trying for `connectTimeout`.
    ///
    /// - Throws: `ChaskiError` with reason `unreachable`, `unsupported-version`, or what the
    ///   broker said.
    public static func connect(
        host: String = "127.0.0.1", port: Int = defaultPort,
        configuration: ClientConfiguration = ClientConfiguration()
    ) async throws -> ChaskiClient {
        let owned: MultiThreadedEventLoopGroup? =
            configuration.eventLoopGroup == nil
            ? MultiThreadedEventLoopGroup(numberOfThreads: 1) : nil
        guard let loop = (configuration.eventLoopGroup ?? owned)?.next() else {
            throw ChaskiError(.clientClosed)
        }
        let (link, connected) = try await loop.submit {
            let link = Link(host: host, port: port, configuration: configuration, loop: loop)
            return (NIOLoopBound(link, eventLoop: loop), link.start())
        }.get()
        let client = ChaskiClient(
            configuration: configuration, loop: loop, link: link, ownedGroup: owned)
        do {
            try await withTaskCancellationHandler {
                try await connected.get()
            } onCancel: {
                client.gate.execute { link.value.close(.clientClosed) }
            }
        } catch {
            await client.close()
            try Task.checkCancellation()
            throw error
        }
        return client
    }

    /// Connects, runs `body`, and closes.
    public static func withClient<Result>(
        host: String = "127.0.0.1", port: Int = defaultPort,
        configuration: ClientConfiguration = ClientConfiguration(),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (ChaskiClient) async throws -> sending Result
    ) async throws -> sending Result {
        let client = try await connect(host: host, port: port, configuration: configuration)
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// Closes the connection. What still waits fails: publishes and verdicts that were sent as
    /// indeterminate. Stop subscriptions before, so that what they hold is given back at once.
    public func close() async {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let link = link
        await gate.run { link.value.close(.clientClosed) }
        gate.shut()
        try? await ownedGroup?.shutdownGracefully()
    }

    // MARK: Publishing

    /// A producer with a random id, or the one that `configuration` names.
    public func producer(
        _ configuration: ProducerConfiguration = ProducerConfiguration()
    ) -> Producer {
        let producerID =
            configuration.producerID
            ?? ProducerID(rawValue: UInt128.random(in: UInt128.min...UInt128.max))
        let inbox = ProducerInbox(maximumBytes: configuration.maximumBufferedBytes)
        let encoding = EncodingSettings(compression: self.configuration.compression)
        let box = NIOLoopBoundBox<PublisherStream?>.makeEmptyBox(
            valueType: PublisherStream.self, eventLoop: loop)
        let link = link
        let isOpen = gate.execute {
            let stream = PublisherStream(
                link: link.value, inbox: inbox, encoding: encoding, configuration: configuration,
                producerID: producerID)
            box.value = stream
            link.value.add(stream)
        }
        if !isOpen { inbox.close(.clientClosed) }
        return Producer(
            producerID: producerID, inbox: inbox, encoding: encoding, gate: gate, stream: box)
    }

    // MARK: Consuming

    /// Begins to consume a subscription, which exists.
    ///
    /// - Returns: when the broker confirmed it; deliveries begin to come.
    /// - Throws: `ChaskiError`, as `unknown-subscription`, or `timed-out` after `requestTimeout`.
    public func subscribe(
        _ subscription: String,
        _ configuration: SubscriptionConfiguration = SubscriptionConfiguration()
    ) async throws -> Subscription {
        let core = openSubscription(subscription, configuration)
        let opened = Subscription(core: core)
        let failure = await withTaskCancellationHandler {
            await core.waitForStart()
        } onCancel: {
            core.onLoop { $0.finish() }
        }
        try Task.checkCancellation()
        if let failure { throw ChaskiError(failure) }
        return opened
    }

    /// Runs `handler` for each message of a subscription, which exists, `concurrency` at a time,
    /// until the task is cancelled. On an ordered subscription the handlers of one key run one
    /// after the other.
    ///
    /// Returning acks the message; `RetryError` and any other error are a failed attempt, with
    /// the error's text as its reason; `FailError` makes it dead. The handler's task is cancelled
    /// when the lease of its message is lost. When the task that called `consume` is cancelled,
    /// running handlers finish, their verdicts are confirmed, what was buffered is given back, and
    /// `consume` returns.
    ///
    /// - Throws: `ChaskiError` where the broker ended the subscription or refused it.
    public func consume(
        _ subscription: String, concurrency: Int = 16,
        configuration: SubscriptionConfiguration = SubscriptionConfiguration(),
        handler: @escaping @Sendable (Delivery) async throws -> Void
    ) async throws {
        let core = openSubscription(subscription, configuration)
        try await HandlerPool(core: core, concurrency: concurrency, handler: handler).run()
    }

    private func openSubscription(
        _ subscription: String, _ configuration: SubscriptionConfiguration
    ) -> SubscriptionCore {
        let box = NIOLoopBoundBox<ConsumerStream?>.makeEmptyBox(
            valueType: ConsumerStream.self, eventLoop: loop)
        let core = SubscriptionCore(
            subscription: subscription, namespace: self.configuration.namespace, gate: gate,
            stream: box)
        let sessionID = SessionID(rawValue: UInt128.random(in: UInt128.min...UInt128.max))
        let link = link
        let timeout = self.configuration.requestTimeout.clampedNanos
        let isOpen = gate.execute {
            let stream = ConsumerStream(
                link: link.value, core: core, configuration: configuration, sessionID: sessionID,
                startDeadlineNanos: Link.nowNanos().advancedClamping(by: timeout))
            box.value = stream
            link.value.add(stream)
        }
        if !isOpen { core.ended(.clientClosed) }
        return core
    }

    // MARK: Calls

    /// One request and its answer; waits for a connection within `requestTimeout`.
    func call(
        _ method: String, _ request: [UInt8], attachment: Bytes = [], isRepeatable: Bool
    ) async throws -> Bytes {
        try Task.checkCancellation()
        let timeout = configuration.requestTimeout.clampedNanos
        let box = NIOLoopBoundBox<UnaryCall?>.makeEmptyBox(
            valueType: UnaryCall.self, eventLoop: loop)
        let (link, gate) = (link, gate)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation {
                (continuation: CheckedContinuation<Bytes, any Error>) in
                let isOpen = gate.execute {
                    let call = UnaryCall(
                        method: method, request: request, attachment: attachment,
                        isRepeatable: isRepeatable,
                        deadlineNanos: Link.nowNanos().advancedClamping(by: timeout)
                    ) { result in
                        continuation.resume(with: result.mapError { ChaskiError($0) })
                    }
                    box.value = call
                    call.start(on: link.value)
                }
                if !isOpen { continuation.resume(throwing: ChaskiError(.clientClosed)) }
            }
        } onCancel: {
            gate.execute { box.value?.cancel() }
        }
    }
}
