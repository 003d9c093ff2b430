import ChaskiModel

/// A stream of a connection: odd, rising, chosen by the client. Never 0.
package struct StreamID: RawRepresentable, Hashable, Comparable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// What one side asks the other to keep to.
package struct PeerLimits: Hashable, Sendable {
    /// Bytes of a frame that this side takes, header included.
    package var frameBytes: Int
    /// Bytes of a unit assembled from frames.
    package var unitBytes: Int
    /// Bytes of one payload, and messages of one batch.
    package var payloadBytes: Int
    package var batchMessages: Int
    /// Streams that the other side may have open.
    package var streams: Int
    /// Bytes of MESSAGE frames that may be on the way, by stream and in all.
    package var streamWindowBytes: Int
    package var connectionWindowBytes: Int

    package init(
        frameBytes: Int = Limits.frameBytes, unitBytes: Int = Limits.unitBytes,
        payloadBytes: Int = Limits.payloadBytes, batchMessages: Int = Limits.batchMessages,
        streams: Int = Limits.streams, streamWindowBytes: Int = 8 * 1024 * 1024,
        connectionWindowBytes: Int = 16 * 1024 * 1024
    ) {
        self.frameBytes = frameBytes
        self.unitBytes = unitBytes
        self.payloadBytes = payloadBytes
        self.batchMessages = batchMessages
        self.streams = streams
        self.streamWindowBytes = streamWindowBytes
        self.connectionWindowBytes = connectionWindowBytes
    }

    /// Part of the connection window that only control traffic may use, so that a verdict always
    /// passes a publisher that used up the rest.
    package static let windowReserveBytes = 64 * 1024

    /// The smallest limits that a peer may state.
    package static let minimum = PeerLimits(
        frameBytes: 4096, unitBytes: 4096, payloadBytes: 0, batchMessages: 1, streams: 1,
        streamWindowBytes: 2 * 4096, connectionWindowBytes: 2 * (4096 + windowReserveBytes))

    /// These limits, brought within the hard maxima and made to fit together. A window is at least
    /// twice the largest unit: while the receiver may keep back a quarter of it before it
    /// refills, a unit always fits.
    package var normalized: PeerLimits {
        var limits = self
        limits.frameBytes = min(max(frameBytes, Self.minimum.frameBytes), Limits.frameBytes)
        limits.unitBytes = min(
            max(unitBytes, Self.minimum.unitBytes), Limits.unitBytesMaximum)
        limits.payloadBytes = min(max(payloadBytes, 0), Limits.payloadBytesMaximum)
        limits.batchMessages = min(max(batchMessages, 1), Limits.batchMessagesMaximum)
        limits.streams = min(max(streams, 1), Limits.streamsMaximum)
        limits.streamWindowBytes = min(
            max(streamWindowBytes, 2 * limits.unitBytes), SendWindow.maximumBytes)
        limits.connectionWindowBytes = min(
            max(connectionWindowBytes, 2 * (limits.unitBytes + Self.windowReserveBytes)),
            SendWindow.maximumBytes)
        return limits
    }

    /// Whether a peer may state these limits.
    var isAcceptable: Bool {
        let least = Self.minimum
        return frameBytes >= least.frameBytes && unitBytes >= least.unitBytes
            && batchMessages >= least.batchMessages && streams >= least.streams
            && streamWindowBytes >= least.streamWindowBytes
            && connectionWindowBytes >= least.connectionWindowBytes
    }

    /// The largest unit that may be sent to a peer with these limits: what it takes, and half of
    /// what its windows cover.
    package var sendableUnitBytes: Int {
        min(
            unitBytes, Limits.unitBytesMaximum, streamWindowBytes / 2,
            connectionWindowBytes / 2 - Self.windowReserveBytes)
    }
}

/// HELLO: what a client says of itself.
package struct PeerHello: Hashable, Sendable {
    /// The versions that the client speaks.
    package var versions: ClosedRange<UInt32>
    package var features: UInt64
    package var software: String
    package var clientName: String
    package var limits: PeerLimits

    package init(
        versions: ClosedRange<UInt32>, features: UInt64, software: String, clientName: String,
        limits: PeerLimits
    ) {
        self.versions = versions
        self.features = features
        self.software = software
        self.clientName = clientName
        self.limits = limits
    }
}

/// WELCOME: what the broker answers.
package struct PeerWelcome: Hashable, Sendable {
    /// The version and the features that both sides speak from now on.
    package var version: UInt32
    package var features: UInt64
    package var software: String
    package var limits: PeerLimits
    package var keepaliveNanos: Int64
    package var resumeGraceNanos: Int64
    /// Who the credential says the client is.
    package var identity: String

    package init(
        version: UInt32, features: UInt64, software: String, limits: PeerLimits,
        keepaliveNanos: Int64, resumeGraceNanos: Int64, identity: String
    ) {
        self.version = version
        self.features = features
        self.software = software
        self.limits = limits
        self.keepaliveNanos = keepaliveNanos
        self.resumeGraceNanos = resumeGraceNanos
        self.identity = identity
    }
}

/// OPEN: a call of a method.
package struct OpenRequest: Hashable, Sendable {
    /// "package.Service/Method".
    package var method: String
    package var namespace: String
    /// Time left for the whole call, nanoseconds; nil for no limit.
    package var timeoutNanos: Int64?
    /// At most 64 entries, 16 KiB in all.
    package var metadata: [String: String]

    package init(
        method: String, namespace: String, timeoutNanos: Int64? = nil,
        metadata: [String: String] = [:]
    ) {
        self.method = method
        self.namespace = namespace
        self.timeoutNanos = timeoutNanos
        self.metadata = metadata
    }
}
