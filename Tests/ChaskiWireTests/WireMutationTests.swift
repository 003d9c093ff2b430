import ChaskiModel
import ChaskiWire
import Testing

/// A small deterministic generator (SplitMix64, https://prng.di.unimi.it/splitmix64.c).
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Hostile peers: whatever comes, nothing traps, an end has a typed reason, and nothing grows.
@Suite struct WireMutationTests {
    private static let reasons = Set(
        WireLimit.allCases.map(\.reason) + [.protocolError, .unsupportedVersion, .draining])

    /// What a client says in a busy connection, as frames.
    private func conversation() throws -> [UInt8] {
        var wired = Wired(
            client: {
                var configuration = ConnectionConfiguration(role: .client)
                configuration.deflates = true
                return configuration
            }())
        var bytes = Wired.output(&wired.client, 0)
        Wired.deliver(bytes, to: &wired.server, 0, 65536)
        wired.drainServer()
        Wired.deliver(Wired.output(&wired.server, 0), to: &wired.client, 0, 65536)
        wired.drainClient()
        for number in 0..<4 {
            let stream = try wired.open("method\(number)")
            try wired.client.send(
                on: stream, protobuf: [UInt8](repeating: 8, count: 1500 * number),
                attachment: [UInt8](repeating: 3, count: 70 * number)[...], class: .rpc, now: 0)
            try wired.client.send(
                on: stream, protobuf: [1, 2, 3], end: true, class: .control, now: 0)
            if number == 2 {
                wired.client.reset(stream, Failure(.cancelled, .stale, "x"), now: 0)
            }
            bytes += Wired.output(&wired.client, 0)
        }
        wired.client.goAway(nil, now: 0)
        return bytes + Wired.output(&wired.client, 0)
    }

    private func frames(_ bytes: [UInt8]) -> [[UInt8]] {
        var frames = [Array(bytes.prefix(8))]
        var rest = bytes.dropFirst(8)
        while let header = FrameHeader(rest.span.bytes) {
            let length = 20 + Int(header.length)
            frames.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return frames
    }

    private func mutate(_ frames: inout [[UInt8]], _ random: inout SplitMix64) {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let number = Int.random(in: 0..<frames.count, using: &random)
            let edges: [UInt8] = [0, 1, 2, 3, 4, 8, 16, 31, 127, 128, 255]
            switch Int.random(in: 0..<7, using: &random) {
            case 0: frames.remove(at: number)
            case 1: frames.insert(frames[number], at: number)
            case 2:
                frames.swapAt(number, Int.random(in: 0..<frames.count, using: &random))
            case 3, 4:
                // A byte of the header, at an edge.
                let position = Int.random(in: 0..<min(20, frames[number].count), using: &random)
                frames[number][position] = edges.randomElement(using: &random) ?? 0
            case 5:
                let position = Int.random(in: 0..<frames[number].count, using: &random)
                frames[number][position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default: frames[number].removeLast(min(frames[number].count - 1, 3))
            }
            if frames.isEmpty { frames = [[0]] }
        }
    }

    @Test func nothingTrapsWhateverAClientSays() throws {
        let original = frames(try conversation())
        var random = SplitMix64(seed: 7420)
        var failed = 0
        for round in 0..<2500 {
            var mutated = original
            mutate(&mutated, &random)
            var machine = ConnectionMachine(
                ConnectionConfiguration(
                    role: .server, limits: PeerLimits(unitBytes: 8192, streams: 3)), now: 0)
            // The client waits for WELCOME; what follows comes in pieces.
            let greeting = mutated.prefix(2).flatMap { $0 }
            let bytes = mutated.dropFirst(2).flatMap { $0 }
            let piece = [1 << 20, 50, 333][round % 3]
            var last: ConnectionEvent?
            func give(_ part: Bytes) {
                machine.received(part.span.bytes, now: 0)
                while let event = machine.nextEvent() {
                    last = event
                    answer(event, &machine)
                }
                _ = Wired.output(&machine, 0)
            }
            give(greeting[...])
            for start in stride(from: 0, to: bytes.count, by: piece) {
                give(bytes[start..<min(bytes.count, start + piece)])
            }
            if case .failed(let failure)? = last {
                failed += 1
                if !Self.reasons.contains(failure.reason) { Issue.record("\(failure)") }
            }
            if machine.openStreams > 3 { Issue.record("\(machine.openStreams) streams") }
        }
        #expect(failed > 500 && failed < 2500)
    }

    /// A host that echoes, closes, and gives the window back.
    private func answer(_ event: ConnectionEvent, _ machine: inout ConnectionMachine) {
        switch event {
        case .helloReceived: machine.welcome(identity: "a", now: 0)
        case .message(let stream, let message):
            machine.consumed(stream, bytes: message.windowBytes)
            try? machine.send(
                on: stream, protobuf: Array(message.protobuf.prefix(100)),
                attachment: message.attachment, class: .batch, now: 0)
            if message.end { machine.close(stream, nil, now: 0) }
        case .halfClosed(let stream): machine.close(stream, nil, now: 0)
        case .closed(let stream, _), .reset(let stream, _): machine.release(stream)
        case .welcomed, .opened, .writable, .goingAway, .failed: break
        }
    }

    @Test func noiseOfAnyLengthIsRefused() {
        var random = SplitMix64(seed: 1)
        for length in 0..<300 {
            for role in [WireRole.client, .server] {
                var machine = ConnectionMachine(ConnectionConfiguration(role: role), now: 0)
                let noise = (0..<length * 8).map { _ in UInt8.random(in: 0...255, using: &random) }
                let prefix = role == .server && length % 2 == 0 ? ConnectionMachine.preface : []
                machine.received((prefix + noise).span.bytes, now: 0)
                if length > 30 { #expect(machine.isFailed) }
            }
        }
    }

    /// Two machines under random traffic: every unit arrives once, whole and in order within its
    /// class, and at the end nothing is left behind.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func randomTrafficArrivesWhole(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let limits = PeerLimits(
            frameBytes: 4096, unitBytes: 40_000, streams: 20, streamWindowBytes: 80_000,
            connectionWindowBytes: 300_000)
        var wired = Wired.established(
            client: ConnectionConfiguration(role: .client, limits: limits),
            server: ConnectionConfiguration(role: .server, limits: limits))
        wired.consumes = false
        var sent: [StreamID: [[UInt8]]] = [:]
        var open: [StreamID] = []
        var owed: [(StreamID, Int)] = []
        var received: [StreamID: [[UInt8]]] = [:]
        var number: UInt8 = 0
        for _ in 0..<800 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0 where open.count < 15: open.append(try wired.open())
            case 1...5:
                guard let stream = open.randomElement(using: &random) else { break }
                number &+= 1
                let length = Int.random(in: 0...20_000, using: &random)
                let unit = [UInt8](repeating: number, count: length)
                try wired.client.send(
                    on: stream, protobuf: [number], attachment: unit[...], class: .batch, now: 0)
                sent[stream, default: []].append([number] + unit)
            case 6 where !owed.isEmpty:
                let (stream, bytes) = owed.removeFirst()
                wired.server.consumed(stream, bytes: bytes)
            default:
                var part: [UInt8] = []
                _ = wired.client.writeOutput(into: &part, maximumBytes: 9000, now: 0)
                Wired.deliver(part, to: &wired.server, 0, 1 + Int(number) * 10)
                Wired.deliver(Wired.output(&wired.server, 0), to: &wired.client, 0, 100)
            }
            collect(&wired, &owed, &received)
        }
        var rounds = 0
        while wired.client.queuedBytes > 0 || !owed.isEmpty, rounds < 10_000 {
            rounds += 1
            for (stream, bytes) in owed { wired.server.consumed(stream, bytes: bytes) }
            owed = []
            Wired.deliver(Wired.output(&wired.client, 0), to: &wired.server, 0, 4000)
            Wired.deliver(Wired.output(&wired.server, 0), to: &wired.client, 0, 4000)
            collect(&wired, &owed, &received)
        }
        #expect(!wired.client.isFailed && !wired.server.isFailed)
        #expect(wired.client.queuedBytes == 0)
        #expect(received == sent)
        for stream in open { wired.server.close(stream, nil, now: 0) }
        wired.run()
        #expect(wired.client.openStreams == 0 && wired.server.openStreams == 0)
    }

    private func collect(
        _ wired: inout Wired, _ owed: inout [(StreamID, Int)],
        _ received: inout [StreamID: [[UInt8]]]
    ) {
        wired.drainServer()
        wired.drainClient()
        for event in wired.serverEvents {
            guard case .message(let stream, let message) = event else { continue }
            owed.append((stream, message.windowBytes))
            received[stream, default: []].append(Array(message.protobuf + message.attachment))
        }
        wired.serverEvents = []
    }
}
