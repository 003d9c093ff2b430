import ChaskiModel
import ChaskiWire
import Testing

/// A client and a server machine joined back to back, on a virtual clock.
struct Wired {
    var client: ConnectionMachine
    var server: ConnectionMachine
    var now: Int64 = 0
    var clientEvents: [ConnectionEvent] = []
    var serverEvents: [ConnectionEvent] = []
    /// Bytes given to the machines at once.
    var pieceBytes = 65536
    /// Whether the server says welcome by itself.
    var welcomes = true
    /// Whether messages are consumed as they come.
    var consumes = true

    init(
        client: ConnectionConfiguration = ConnectionConfiguration(role: .client),
        server: ConnectionConfiguration = ConnectionConfiguration(role: .server)
    ) {
        self.client = ConnectionMachine(client, now: 0)
        self.server = ConnectionMachine(server, now: 0)
    }

    static func established(
        client: ConnectionConfiguration = ConnectionConfiguration(role: .client),
        server: ConnectionConfiguration = ConnectionConfiguration(role: .server)
    ) -> Wired {
        var wired = Wired(client: client, server: server)
        wired.run()
        wired.clientEvents = []
        wired.serverEvents = []
        return wired
    }

    /// Moves bytes to and fro until both are silent.
    mutating func run() {
        var moved = true
        while moved {
            let out = Self.output(&client, now)
            Self.deliver(out, to: &server, now, pieceBytes)
            drainServer()
            let back = Self.output(&server, now)
            Self.deliver(back, to: &client, now, pieceBytes)
            drainClient()
            moved = !out.isEmpty || !back.isEmpty
        }
    }

    mutating func drainServer() {
        while let event = server.nextEvent() {
            serverEvents.append(event)
            if case .helloReceived = event, welcomes {
                server.welcome(identity: "anonymous", now: now)
            }
            if case .message(let stream, let message) = event, consumes {
                server.consumed(stream, bytes: message.windowBytes)
            }
        }
    }

    mutating func drainClient() {
        while let event = client.nextEvent() {
            clientEvents.append(event)
            if case .message(let stream, let message) = event, consumes {
                client.consumed(stream, bytes: message.windowBytes)
            }
        }
    }

    static func output(_ machine: inout ConnectionMachine, _ now: Int64) -> [UInt8] {
        var bytes: [UInt8] = []
        while machine.writeOutput(into: &bytes, maximumBytes: 1 << 20, now: now) {}
        return bytes
    }

    static func deliver(
        _ bytes: [UInt8], to machine: inout ConnectionMachine, _ now: Int64, _ pieceBytes: Int
    ) {
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            let end = min(start + pieceBytes, bytes.count)
            machine.received(bytes[start..<end].span.bytes, now: now)
        }
    }

    mutating func open(_ method: String = "chaski.v1.Topics/Create") throws -> StreamID {
        try client.openStream(
            OpenRequest(method: method, namespace: "default"), now: now)
    }
}

/// A raw peer: frames made by hand, given to one machine.
struct RawPeer {
    var machine: ConnectionMachine
    var events: [ConnectionEvent] = []

    init(_ configuration: ConnectionConfiguration, established: Bool = true) {
        machine = ConnectionMachine(configuration, now: 0)
        guard established else { return }
        var other = ConnectionMachine(
            ConnectionConfiguration(role: configuration.role == .client ? .server : .client),
            now: 0)
        if configuration.role == .server {
            Wired.deliver(Wired.output(&other, 0), to: &machine, 0, 65536)
            while machine.nextEvent() != nil {}
            machine.welcome(identity: "anonymous", now: 0)
        } else {
            Wired.deliver(Wired.output(&machine, 0), to: &other, 0, 65536)
            while other.nextEvent() != nil {}
            other.welcome(identity: "anonymous", now: 0)
            Wired.deliver(Wired.output(&other, 0), to: &machine, 0, 65536)
        }
        while machine.nextEvent() != nil {}
        _ = Wired.output(&machine, 0)
    }

    mutating func give(_ bytes: [UInt8], now: Int64 = 0) {
        machine.received(bytes.span.bytes, now: now)
        while let event = machine.nextEvent() { events.append(event) }
    }

    mutating func give(
        _ type: FrameType, _ flags: FrameFlags = [], stream: UInt64 = 0, protobuf: [UInt8] = [],
        attachment: [UInt8] = [], now: Int64 = 0
    ) {
        give(
            Self.frame(
                type.rawValue, flags, stream: stream, protobuf: protobuf, attachment: attachment),
            now: now)
    }

    static func frame(
        _ type: UInt8, _ flags: FrameFlags = [], stream: UInt64 = 0, protobuf: [UInt8] = [],
        attachment: [UInt8] = []
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        FrameHeader(
            length: UInt32(protobuf.count + attachment.count), rawType: type, flags: flags,
            stream: stream, protobufLength: UInt32(protobuf.count)
        ).write(to: &bytes)
        return bytes + protobuf + attachment
    }

    /// OPEN of a stream with a method.
    mutating func open(_ stream: UInt64, timeoutNanos: UInt64 = 0, now: Int64 = 0) {
        // Field 1 "a/b", field 3 timeout.
        var protobuf: [UInt8] = [0x0a, 3, 0x61, 0x2f, 0x62]
        if timeoutNanos > 0 {
            protobuf.append(0x18)
            var rest = timeoutNanos
            while rest >= 0x80 {
                protobuf.append(UInt8(rest & 0x7f) | 0x80)
                rest >>= 7
            }
            protobuf.append(UInt8(rest))
        }
        give(.open, stream: stream, protobuf: protobuf, now: now)
    }

    /// The failure that ended the connection; nil while it lives.
    var failure: Failure? {
        if case .failed(let failure)? = events.last { return failure }
        return nil
    }

    var reason: String? { failure?.reason.rawValue }
}

extension [ConnectionEvent] {
    /// Messages of a stream, in order.
    func messages(on stream: StreamID) -> [InboundMessage] {
        compactMap { event in
            if case .message(stream, let message) = event { message } else { nil }
        }
    }

    var failure: Failure? {
        if case .failed(let failure)? = last { failure } else { nil }
    }
}
