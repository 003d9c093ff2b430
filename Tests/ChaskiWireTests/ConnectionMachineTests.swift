import ChaskiModel
import ChaskiWire
import Testing

@Suite struct ConnectionMachineTests {
    @Test func handshakeAgreesOnVersionAndTellsBothSides() throws {
        var wired = Wired()
        wired.run()
        guard case .helloReceived(let hello)? = wired.serverEvents.first,
            case .welcomed(let welcome)? = wired.clientEvents.first
        else { throw TestFailure() }
        #expect(hello.versions == 1...1)
        #expect(hello.limits == PeerLimits().normalized)
        #expect(welcome.version == 1)
        #expect(welcome.identity == "anonymous")
        #expect(welcome.resumeGraceNanos == Limits.resumeGraceNanos)
        #expect(wired.client.isEstablished && wired.server.isEstablished)
    }

    @Test(arguments: [1, 7, 19, 20, 21, 65536])
    func unaryCallInPiecesOfAnySize(_ pieceBytes: Int) throws {
        var wired = Wired()
        wired.pieceBytes = pieceBytes
        wired.run()
        let stream = try wired.open()
        try wired.client.send(
            on: stream, protobuf: [1, 2, 3], attachment: [4, 5], end: true, class: .rpc, now: 0)
        wired.run()
        guard case .opened(stream, let open)? = wired.serverEvents.dropFirst().first else {
            throw TestFailure()
        }
        #expect(open.method == "chaski.v1.Topics/Create")
        let request = try #require(wired.serverEvents.messages(on: stream).first)
        #expect(request.protobuf == [1, 2, 3])
        #expect(request.attachment == [4, 5])
        #expect(request.end)
        try wired.server.send(on: stream, protobuf: [9], end: true, class: .rpc, now: 0)
        wired.server.close(stream, nil, now: 0)
        wired.run()
        let answer = try #require(wired.clientEvents.messages(on: stream).first)
        #expect(answer.protobuf == [9] && answer.end)
        guard case .closed(stream, nil)? = wired.clientEvents.last else { throw TestFailure() }
        #expect(wired.client.openStreams == 0)
        #expect(wired.server.openStreams == 0)
    }

    @Test func emptyMessageIsAMessageAndHalfCloseIsNone() throws {
        var wired = Wired.established()
        let stream = try wired.open()
        try wired.client.send(on: stream, protobuf: [], end: false, class: .rpc, now: 0)
        try wired.client.endStream(stream, now: 0)
        wired.run()
        #expect(wired.serverEvents.messages(on: stream).count == 1)
        guard case .halfClosed(stream)? = wired.serverEvents.last else { throw TestFailure() }
        #expect(throws: Failure.self) {
            try wired.client.send(on: stream, protobuf: [], class: .rpc, now: 0)
        }
    }

    @Test func bigUnitArrivesWholeAndAcksOvertakeIt() throws {
        var wired = Wired.established()
        let stream = try wired.open()
        let big = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try wired.client.send(
            on: stream, protobuf: [1], attachment: big[...], class: .batch, now: 0)
        var first: [UInt8] = []
        _ = wired.client.writeOutput(into: &first, maximumBytes: 200_000, now: 0)
        try wired.client.send(on: stream, protobuf: [2], class: .control, now: 0)
        Wired.deliver(first, to: &wired.server, 0, 5000)
        wired.drainServer()
        wired.run()
        let messages = wired.serverEvents.messages(on: stream)
        #expect(messages.map(\.protobuf) == [[2], [1]])
        #expect(messages.last?.attachment == big[...])
    }

    @Test func endAndCloseComeAfterEverythingElseOfTheStream() throws {
        var wired = Wired.established()
        let stream = try wired.open()
        wired.run()
        let big = [UInt8](repeating: 7, count: 1_000_000)
        try wired.server.send(
            on: stream, protobuf: [1], attachment: big[...], class: .batch, now: 0)
        try wired.server.send(on: stream, protobuf: [2], end: true, class: .control, now: 0)
        wired.server.close(
            stream, Failure(.aborted, .stale, "x", retryAfterNanos: 5_000_000), now: 0)
        wired.run()
        #expect(wired.clientEvents.messages(on: stream).map(\.protobuf) == [[1], [2]])
        guard case .closed(stream, let failure?)? = wired.clientEvents.last else {
            throw TestFailure()
        }
        #expect(failure.code == .aborted && failure.reason == .stale)
        #expect(failure.retryAfterNanos == 5_000_000)
    }

    @Test func resetDropsWhatWaitsAndKeepsTheServersSlotUntilReleased() throws {
        var wired = Wired.established()
        let stream = try wired.open()
        wired.run()
        let big = [UInt8](repeating: 7, count: 1_000_000)
        try wired.client.send(
            on: stream, protobuf: [1], attachment: big[...], class: .batch, now: 0)
        var part: [UInt8] = []
        _ = wired.client.writeOutput(into: &part, maximumBytes: 150_000, now: 0)
        Wired.deliver(part, to: &wired.server, 0, 65536)
        wired.client.reset(stream, Failure(.cancelled, .stale, "no more"), now: 0)
        #expect(wired.client.openStreams == 0)
        wired.run()
        guard case .reset(stream, let failure)? = wired.serverEvents.last else {
            throw TestFailure()
        }
        #expect(failure.message == "no more")
        #expect(wired.server.openStreams == 1)
        wired.server.release(stream)
        #expect(wired.server.openStreams == 0)
        // The window that the half unit took is whole again: many more units pass.
        for _ in 0..<40 {
            let next = try wired.open()
            try wired.client.send(
                on: next, protobuf: [2], attachment: big[...], end: true, class: .batch, now: 0)
            wired.run()
            #expect(wired.serverEvents.messages(on: next).count == 1)
            wired.server.close(next, nil, now: 0)
            wired.run()
        }
    }

    @Test(arguments: [1024, 1025, 1_024_000])
    func longStatusIsCutAndFitsTheSmallestFrame(_ length: Int) throws {
        let small = PeerLimits(frameBytes: 4096)
        var wired = Wired.established(
            client: ConnectionConfiguration(role: .client, limits: small))
        let stream = try wired.open()
        wired.run()
        let text = String(repeating: "x", count: length)
        wired.server.close(stream, Failure(.notFound, .unknownTopic, text), now: 0)
        wired.run()
        guard case .closed(stream, let failure?)? = wired.clientEvents.last else {
            throw TestFailure()
        }
        #expect(failure.message == String(repeating: "x", count: 1024))
    }

    @Test func refusedClientLearnsWhy() {
        var wired = Wired()
        wired.welcomes = false
        wired.run()
        wired.server.refuse(Failure(.unauthenticated, .fenced, "who are you"))
        wired.run()
        #expect(wired.clientEvents.failure?.message == "who are you")
        #expect(wired.client.isFailed && wired.server.isFailed)
    }

    @Test func versionMismatchNamesBothRanges() {
        var old = ConnectionConfiguration(role: .client)
        old.versions = 1...1
        var new = ConnectionConfiguration(role: .server)
        new.versions = 2...4
        var wired = Wired(client: old, server: new)
        wired.run()
        for failure in [wired.clientEvents.failure, wired.serverEvents.failure] {
            #expect(failure?.reason == .unsupportedVersion)
            #expect(failure?.message.contains("version 1 ") == true)
            #expect(failure?.message.contains("versions 2 to 4") == true)
        }
    }

    @Test func newestCommonVersionIsSpoken() throws {
        var client = ConnectionConfiguration(role: .client)
        client.versions = 1...3
        var server = ConnectionConfiguration(role: .server)
        server.versions = 2...5
        var wired = Wired(client: client, server: server)
        wired.run()
        guard case .welcomed(let welcome)? = wired.clientEvents.first else { throw TestFailure() }
        #expect(welcome.version == 3)
    }

    @Test func goAwayEndsNewStreamsAndKeepsOldOnes() throws {
        var wired = Wired.established()
        let old = try wired.open()
        wired.run()
        let late = try wired.open()
        wired.server.goAway(nil, now: 0)
        let back = Wired.output(&wired.server, 0)
        Wired.deliver(back, to: &wired.client, 0, 65536)
        wired.drainClient()
        guard case .closed(late, let failure?)? = wired.clientEvents.last else {
            throw TestFailure()
        }
        #expect(failure.reason == .draining && failure.code == .unavailable)
        #expect(throws: Failure.self) { try wired.open() }
        wired.run()
        try wired.server.send(on: old, protobuf: [3], end: true, class: .rpc, now: 0)
        wired.server.close(old, nil, now: 0)
        wired.run()
        #expect(wired.clientEvents.messages(on: old).count == 1)
        #expect(wired.server.openStreams == 0)
    }

    @Test func windowsHoldBackAndRefill() throws {
        let small = PeerLimits(
            unitBytes: 8192, streamWindowBytes: 16384, connectionWindowBytes: 1 << 20)
        var wired = Wired.established(
            server: ConnectionConfiguration(role: .server, limits: small))
        wired.consumes = false
        let stream = try wired.open()
        let unit = [UInt8](repeating: 1, count: 4000)
        for _ in 0..<10 {
            try wired.client.send(
                on: stream, protobuf: [1], attachment: unit[...], class: .batch, now: 0)
        }
        wired.run()
        // Four of 4,001 bytes fit 16,384.
        #expect(wired.serverEvents.messages(on: stream).count == 4)
        for _ in 0..<4 { wired.server.consumed(stream, bytes: 4001) }
        wired.run()
        #expect(wired.serverEvents.messages(on: stream).count == 8)
        for _ in 0..<4 { wired.server.consumed(stream, bytes: 4001) }
        wired.run()
        #expect(wired.serverEvents.messages(on: stream).count == 10)
    }

    @Test func connectionWindowKeepsAReserveForControl() throws {
        let limits = PeerLimits(
            unitBytes: 65536, streamWindowBytes: 1 << 20,
            connectionWindowBytes: 2 * (65536 + PeerLimits.windowReserveBytes))
        var wired = Wired.established(
            server: ConnectionConfiguration(role: .server, limits: limits))
        wired.consumes = false
        let stream = try wired.open()
        let unit = [UInt8](repeating: 1, count: 60_000)
        for _ in 0..<6 {
            try wired.client.send(
                on: stream, protobuf: [1], attachment: unit[...], class: .batch, now: 0)
        }
        wired.run()
        #expect(wired.serverEvents.messages(on: stream).count == 3)
        try wired.client.send(on: stream, protobuf: [2], class: .control, now: 0)
        wired.run()
        #expect(wired.serverEvents.messages(on: stream).last?.protobuf == [2])
    }

    @Test func writableComesBackWhenTheQueueFalls() throws {
        var wired = Wired.established()
        let stream = try wired.open()
        let unit = [UInt8](repeating: 1, count: 300_000)
        try wired.client.send(
            on: stream, protobuf: [], attachment: unit[...], class: .batch, now: 0)
        #expect(wired.client.isWritable(stream))
        try wired.client.send(
            on: stream, protobuf: [], attachment: unit[...], class: .batch, now: 0)
        #expect(!wired.client.isWritable(stream))
        wired.run()
        #expect(wired.client.isWritable(stream))
        guard case .writable(stream)? = wired.clientEvents.last else { throw TestFailure() }
    }

    @Test func fullConnectionHoldsBackEveryStreamAndTellsThemAll() throws {
        var configuration = ConnectionConfiguration(role: .client)
        configuration.outboundBytes = 600_000
        var wired = Wired.established(client: configuration)
        let busy = try wired.open()
        let idle = try wired.open()
        let unit = [UInt8](repeating: 1, count: 300_000)
        try wired.client.send(on: busy, protobuf: [], attachment: unit[...], class: .batch, now: 0)
        #expect(!wired.client.isWritable(idle))
        wired.run()
        #expect(wired.client.isWritable(idle))
        let told = wired.clientEvents.compactMap { event -> StreamID? in
            if case .writable(let stream) = event { stream } else { nil }
        }
        #expect(Set(told) == [busy, idle] && told.count == 2)
    }

    @Test func deflatedPartsArriveAsTheyWere() throws {
        var configuration = ConnectionConfiguration(role: .client)
        configuration.deflates = true
        var wired = Wired.established(client: configuration)
        let stream = try wired.open()
        let text = Array(String(repeating: "all work and no play ", count: 1000).utf8)
        try wired.client.send(on: stream, protobuf: text, class: .rpc, now: 0)
        #expect(wired.client.queuedBytes < 2000)
        wired.run()
        #expect(wired.serverEvents.messages(on: stream).first?.protobuf == text[...])
    }

    @Test func unknownExtensionFramesAreSkipped() {
        var peer = RawPeer(ConnectionConfiguration(role: .server))
        peer.give(RawPeer.frame(200, stream: 4, protobuf: [1], attachment: [2, 3]))
        #expect(peer.failure == nil)
        peer.give(RawPeer.frame(127))
        #expect(peer.reason == "protocol-error")
    }

    @Test func garbageOnThePortIsOneClearSentence() {
        var peer = RawPeer(ConnectionConfiguration(role: .server), established: false)
        peer.give(Array("GET / HTTP/1.1\r\n".utf8))
        #expect(peer.reason == "protocol-error")
        #expect(peer.failure?.message.contains("CHASKI1") == true)
        var machine = peer.machine
        #expect(Wired.output(&machine, 0).isEmpty)
    }
}

struct TestFailure: Error {}
