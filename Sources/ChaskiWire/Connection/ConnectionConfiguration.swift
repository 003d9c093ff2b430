import ChaskiModel

/// Which side of a connection a machine is.
package enum WireRole: Hashable, Sendable {
    case client, server
}

/// How urgent a message is: of what waits, the more urgent class is sent first, frame by frame.
package enum TrafficClass: Int, Sendable, CaseIterable {
    /// Verdicts, their answers, publish results, heartbeats.
    case control = 0
    case rpc = 1
    /// Record batches, both ways.
    case batch = 2
}

/// Settings of one side of a connection. Times are nanoseconds.
package struct ConnectionConfiguration: Sendable {
    package var role: WireRole
    /// What this side takes; stated to the peer.
    package var limits: PeerLimits
    /// Name and version of this side's software, for the peer's logs.
    package var software: String
    /// Client: a name for this client, for logs and listings.
    package var clientName: String = ""
    /// Versions of the protocol that this side speaks.
    package var versions: ClosedRange<UInt32> = 1...1
    package var features: UInt64 = 0
    package var keepaliveNanos = Limits.keepaliveNanos
    package var pingSpacingNanos = Limits.pingSpacingNanos
    package var handshakeNanos = Limits.handshakeNanos
    package var frameCompletionNanos = Limits.frameCompletionNanos
    /// Server: stated in WELCOME.
    package var resumeGraceNanos = Limits.resumeGraceNanos
    /// Bytes that may wait to be sent before the connection is given up.
    package var outboundBytes = Limits.outboundBytes
    /// How long they may wait without any progress. At a client, waiting for the broker's
    /// windows is not counted: a broker may be slow to take, a consumer may not.
    package var outboundStallNanos = Limits.outboundStallNanos
    /// Resets before the first reply message in 30 s: this many, or 20 % of the opens if more.
    package var resetBudget = 200
    package var emptyFramesInARow = Limits.emptyFramesInARow
    /// Whether protobuf parts from 1 KiB on are deflated where they shrink.
    package var deflates = false
    /// A stream is writable while less than this waits on it.
    package var streamHighWaterBytes = 512 * 1024

    package init(role: WireRole, limits: PeerLimits = PeerLimits(), software: String = "chaski") {
        self.role = role
        self.limits = limits.normalized
        self.software = software
    }
}
