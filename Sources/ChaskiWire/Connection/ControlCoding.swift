import ChaskiModel

/// The protobuf parts of the connection's own frames: plain values there and back. What a peer
/// states is brought into range here.
enum ControlCoding {
    static func encode(_ limits: PeerLimits) -> [UInt8] {
        var writer = MiniWriter()
        writer.number(1, UInt64(limits.frameBytes))
        writer.number(2, UInt64(limits.unitBytes))
        writer.number(3, UInt64(limits.payloadBytes))
        writer.number(4, UInt64(limits.batchMessages))
        writer.number(5, UInt64(limits.streams))
        writer.number(6, UInt64(limits.streamWindowBytes))
        writer.number(7, UInt64(limits.connectionWindowBytes))
        return writer.bytes
    }

    static func decodeLimits(_ bytes: Bytes) throws(Failure) -> PeerLimits {
        var limits = PeerLimits()
        var reader = MiniReader(bytes)
        while let (field, value) = try reader.next() {
            let number = Int(min(value.number, UInt64(SendWindow.maximumBytes)))
            switch field {
            case 1: limits.frameBytes = number
            case 2: limits.unitBytes = number
            case 3: limits.payloadBytes = number
            case 4: limits.batchMessages = number
            case 5: limits.streams = number
            case 6: limits.streamWindowBytes = number
            case 7: limits.connectionWindowBytes = number
            default: break
            }
        }
        return limits
    }

    static func encode(_ hello: PeerHello) -> [UInt8] {
        var writer = MiniWriter()
        writer.number(1, UInt64(hello.versions.lowerBound))
        writer.number(2, UInt64(hello.versions.upperBound))
        writer.number(3, hello.features)
        writer.text(4, hello.software)
        writer.text(5, hello.clientName)
        writer.bytes(6, encode(hello.limits), always: true)
        return writer.bytes
    }

    static func decodeHello(_ bytes: Bytes) throws(Failure) -> PeerHello {
        var oldest: UInt32 = 0
        var newest: UInt32 = 0
        var hello = PeerHello(
            versions: 0...0, features: 0, software: "", clientName: "", limits: PeerLimits())
        var reader = MiniReader(bytes)
        while let (field, value) = try reader.next() {
            switch field {
            case 1: oldest = value.narrow
            case 2: newest = value.narrow
            case 3: hello.features = value.number
            case 4: hello.software = value.text
            case 5: hello.clientName = value.text
            case 6: hello.limits = try decodeLimits(value.bytes)
            default: break
            }
        }
        guard oldest >= 1, oldest <= newest else {
            throw Failure(
                .invalidArgument, .protocolError,
                "HELLO states no range of versions (\(oldest) to \(newest))")
        }
        hello.versions = oldest...newest
        return hello
    }

    static func encode(_ welcome: PeerWelcome) -> [UInt8] {
        var writer = MiniWriter()
        writer.number(1, UInt64(welcome.version))
        writer.number(2, welcome.features)
        writer.text(3, welcome.software)
        writer.bytes(4, encode(welcome.limits), always: true)
        writer.number(5, UInt64(millis(welcome.keepaliveNanos)))
        writer.number(6, UInt64(millis(welcome.resumeGraceNanos)))
        writer.text(7, welcome.identity)
        return writer.bytes
    }

    static func decodeWelcome(_ bytes: Bytes) throws(Failure) -> PeerWelcome {
        var welcome = PeerWelcome(
            version: 0, features: 0, software: "", limits: PeerLimits(), keepaliveNanos: 0,
            resumeGraceNanos: 0, identity: "")
        var reader = MiniReader(bytes)
        while let (field, value) = try reader.next() {
            switch field {
            case 1: welcome.version = value.narrow
            case 2: welcome.features = value.number
            case 3: welcome.software = value.text
            case 4: welcome.limits = try decodeLimits(value.bytes)
            case 5: welcome.keepaliveNanos = Int64(value.narrow) * 1_000_000
            case 6: welcome.resumeGraceNanos = Int64(value.narrow) * 1_000_000
            case 7: welcome.identity = value.text
            default: break
            }
        }
        return welcome
    }

    static func encode(_ open: OpenRequest) -> [UInt8] {
        var writer = MiniWriter()
        writer.text(1, open.method)
        writer.text(2, open.namespace)
        writer.number(3, UInt64(max(open.timeoutNanos ?? 0, 0)))
        for (key, value) in open.metadata.sorted(by: { $0.key < $1.key }) {
            var entry = MiniWriter()
            entry.text(1, key)
            entry.text(2, value)
            writer.bytes(4, entry.bytes, always: true)
        }
        return writer.bytes
    }

    static func decodeOpen(_ bytes: Bytes) throws(Failure) -> OpenRequest {
        var open = OpenRequest(method: "", namespace: "")
        var reader = MiniReader(bytes)
        while let (field, value) = try reader.next() {
            switch field {
            case 1: open.method = value.text
            case 2: open.namespace = value.text
            case 3: open.timeoutNanos = timeout(value.number)
            case 4:
                var key = ""
                var text = ""
                var entry = MiniReader(value.bytes)
                while let (field, value) = try entry.next() {
                    if field == 1 { key = value.text }
                    if field == 2 { text = value.text }
                }
                open.metadata[key] = text
            default: break
            }
        }
        return open
    }

    private static func timeout(_ nanos: UInt64) -> Int64? {
        nanos == 0 ? nil : Int64(min(nanos, UInt64(Int64.max)))
    }

    /// A status frame; nil is OK.
    static func encode(_ failure: Failure?) -> [UInt8] {
        guard let failure else { return [] }
        var writer = MiniWriter()
        writer.number(1, UInt64(failure.code.rawValue))
        writer.text(2, failure.reason.rawValue)
        writer.text(3, failure.message)
        if let nanos = failure.retryAfterNanos {
            // At least 1: 0 says that waiting does not help.
            writer.number(4, UInt64(max(millis(nanos), 1)))
        }
        return writer.bytes
    }

    static func decodeStatus(_ bytes: Bytes) throws(Failure) -> Failure? {
        var code: UInt32 = 0
        var failure = Failure(.unknown, FailureReason(rawValue: ""), "")
        var reader = MiniReader(bytes)
        while let (field, value) = try reader.next() {
            switch field {
            case 1: code = value.narrow
            case 2: failure.reason = FailureReason(rawValue: value.text)
            case 3: failure.message = value.text
            case 4:
                let millis = min(value.number, UInt64(Int64.max / 1_000_000))
                failure.retryAfterNanos = millis == 0 ? nil : Int64(millis) * 1_000_000
            default: break
            }
        }
        guard code != 0 else { return nil }
        failure.code = StatusCode(rawValue: code) ?? .unknown
        return failure
    }

    static func encode(goAway last: StreamID, _ failure: Failure?) -> [UInt8] {
        var writer = MiniWriter()
        writer.number(1, last.rawValue)
        if failure != nil { writer.bytes(2, encode(failure), always: true) }
        return writer.bytes
    }

    static func decodeGoAway(_ bytes: Bytes) throws(Failure) -> (last: StreamID, Failure?) {
        var last: UInt64 = 0
        var failure: Failure?
        var reader = MiniReader(bytes)
        while let (field, value) = try reader.next() {
            switch field {
            case 1: last = value.number
            case 2: failure = try decodeStatus(value.bytes)
            default: break
            }
        }
        return (StreamID(rawValue: last), failure)
    }

    /// Whole milliseconds, rounded up, within 32 bits.
    private static func millis(_ nanos: Int64) -> UInt32 {
        let millis = (max(nanos, 0) / 1_000_000) + (nanos % 1_000_000 > 0 ? 1 : 0)
        return UInt32(clamping: millis)
    }
}
