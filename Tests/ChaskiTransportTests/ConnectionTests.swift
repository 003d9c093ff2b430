import ChaskiModel
import ChaskiTransport
import ChaskiWire
import NIOCore
import NIOEmbedded
import Testing

/// Notes what a connection tells its owner.
private final class Recorder: ConnectionOwner {
    var connection: Connection?
    var events: [ConnectionEvent] = []
    var batches = 0
    var drains = 0
    var isEnded = false

    func connectionStarted(_ connection: Connection) { self.connection = connection }

    func eventsArrived(on connection: Connection) {
        batches += 1
        while let event = connection.machine.nextEvent() {
            if case .helloReceived = event {
                connection.machine.welcome(identity: "anonymous", now: 0)
            }
            events.append(event)
        }
    }

    func outputDrained(on connection: Connection) { drains += 1 }

    func connectionEnded(_ connection: Connection) {
        isEnded = true
        self.connection = nil
    }

    var messages: Int {
        events.reduce(0) { if case .message = $1 { $0 + 1 } else { $0 } }
    }

    var failure: Failure? {
        for case .failed(let failure) in events { return failure }
        return nil
    }
}

/// A client and a server whose channels are joined by hand.
private final class Pair {
    let clientOwner = Recorder()
    let serverOwner = Recorder()
    let loop = EmbeddedEventLoop()
    let client: EmbeddedChannel
    let server: EmbeddedChannel

    init() throws {
        client = EmbeddedChannel(loop: loop)
        server = EmbeddedChannel(loop: loop)
        for (channel, owner, role) in [
            (server, serverOwner, WireRole.server), (client, clientOwner, .client),
        ] {
            try channel.pipeline.syncOperations.addHandler(
                Connection(
                    machine: ConnectionMachine(ConnectionConfiguration(role: role), now: 0),
                    owner: owner))
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        }
        try shuttle()
    }

    /// Moves bytes both ways until nothing moves; buffers in one run of reads.
    func shuttle() throws {
        var moved = true
        while moved {
            loop.run()
            moved = try move(client, server)
            moved = try move(server, client) || moved
        }
    }

    private func move(_ from: EmbeddedChannel, _ to: EmbeddedChannel) throws -> Bool {
        var any = false
        while let buffer = try from.readOutbound(as: ByteBuffer.self) {
            if buffer.readableBytes == 0 { continue }
            to.pipeline.fireChannelRead(buffer)
            any = true
        }
        if any { to.pipeline.fireChannelReadComplete() }
        return any
    }

    func open() throws -> StreamID {
        let connection = try #require(clientOwner.connection)
        let stream = try connection.machine.openStream(
            OpenRequest(method: "a/B", namespace: "default"), now: 0)
        connection.setNeedsFlush()
        try shuttle()
        return stream
    }
}

@Suite struct ConnectionTests {
    @Test("Both sides shake hands and messages pass")
    func handshake() throws {
        let pair = try Pair()
        guard case .welcomed(let welcome)? = pair.clientOwner.events.first else {
            Issue.record("no welcome: \(pair.clientOwner.events)")
            return
        }
        #expect(welcome.identity == "anonymous")
        let stream = try pair.open()
        let connection = try #require(pair.clientOwner.connection)
        try connection.machine.send(
            on: stream, protobuf: [1, 2], attachment: [3], class: .rpc, now: 0)
        connection.setNeedsFlush()
        try pair.shuttle()
        guard case .message(stream, let message)? = pair.serverOwner.events.last else {
            Issue.record("no message: \(pair.serverOwner.events)")
            return
        }
        #expect(Array(message.protobuf) == [1, 2] && Array(message.attachment) == [3])
    }

    @Test("A turn's output leaves in one write, and arrives as one batch")
    func coalescing() throws {
        let pair = try Pair()
        let stream = try pair.open()
        let connection = try #require(pair.clientOwner.connection)
        let before = pair.serverOwner.batches
        for _ in 0..<100 {
            try connection.machine.send(on: stream, protobuf: [7], class: .rpc, now: 0)
            connection.setNeedsFlush()
        }
        #expect(try pair.client.readOutbound(as: ByteBuffer.self) == nil)
        pair.loop.run()
        var writes = 0
        while let buffer = try pair.client.readOutbound(as: ByteBuffer.self) {
            writes += 1
            pair.server.pipeline.fireChannelRead(buffer)
        }
        pair.server.pipeline.fireChannelReadComplete()
        #expect(writes == 1)
        #expect(pair.serverOwner.batches == before + 1)
        #expect(pair.serverOwner.messages == 100)
    }

    @Test("A channel that takes nothing keeps output in the machine")
    func backpressure() throws {
        let pair = try Pair()
        let stream = try pair.open()
        let connection = try #require(pair.clientOwner.connection)
        pair.client.isWritable = false
        try connection.machine.send(
            on: stream, protobuf: [7], attachment: [UInt8](repeating: 1, count: 100_000)[...],
            class: .batch, now: 0)
        connection.setNeedsFlush()
        pair.loop.run()
        #expect(try pair.client.readOutbound(as: ByteBuffer.self) == nil)
        #expect(connection.machine.queuedBytes > 100_000)
        let drains = pair.clientOwner.drains
        pair.client.isWritable = true
        pair.client.pipeline.fireChannelWritabilityChanged()
        try pair.shuttle()
        #expect(connection.machine.queuedBytes == 0)
        #expect(pair.clientOwner.drains > drains)
        #expect(pair.serverOwner.messages == 1)
    }

    @Test("A connection that is closed when flushed says its last word first")
    func gracefulClose() throws {
        let pair = try Pair()
        let stream = try pair.open()
        let connection = try #require(pair.serverOwner.connection)
        connection.machine.close(stream, nil, now: 0)
        connection.closeWhenFlushed()
        #expect(!connection.isOpen)
        try pair.shuttle()
        guard case .closed(stream, nil)? = pair.clientOwner.events.last else {
            Issue.record("no close: \(pair.clientOwner.events)")
            return
        }
        pair.loop.advanceTime(by: .seconds(2))
        #expect(pair.serverOwner.isEnded)
    }

    @Test("A peer that says nothing is given up at the machine's deadline")
    func silence() throws {
        let owner = Recorder()
        let loop = EmbeddedEventLoop()
        let channel = EmbeddedChannel(loop: loop)
        try channel.pipeline.syncOperations.addHandler(
            Connection(
                machine: ConnectionMachine(ConnectionConfiguration(role: .server), now: 0),
                owner: owner))
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        loop.advanceTime(by: .nanoseconds(Limits.handshakeNanos / 2))
        #expect(owner.failure == nil)
        loop.advanceTime(by: .nanoseconds(Limits.handshakeNanos))
        #expect(owner.failure?.reason == WireLimit.handshakeTime.reason)
    }

    @Test("The owner hears of the end once")
    func ending() throws {
        let pair = try Pair()
        pair.client.pipeline.fireChannelInactive()
        #expect(pair.clientOwner.isEnded)
        #expect(pair.clientOwner.connection == nil)
    }
}
