package import ChaskiModel

extension ConnectionMachine {
    /// Server, after `helloReceived`: accepts the client as `identity`.
    package mutating func welcome(identity: String, now: Int64) {
        guard phase == .awaitingHost, let hello = pendingHello else { return }
        pendingHello = nil
        let welcome = PeerWelcome(
            version: min(hello.versions.upperBound, configuration.versions.upperBound),
            features: hello.features & configuration.features, software: configuration.software,
            limits: configuration.limits, keepaliveNanos: timers.keepaliveNanos,
            resumeGraceNanos: configuration.resumeGraceNanos, identity: identity)
        sendControl(.welcome, protobuf: ControlCoding.encode(welcome))
        establish(hello.limits, keepaliveNanos: timers.keepaliveNanos, now: now)
    }

    /// Server, after `helloReceived`: turns the client away.
    package mutating func refuse(_ failure: Failure) {
        guard phase == .awaitingHost else { return }
        fail(failure)
    }

    /// Takes preface bytes; false while more must come, or where they are wrong.
    mutating func takePreface(_ bytes: RawSpan, _ position: inout Int) -> Bool {
        guard case .preface(var seen) = phase else { return true }
        while seen < Self.preface.count {
            guard let byte = bytes.littleEndian(UInt8.self, at: position) else {
                phase = .preface(seen)
                return false
            }
            guard byte == Self.preface[seen] else {
                failProtocol("the peer does not speak Chaski: it does not begin with CHASKI1")
                return false
            }
            seen += 1
            position += 1
        }
        phase = .awaitingHello
        return true
    }

    mutating func helloReceived(_ protobuf: Bytes) {
        guard phase == .awaitingHello else { return failProtocol("HELLO out of place") }
        let hello: PeerHello
        do throws(Failure) {
            hello = try ControlCoding.decodeHello(protobuf)
        } catch {
            return failProtocol(error.message)
        }
        guard hello.versions.overlaps(configuration.versions) else {
            return fail(
                Self.versionMismatch(client: hello.versions, broker: configuration.versions))
        }
        guard hello.limits.isAcceptable else {
            return failProtocol("the limits in HELLO are below the least that the protocol allows")
        }
        phase = .awaitingHost
        pendingHello = hello
        events.append(.helloReceived(hello))
    }

    mutating func welcomeReceived(_ protobuf: Bytes, now: Int64) {
        guard phase == .awaitingWelcome else { return failProtocol("WELCOME out of place") }
        let welcome: PeerWelcome
        do throws(Failure) {
            welcome = try ControlCoding.decodeWelcome(protobuf)
        } catch {
            return failProtocol(error.message)
        }
        guard configuration.versions.contains(welcome.version) else {
            return fail(
                Self.versionMismatch(
                    client: configuration.versions, broker: welcome.version...welcome.version))
        }
        guard welcome.limits.isAcceptable else {
            return failProtocol(
                "the limits in WELCOME are below the least that the protocol allows")
        }
        let keepalive = max(welcome.keepaliveNanos, configuration.pingSpacingNanos)
        establish(welcome.limits, keepaliveNanos: keepalive, now: now)
        events.append(.welcomed(welcome))
    }

    private mutating func establish(_ limits: PeerLimits, keepaliveNanos: Int64, now: Int64) {
        peer = limits
        phase = .established
        output.window = SendWindow(min(limits.connectionWindowBytes, SendWindow.maximumBytes))
        timers.established(keepaliveNanos: keepaliveNanos, now: now)
    }

    private static func versionMismatch(
        client: ClosedRange<UInt32>, broker: ClosedRange<UInt32>
    )
        -> Failure
    {
        func text(_ range: ClosedRange<UInt32>) -> String {
            range.count == 1
                ? "version \(range.lowerBound)"
                : "versions \(range.lowerBound) to \(range.upperBound)"
        }
        return Failure(
            .failedPrecondition, .unsupportedVersion,
            "the client speaks \(text(client)) of the protocol, the broker \(text(broker)); "
                + "upgrade the older side")
    }
}
