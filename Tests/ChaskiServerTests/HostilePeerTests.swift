import ChaskiMessages
import ChaskiModel
import ChaskiServer
import ChaskiTransport
import ChaskiWire
import NIOCore
import NIOPosix
import Testing

/// Peers that do not keep to the protocol hurt nobody but themselves.
@Suite(.timeLimit(.minutes(1)))
struct HostilePeerTests {
    @Test("Garbage on the port ends that connection, and others go on")
    func garbage() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        for bytes in [
            Array("GET / HTTP/1.1\r\n\r\n".utf8), [UInt8](repeating: 0xff, count: 100_000),
            ConnectionMachine.preface + [UInt8](repeating: 0xff, count: 64),
        ] {
            try await RawSocket.sendAndAwaitClose(bytes, port: broker.port)
        }
        try await client.createTopic("orders", subscription: "billing")
        try await broker.remove()
    }

    @Test("Another version of the protocol is told so")
    func otherVersion() async throws {
        let broker = try await TestBroker.start()
        await #expect(throws: FailureReason.unsupportedVersion) {
            try await RawClient.withReason {
                _ = try await RawClient.connect(port: broker.port, versions: 7...9)
            }
        }
        try await broker.remove()
    }

    @Test("A message that is no message ends its stream only")
    func malformedMessage() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        let stream = try await client.open("chaski.v1.Publisher/Publish")
        // An empty request has no content.
        try await client.send(Chaski_V1_PublishRequest(), on: stream)
        guard case .closed(let failure) = try await client.next(stream) else {
            Issue.record("the stream went on")
            return
        }
        #expect(failure?.reason == .protocolError)
        try await client.createTopic("orders", subscription: "billing")
        try await broker.remove()
    }

    @Test("A mistake on a consume stream ends its consumers with it")
    func consumeMistake() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        _ = try await publisher.publish(["a"], sequence: 0)
        let consumer = try await RawConsumer.open(client, subscription: "billing", messages: 2)
        let delivered = try await consumer.deliveries(atLeast: 1)
        var open = Chaski_V1_ConsumeRequest()
        open.open.sessionID = [UInt8](repeating: 1, count: 16)
        try await client.send(open, on: consumer.stream)
        guard case .closed(let failure) = try await client.next(consumer.stream) else {
            Issue.record("the stream went on")
            return
        }
        #expect(failure?.reason == .protocolError)
        #expect(try await client.describe("billing").consumers == 0)
        // What it held waits for its session, which may claim it; nothing more comes to the old one.
        _ = try await publisher.publish(["b"], sequence: 1)
        let back = try await RawConsumer.open(
            client, subscription: "billing", claims: delivered.map(\.token),
            claimsOf: consumer.subscribed.subscriptionID)
        #expect(back.held.map(\.first) == [0])
        #expect(try await back.deliveries(atLeast: 1).map(\.text) == ["b"])
        try await broker.remove()
    }

    @Test("A batch beyond the limits is refused by its reason")
    func oversize() async throws {
        let broker = try await TestBroker.start()
        let client = try await RawClient.connect(port: broker.port)
        try await client.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(client, topic: "orders")
        await #expect(throws: Failure.self) {
            try await publisher.send(
                batch: [UInt8](repeating: 0, count: 5 << 20), sequence: 0, request: 1)
        }
        let stored = try await publisher.publish(["a"], sequence: 0)
        #expect(!stored.hasStatus)
        try await broker.remove()
    }

    @Test("Connections beyond the limit are turned away")
    func tooManyConnections() async throws {
        let broker = try await TestBroker.start { $0.flow.connections = 2 }
        let first = try await RawClient.connect(port: broker.port)
        let second = try await RawClient.connect(port: broker.port)
        await #expect(throws: (any Error).self) {
            _ = try await RawClient.connect(port: broker.port)
        }
        try await first.createTopic("orders", subscription: "billing")
        try await second.cut()
        try await broker.remove()
    }
}

/// A TCP connection that speaks nothing.
enum RawSocket {
    /// Sends `bytes` and waits until the broker has closed.
    static func sendAndAwaitClose(_ bytes: [UInt8], port: Int) async throws {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get()
        // The broker may close before all of it is written.
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        try await channel.closeFuture.get()
    }
}
