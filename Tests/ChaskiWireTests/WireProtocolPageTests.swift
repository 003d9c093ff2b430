import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire
import Testing

/// The examples of the page WireProtocol: decoded by one machine, and said by the other.
@Suite struct WireProtocolPageTests {
    private let page: PageExamples

    init() throws { page = try PageExamples("ChaskiWire/Documentation.docc/WireProtocol.md") }

    /// A client that said what the page says, and a server that heard it.
    private func established() throws -> Wired {
        var wired = Wired(
            client: ConnectionConfiguration(role: .client, software: "demo/1"),
            server: ConnectionConfiguration(role: .server, software: "chaski"))
        let hello = Wired.output(&wired.client, 0)
        #expect(try hello == page["hello"])
        Wired.deliver(hello, to: &wired.server, 0, 7)
        wired.drainServer()
        let welcome = Wired.output(&wired.server, 0)
        #expect(try welcome == page["welcome"])
        Wired.deliver(welcome, to: &wired.client, 0, 7)
        wired.drainClient()
        return wired
    }

    @Test func handshake() throws {
        let wired = try established()
        guard case .helloReceived(let hello)? = wired.serverEvents.first,
            case .welcomed(let welcome)? = wired.clientEvents.first
        else { throw TestFailure() }
        #expect(hello.software == "demo/1" && hello.versions == 1...1)
        #expect(welcome.keepaliveNanos == 30_000_000_000 && welcome.identity == "anonymous")
    }

    @Test func unaryCall() throws {
        for (status, example) in [
            (nil, "close-ok"),
            (
                Failure(.alreadyExists, .alreadyExists, "topic \"orders\" exists already"),
                "close-status"
            ),
        ] as [(Failure?, String)] {
            var wired = try established()
            let stream = try wired.client.openStream(
                OpenRequest(method: "chaski.v1.Topics/Create", namespace: "default"), now: 0)
            let open = Wired.output(&wired.client, 0)
            #expect(try open == page["open"])
            let request = Chaski_V1_CreateTopicRequest.with { $0.name = "orders" }
            try wired.client.send(
                on: stream, protobuf: try request.serializedBytes(), end: true, class: .rpc, now: 0)
            let message = Wired.output(&wired.client, 0)
            #expect(try message == page["message-end"])
            Wired.deliver(open + message, to: &wired.server, 0, 5)
            wired.drainServer()
            #expect(wired.serverEvents.messages(on: stream).first?.end == true)
            wired.server.close(stream, status, now: 0)
            let close = Wired.output(&wired.server, 0)
            #expect(try close == page[example])
            Wired.deliver(close, to: &wired.client, 0, 5)
            wired.drainClient()
            guard case .closed(stream, status)? = wired.clientEvents.last else {
                throw TestFailure()
            }
        }
    }

    @Test func verdictHalfCloseAndReset() throws {
        var wired = try established()
        _ = try wired.open()
        let stream = try wired.open()
        wired.run()
        let settle = Chaski_V1_ConsumeRequest.with {
            $0.settle = .with {
                $0.requestID = 7
                $0.alias = 1
                $0.verb = .ack
                $0.epoch = 5
            }
        }
        let ranges = [
            TokenRange(epoch: 5, first: 1000, count: 3, handout: 1),
            TokenRange(epoch: 5, first: 1010, count: 1, handout: 2),
        ]
        var attachment: [UInt8] = []
        TokenRanges.encode(ranges, to: &attachment)
        try wired.client.send(
            on: stream, protobuf: try settle.serializedBytes(), attachment: attachment[...],
            class: .control, now: 0)
        let bytes = Wired.output(&wired.client, 0)
        #expect(try bytes == page["settle"])
        Wired.deliver(bytes, to: &wired.server, 0, 64)
        wired.drainServer()
        let message = try #require(wired.serverEvents.messages(on: stream).first)
        #expect(try TokenRanges.decode(message.attachment, epoch: 5) == ranges)
        try wired.client.endStream(stream, now: 0)
        #expect(try Wired.output(&wired.client, 0) == page["half-close"])
        wired.client.reset(stream, Failure(.cancelled, FailureReason(rawValue: ""), ""), now: 0)
        #expect(try Wired.output(&wired.client, 0) == page["reset"])
    }

    @Test func unitInTwoFramesAndDeflatedPart() throws {
        var peer = RawPeer(ConnectionConfiguration(role: .server))
        peer.open(5)
        peer.give(try page["deflated"])
        peer.give(try page["more"])
        let messages = peer.events.messages(on: StreamID(rawValue: 5))
        let request = try Chaski_V1_CreateTopicRequest(
            serializedBytes: try #require(messages.first).protobuf)
        #expect(request.name == String(repeating: "all work and no play ", count: 100))
        #expect(messages.last?.protobuf == [8, 1])
        #expect(messages.last?.attachment == [1, 2, 3, 4, 5, 6])
        #expect(messages.last?.end == true)
    }

    @Test func windowPingAndGoAway() throws {
        var wired = try established()
        _ = try wired.open()
        let stream = try wired.open()
        wired.consumes = false
        let unit = [UInt8](repeating: 0, count: 2_097_152)
        try wired.client.send(on: stream, protobuf: [], attachment: unit[...], class: .rpc, now: 0)
        wired.run()
        wired.server.consumed(stream, bytes: unit.count)
        #expect(try Wired.output(&wired.server, 0) == page["window"])

        var peer = RawPeer(ConnectionConfiguration(role: .server))
        peer.give(try Array(page["ping"].prefix(28)))
        #expect(try Wired.output(&peer.machine, 0) == Array(page["ping"].suffix(28)))

        var client = RawPeer(ConnectionConfiguration(role: .client))
        client.give(try page["goaway"])
        guard case .goingAway(let last, nil)? = client.events.last else { throw TestFailure() }
        #expect(last.rawValue == 41)
    }

    @Test func attachments() throws {
        let rejections = try page["rejections"]
        let refusals = [
            SettleRefusal(offset: 1001, handout: 1, reason: .stale),
            SettleRefusal(offset: 1010, handout: 2, reason: .alreadySettled),
        ]
        #expect(try SettleRejections.decode(rejections[...]) == refusals)
        var encoded: [UInt8] = []
        SettleRejections.encode(refusals, to: &encoded)
        #expect(encoded == rejections)

        let bytes = try page["section"]
        let section = try #require(try DeliverySections.decode(bytes[...]).first)
        #expect(section.runs == [DeliveredRun(first: 1001, count: 1, handout: 2, failed: 1)])
        let view = try RecordBatchView(validating: section.batch, origin: .delivered)
        #expect(try view.record(at: 0).payload == Array("second!".utf8)[...])
        var again: [UInt8] = []
        DeliverySections.encode(section.runs, batch: section.batch, to: &again)
        #expect(again == bytes)
    }

    @Test func headersComeOutAsTheyWentIn() throws {
        for name in page.names where name != "rejections" && name != "section" {
            var rest = try page[name][...]
            if name == "hello" { rest = rest.dropFirst(ConnectionMachine.preface.count) }
            while !rest.isEmpty {
                guard let header = FrameHeader(rest.span.bytes) else { throw TestFailure() }
                var written: [UInt8] = []
                header.write(to: &written)
                #expect(written[...] == rest.prefix(20), "\(name)")
                rest = rest.dropFirst(20 + Int(header.length))
            }
        }
    }

    @Test func everyExampleIsLookedAt() {
        #expect(
            page.names == [
                "close-ok", "close-status", "deflated", "goaway", "half-close", "hello",
                "message-end", "more", "open", "ping", "rejections", "reset", "section", "settle",
                "welcome", "window",
            ])
    }
}
