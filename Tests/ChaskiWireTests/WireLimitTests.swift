import ChaskiModel
import ChaskiWire
import Testing

/// Each limit of a peer's: at it, one past it, a thousand times past it. All have their own reason
/// and their own counter.
@Suite struct WireLimitTests {
    private func server(
        _ change: (inout ConnectionConfiguration) -> Void = { _ in }, established: Bool = true
    ) -> RawPeer {
        var configuration = ConnectionConfiguration(role: .server)
        change(&configuration)
        configuration.limits = configuration.limits.normalized
        return RawPeer(configuration, established: established)
    }

    private func expect(
        _ peer: RawPeer, _ limit: WireLimit, exceeded: Bool,
        _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(
            peer.failure?.reason == (exceeded ? limit.reason : nil), sourceLocation: location)
        #expect(
            peer.machine.counters.exceeded(limit) == (exceeded ? 1 : 0), sourceLocation: location)
        #expect(peer.machine.isFailed == exceeded, sourceLocation: location)
    }

    private func header(_ length: Int, stream: UInt64 = 1) -> [UInt8] {
        var bytes: [UInt8] = []
        FrameHeader(
            length: UInt32(length), rawType: FrameType.message.rawValue, flags: [], stream: stream,
            protobufLength: 0
        ).write(to: &bytes)
        return bytes
    }

    @Test func reasonsAreDistinct() {
        #expect(Set(WireLimit.allCases.map(\.reason)).count == WireLimit.allCases.count)
    }

    @Test(arguments: [(131_072, false), (131_073, true), (131_072_000, true)])
    func frameBytes(_ size: Int, _ exceeded: Bool) {
        var peer = server()
        peer.open(1)
        peer.give(header(size - 20))
        expect(peer, .frameBytes, exceeded: exceeded)
    }

    @Test(arguments: [(8192, false), (8193, true), (8_192_000, true)])
    func frameBytesBeforeWelcome(_ size: Int, _ exceeded: Bool) {
        var peer = server(established: false)
        peer.give(ConnectionMachine.preface)
        var bytes: [UInt8] = []
        FrameHeader(
            length: UInt32(size - 20), rawType: 1, flags: [], stream: 0,
            protobufLength: UInt32(size - 20)
        ).write(to: &bytes)
        peer.give(bytes)
        expect(peer, .frameBytesBeforeWelcome, exceeded: exceeded)
    }

    @Test(arguments: [(16384, false), (16385, true), (16_384_000, true)])
    func totalBytesBeforeWelcome(_ size: Int, _ exceeded: Bool) {
        var peer = server(established: false)
        peer.give(ConnectionMachine.preface + [UInt8](repeating: 0, count: size - 8))
        #expect(peer.machine.counters.exceeded(.totalBytesBeforeWelcome) == (exceeded ? 1 : 0))
        #expect((peer.reason == "too-much-before-welcome") == exceeded)
    }

    @Test(arguments: [(4_999_999_999, false), (5_000_000_000, true), (5_000_000_000_000, true)])
    func handshakeTime(_ now: Int64, _ exceeded: Bool) {
        for role in [WireRole.client, .server] {
            var machine = ConnectionMachine(ConnectionConfiguration(role: role), now: 0)
            #expect(machine.nextDeadlineNanos == 5_000_000_000)
            machine.timerFired(now: now)
            #expect(machine.isFailed == exceeded)
            #expect(machine.counters.exceeded(.handshakeTime) == (exceeded ? 1 : 0))
        }
    }

    @Test(arguments: [(8192, false), (8193, true), (120_000, true)])
    func unitBytesOfOneFrame(_ size: Int, _ exceeded: Bool) {
        var peer = server { $0.limits.unitBytes = 8192 }
        peer.open(1)
        peer.give(header(size))
        expect(peer, .unitBytes, exceeded: exceeded)
    }

    @Test(arguments: [(92, false), (93, true), (92_000, true)])
    func unitBytesOfManyFrames(_ last: Int, _ exceeded: Bool) {
        var peer = server { $0.limits.unitBytes = 8192 }
        peer.open(1)
        let part = [UInt8](repeating: 1, count: 2700)
        peer.give(.message, .more, stream: 1, attachment: part)
        peer.give(.message, [.more, .continues], stream: 1, attachment: part)
        peer.give(.message, [.more, .continues], stream: 1, attachment: part)
        peer.give(
            .message, .continues, stream: 1, attachment: [UInt8](repeating: 2, count: last))
        expect(peer, .unitBytes, exceeded: exceeded)
    }

    @Test(arguments: [(65_536, false), (65_537, true), (65_536_000, true)])
    func inflatedBytes(_ size: Int, _ exceeded: Bool) throws {
        var peer = server { $0.limits.payloadBytes = 65_536 }
        peer.open(1)
        let zeros = [UInt8](repeating: 0, count: size)
        let deflated = try #require(Deflater(level: 9).deflate(zeros[...], maximumBytes: 100_000))
        peer.give(.message, .deflated, stream: 1, protobuf: deflated)
        expect(peer, .inflatedBytes, exceeded: exceeded)
    }

    @Test func inflatedRatio() throws {
        // 1 MiB of zeros deflates to about a thousandth.
        var peer = server()
        peer.open(1)
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        let deflated = try #require(Deflater().deflate(zeros[...], maximumBytes: 100_000))
        peer.give(.message, .deflated, stream: 1, protobuf: deflated)
        expect(peer, .inflatedBytes, exceeded: true)
    }

    @Test(arguments: [(4, 0), (5, 1), (4000, 3996)])
    func streams(_ count: Int, _ refused: UInt64) {
        var peer = server { $0.limits.streams = 4 }
        for number in 0..<UInt64(count) { peer.open(2 * number + 1) }
        #expect(peer.failure == nil)
        #expect(peer.machine.openStreams == 4)
        #expect(peer.machine.counters.exceeded(.streams) == refused)
    }

    @Test(arguments: [(200, false), (201, true), (2000, true)])
    func rapidResets(_ count: Int, _ exceeded: Bool) {
        var peer = server()
        for number in 0..<UInt64(count) {
            peer.open(2 * number + 1)
            peer.give(.reset, stream: 2 * number + 1)
            peer.machine.release(StreamID(rawValue: 2 * number + 1))
        }
        expect(peer, .rapidResets, exceeded: exceeded)
    }

    @Test func resetsPastTheDeadlineOrAfterAReplyAreNoAbuse() throws {
        var peer = server { $0.resetBudget = 2 }
        for number in 0..<UInt64(20) {
            peer.open(4 * number + 1, timeoutNanos: 1000, now: 0)
            peer.give(.reset, stream: 4 * number + 1, now: 1000)
            peer.machine.release(StreamID(rawValue: 4 * number + 1))
            peer.open(4 * number + 3, now: 1000)
            try peer.machine.send(
                on: StreamID(rawValue: 4 * number + 3), protobuf: [], class: .rpc, now: 1000)
            peer.give(.reset, stream: 4 * number + 3, now: 1000)
            peer.machine.release(StreamID(rawValue: 4 * number + 3))
        }
        #expect(peer.failure == nil)
        #expect(peer.machine.openStreams == 0)
    }

    @Test(arguments: [(100, false), (101, true), (100_000, true)])
    func emptyFrames(_ count: Int, _ exceeded: Bool) {
        var peer = server()
        peer.open(1)
        var bytes: [UInt8] = []
        for _ in 0..<count { bytes += header(0) }
        peer.give(bytes)
        expect(peer, .emptyFrames, exceeded: exceeded)
        guard !exceeded else { return }
        // Something in between, and they are counted anew.
        peer.give(.message, stream: 1, protobuf: [8])
        peer.give(bytes)
        expect(peer, .emptyFrames, exceeded: false)
    }

    @Test(arguments: [(5_000_000_000, false), (4_999_999_999, true), (5_000_000, true)])
    func pingSpacing(_ spacing: Int64, _ exceeded: Bool) {
        var peer = server()
        peer.give(.ping, attachment: [1, 2, 3, 4, 5, 6, 7, 8], now: 100)
        #expect(
            Wired.output(&peer.machine, 100)
                == RawPeer.frame(9, attachment: [1, 2, 3, 4, 5, 6, 7, 8]))
        peer.give(.ping, attachment: [0, 0, 0, 0, 0, 0, 0, 0], now: 100 + spacing)
        expect(peer, .pingSpacing, exceeded: exceeded)
    }

    @Test(arguments: [(29_999_999_999, false), (30_000_000_000, true), (30_000_000_000_000, true)])
    func frameTime(_ time: Int64, _ exceeded: Bool) {
        var peer = server { $0.keepaliveNanos = .max }
        peer.give([1], now: 7)
        // Trickling does not help: the clock runs from the first byte.
        peer.give([0], now: 6 + time)
        peer.machine.timerFired(now: 7 + time)
        while let event = peer.machine.nextEvent() { peer.events.append(event) }
        expect(peer, .frameTime, exceeded: exceeded)
    }

    @Test(arguments: [(8192, false), (8193, true), (8_192_000, true)])
    func streamWindow(_ total: Int, _ exceeded: Bool) {
        var peer = server {
            $0.limits.unitBytes = 4096
            $0.limits.streamWindowBytes = 8192
        }
        peer.open(1)
        var rest = total
        while rest > 0, peer.failure == nil {
            peer.give(
                .message, stream: 1, attachment: [UInt8](repeating: 0, count: min(rest, 4096)))
            rest -= 4096
        }
        expect(peer, .streamWindow, exceeded: exceeded)
    }

    @Test(arguments: [(139_264, false), (139_265, true), (139_264_000, true)])
    func connectionWindow(_ total: Int, _ exceeded: Bool) {
        var peer = server {
            $0.limits.unitBytes = 4096
            $0.limits.connectionWindowBytes = 139_264
        }
        peer.open(1)
        peer.open(3)
        var rest = total
        while rest > 0, peer.failure == nil {
            peer.give(
                .message, stream: rest % 8192 == 0 ? 1 : 3,
                attachment: [UInt8](repeating: 0, count: min(rest, 4096)))
            rest -= 4096
        }
        expect(peer, .connectionWindow, exceeded: exceeded)
    }

    @Test(arguments: [(980, false), (981, true), (980_000, true)])
    func outboundBytes(_ size: Int, _ exceeded: Bool) {
        var peer = server { $0.outboundBytes = 1000 }
        peer.open(1)
        var thrown: Failure?
        do throws(Failure) {
            try peer.machine.send(
                on: StreamID(rawValue: 1), protobuf: [],
                attachment: [UInt8](repeating: 0, count: size)[...], class: .batch, now: 0)
        } catch {
            thrown = error
        }
        while let event = peer.machine.nextEvent() { peer.events.append(event) }
        #expect(thrown?.reason == (exceeded ? WireLimit.outboundBytes.reason : nil))
        expect(peer, .outboundBytes, exceeded: exceeded)
    }

    @Test(arguments: [(9_999_999_999, false), (10_000_000_000, true), (10_000_000_000_000, true)])
    func outboundTime(_ time: Int64, _ exceeded: Bool) throws {
        var peer = server { $0.keepaliveNanos = .max }
        peer.open(1)
        let unit = [UInt8](repeating: 0, count: 300_000)
        try peer.machine.send(
            on: StreamID(rawValue: 1), protobuf: [], attachment: unit[...], class: .batch, now: 5)
        // Progress begins the time anew.
        var bytes: [UInt8] = []
        _ = peer.machine.writeOutput(into: &bytes, maximumBytes: 1, now: 100)
        #expect(peer.machine.nextDeadlineNanos == 10_000_000_100)
        peer.machine.timerFired(now: 100 + time)
        while let event = peer.machine.nextEvent() { peer.events.append(event) }
        expect(peer, .outboundTime, exceeded: exceeded)
    }

    @Test func waitingForTheBrokersWindowIsNoStallOfAClient() throws {
        var client = ConnectionConfiguration(role: .client)
        client.keepaliveNanos = .max
        var wired = Wired.established(
            client: client,
            server: ConnectionConfiguration(
                role: .server, limits: PeerLimits(unitBytes: 4096, streamWindowBytes: 8192)))
        wired.consumes = false
        let stream = try wired.open()
        let unit = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<3 {
            try wired.client.send(
                on: stream, protobuf: [], attachment: unit[...], class: .batch, now: 0)
        }
        wired.run()
        #expect(wired.client.queuedBytes == 4116)
        wired.client.timerFired(now: 20_000_000_000)
        #expect(!wired.client.isFailed)
    }

    @Test func silence() {
        var peer = server()
        for (now, pings) in [(30_000_000_000, 1), (60_000_000_000, 2)] as [(Int64, Int)] {
            #expect(peer.machine.nextDeadlineNanos == now)
            peer.machine.timerFired(now: now - 1)
            #expect(Wired.output(&peer.machine, now).isEmpty)
            peer.machine.timerFired(now: now)
            let ping = Wired.output(&peer.machine, now)
            #expect(ping.count == 28 && ping[4] == 8 && ping[20] == UInt8(pings))
        }
        peer.machine.timerFired(now: 89_999_999_999)
        expect(peer, .silence, exceeded: false)
        var answered = peer
        answered.give(.pong, attachment: [2, 0, 0, 0, 0, 0, 0, 0], now: 89_999_999_999)
        answered.machine.timerFired(now: 90_000_000_000)
        expect(answered, .silence, exceeded: false)
        peer.machine.timerFired(now: 90_000_000_000)
        while let event = peer.machine.nextEvent() { peer.events.append(event) }
        expect(peer, .silence, exceeded: true)
    }

    @Test(arguments: [(64, 0), (65, 1), (3000, 1)])
    func metadataEntries(_ count: Int, _ refused: UInt64) throws {
        var peer = server()
        var protobuf: [UInt8] = [0x0a, 1, 0x61]
        for number in 0..<count {
            let key = Array("k\(number)".utf8)
            protobuf += [0x22, UInt8(key.count + 2), 0x0a, UInt8(key.count)] + key
        }
        peer.give(.open, stream: 1, protobuf: protobuf)
        #expect(peer.failure == nil)
        #expect(peer.machine.counters.exceeded(.openBytes) == refused)
        var wired = Wired.established()
        var open = OpenRequest(method: "m", namespace: "n")
        for number in 0..<count { open.metadata["k\(number)"] = "" }
        let opened = try? wired.client.openStream(open, now: 0)
        #expect((opened == nil) == (refused == 1))
    }

    @Test(arguments: [(255, 0), (256, 1), (100_000, 1)])
    func methodBytes(_ length: Int, _ refused: UInt64) throws {
        var wired = Wired.established()
        let open = OpenRequest(
            method: String(repeating: "m", count: length), namespace: "n")
        if refused == 0 {
            _ = try wired.client.openStream(open, now: 0)
        } else {
            #expect(throws: Failure.self) { try wired.client.openStream(open, now: 0) }
        }
        #expect(wired.client.counters.exceeded(.openBytes) == refused)
    }

    @Test func moreItemsThanControlMessagesMayHave() {
        var peer = server()
        var protobuf: [UInt8] = [0x0a, 1, 0x61]
        for _ in 0..<4097 { protobuf += [0x22, 0] }
        peer.give(.open, stream: 1, protobuf: protobuf)
        #expect(peer.reason == "protocol-error")
    }
}
