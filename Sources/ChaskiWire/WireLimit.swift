package import ChaskiModel

/// Each limit of the framing layer: its error, and its place among the counters.
package enum WireLimit: Int, Sendable, CaseIterable {
    /// Bytes of a frame, header included.
    case frameBytes
    /// Bytes of a frame, and of all frames, before WELCOME.
    case frameBytesBeforeWelcome, totalBytesBeforeWelcome
    /// Time from connecting to WELCOME.
    case handshakeTime
    /// Bytes of a unit assembled from frames.
    case unitBytes
    /// Bytes that a protobuf part inflates to, and their ratio to what was sent.
    case inflatedBytes
    /// Streams open at once.
    case streams
    /// Calls cancelled before they could be answered.
    case rapidResets
    /// Frames in a row that carry nothing.
    case emptyFrames
    /// Time between two PINGs of the peer.
    case pingSpacing
    /// Time from a frame's first byte to its last.
    case frameTime
    /// The transport windows.
    case streamWindow, connectionWindow
    /// Bytes that wait to be sent, and the time that they wait without progress.
    case outboundBytes, outboundTime
    /// Keepalive: the time without a sign of life.
    case silence
    /// Metadata entries and bytes of names in an OPEN, text lengths in a Status.
    case openBytes

    /// The machine-readable reason of its failure, stable.
    package var reason: FailureReason {
        FailureReason(rawValue: word)
    }

    private var word: String {
        switch self {
        case .frameBytes: "frame-too-large"
        case .frameBytesBeforeWelcome: "frame-too-large-before-welcome"
        case .totalBytesBeforeWelcome: "too-much-before-welcome"
        case .handshakeTime: "handshake-timeout"
        case .unitBytes: "unit-too-large"
        case .inflatedBytes: "inflated-too-large"
        case .streams: "too-many-streams"
        case .rapidResets: "too-many-resets"
        case .emptyFrames: "too-many-empty-frames"
        case .pingSpacing: "too-many-pings"
        case .frameTime: "frame-timeout"
        case .streamWindow: "stream-window-exceeded"
        case .connectionWindow: "connection-window-exceeded"
        case .outboundBytes: "outbound-full"
        case .outboundTime: "outbound-stalled"
        case .silence: "keepalive-timeout"
        case .openBytes: "open-too-large"
        }
    }

    /// The code of its failure: `resourceExhausted` for sizes and counts, `unavailable` for what
    /// a better network would cure.
    package var code: StatusCode {
        switch self {
        case .handshakeTime, .frameTime, .outboundTime, .silence: .unavailable
        default: .resourceExhausted
        }
    }

    /// The failure, with a sentence for people.
    package func failure(_ message: String) -> Failure { Failure(code, reason, message) }
}

/// What a connection has done and refused. Only ever grows.
package struct WireCounters: Sendable {
    package var framesReceived: UInt64 = 0
    package var bytesReceived: UInt64 = 0
    package var messagesReceived: UInt64 = 0
    package var framesSent: UInt64 = 0
    package var bytesSent: UInt64 = 0
    package var messagesSent: UInt64 = 0
    package var streamsOpened: UInt64 = 0
    package var resetsReceived: UInt64 = 0
    /// Frames of the extension range, and frames for streams that are over: skipped.
    package var framesSkipped: UInt64 = 0
    /// Violations of the protocol that are of no limit.
    package var protocolErrors: UInt64 = 0
    private var exceeded = [UInt64](repeating: 0, count: WireLimit.allCases.count)

    package init() {}

    /// How often a limit was exceeded.
    package func exceeded(_ limit: WireLimit) -> UInt64 { exceeded[limit.rawValue] }

    mutating func count(_ limit: WireLimit) { exceeded[limit.rawValue] &+= 1 }
}
