import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf

/// The protobuf parts of the connection's own frames: plain values there and back. What a peer
/// states is brought into range here.
enum ControlCoding {
    /// Before WELCOME next to nothing is allocated for a peer; after it, what a frame needs.
    private static let handshakeOptions = DecodingOptions(
        depthLimit: Limits.protobufDepthOfControl, memoryBudget: 64 * 1024, itemLimit: 64)
    private static let options = DecodingOptions(
        depthLimit: Limits.protobufDepthOfControl, memoryBudget: 1024 * 1024,
        itemLimit: Limits.repeatedItemsOfControl)

    // MARK: HELLO and WELCOME

    static func encode(_ hello: PeerHello) -> [UInt8] {
        bytes(
            Chaski_V1_Hello.with {
                $0.oldestVersion = hello.versions.lowerBound
                $0.newestVersion = hello.versions.upperBound
                $0.features = hello.features
                $0.software = hello.software
                $0.clientName = hello.clientName
                $0.limits = message(hello.limits)
            })
    }

    static func decodeHello(_ bytes: Bytes) throws(Failure) -> PeerHello {
        let message: Chaski_V1_Hello = try decode(bytes, handshakeOptions)
        let oldest = message.oldestVersion
        let newest = message.newestVersion
        guard oldest >= 1, oldest <= newest else {
            throw Failure(
                .invalidArgument, .protocolError,
                "HELLO states no range of versions (\(oldest) to \(newest))")
        }
        return PeerHello(
            versions: oldest...newest, features: message.features, software: message.software,
            clientName: message.clientName, limits: limits(message.limits))
    }

    static func encode(_ welcome: PeerWelcome) -> [UInt8] {
        bytes(
            Chaski_V1_Welcome.with {
                $0.version = welcome.version
                $0.features = welcome.features
                $0.software = welcome.software
                $0.limits = message(welcome.limits)
                $0.keepaliveMillis = millis(welcome.keepaliveNanos)
                $0.resumeGraceMillis = millis(welcome.resumeGraceNanos)
                $0.identity = welcome.identity
            })
    }

    static func decodeWelcome(_ bytes: Bytes) throws(Failure) -> PeerWelcome {
        let message: Chaski_V1_Welcome = try decode(bytes, handshakeOptions)
        return PeerWelcome(
            version: message.version, features: message.features, software: message.software,
            limits: limits(message.limits),
            keepaliveNanos: Int64(message.keepaliveMillis) * 1_000_000,
            resumeGraceNanos: Int64(message.resumeGraceMillis) * 1_000_000,
            identity: message.identity)
    }

    private static func message(_ limits: PeerLimits) -> Chaski_V1_Limits {
        Chaski_V1_Limits.with {
            $0.frameBytes = UInt32(clamping: limits.frameBytes)
            $0.unitBytes = UInt32(clamping: limits.unitBytes)
            $0.payloadBytes = UInt32(clamping: limits.payloadBytes)
            $0.batchMessages = UInt32(clamping: limits.batchMessages)
            $0.streams = UInt32(clamping: limits.streams)
            $0.streamWindowBytes = UInt64(clamping: limits.streamWindowBytes)
            $0.connectionWindowBytes = UInt64(clamping: limits.connectionWindowBytes)
        }
    }

    private static func limits(_ message: Chaski_V1_Limits) -> PeerLimits {
        PeerLimits(
            frameBytes: Int(message.frameBytes), unitBytes: Int(message.unitBytes),
            payloadBytes: Int(message.payloadBytes), batchMessages: Int(message.batchMessages),
            streams: Int(message.streams), streamWindowBytes: window(message.streamWindowBytes),
            connectionWindowBytes: window(message.connectionWindowBytes))
    }

    /// A window is at most what a window can be.
    private static func window(_ bytes: UInt64) -> Int {
        Int(min(bytes, UInt64(SendWindow.maximumBytes)))
    }

    // MARK: OPEN, CLOSE, RESET, GOAWAY

    static func encode(_ open: OpenRequest) -> [UInt8] {
        bytes(
            Chaski_V1_Open.with {
                $0.method = open.method
                $0.namespace = open.namespace
                $0.timeoutNanos = UInt64(max(open.timeoutNanos ?? 0, 0))
                $0.metadata = open.metadata
            })
    }

    static func decodeOpen(_ bytes: Bytes) throws(Failure) -> OpenRequest {
        let message: Chaski_V1_Open = try decode(bytes, options)
        let nanos = message.timeoutNanos
        return OpenRequest(
            method: message.method, namespace: message.namespace,
            timeoutNanos: nanos == 0 ? nil : Int64(clamping: nanos), metadata: message.metadata)
    }

    /// A status; nil is OK.
    static func encode(_ failure: Failure?) -> [UInt8] { bytes(Chaski_V1_Status(failure)) }

    static func decodeStatus(_ bytes: Bytes) throws(Failure) -> Failure? {
        let message: Chaski_V1_Status = try decode(bytes, options)
        return message.failure
    }

    static func encode(goAway last: StreamID, _ failure: Failure?) -> [UInt8] {
        bytes(
            Chaski_V1_GoAway.with {
                $0.lastStreamID = last.rawValue
                if let failure { $0.status = Chaski_V1_Status(failure) }
            })
    }

    static func decodeGoAway(_ bytes: Bytes) throws(Failure) -> (last: StreamID, Failure?) {
        let message: Chaski_V1_GoAway = try decode(bytes, options)
        return (
            StreamID(rawValue: message.lastStreamID),
            message.hasStatus ? message.status.failure : nil
        )
    }

    // MARK: Helpers

    private static func decode<M: ChaskiProtobuf.Message>(
        _ bytes: Bytes, _ options: DecodingOptions
    )
        throws(Failure) -> M
    {
        do throws(DecodingError) {
            return try M(serializedBytes: bytes, options: options)
        } catch {
            throw Failure(.invalidArgument, .protocolError, error.description)
        }
    }

    private static func bytes(_ message: some ChaskiProtobuf.Message) -> [UInt8] {
        do throws(EncodingError) {
            return try message.serializedBytes(options: EncodingOptions(deterministic: true))
        } catch {
            preconditionFailure("a control message always encodes: \(error)")
        }
    }

    /// Whole milliseconds, rounded up, within 32 bits.
    private static func millis(_ nanos: Int64) -> UInt32 {
        let nanos = max(nanos, 0)
        return UInt32(clamping: nanos / 1_000_000 + (nanos % 1_000_000 > 0 ? 1 : 0))
    }
}
