import ChaskiModel

/// The times at which a connection must do something by itself.
struct ConnectionTimers {
    /// What a deadline that has passed asks for.
    enum Action: Hashable {
        case failHandshake, failFrame, failStalled, failSilent, ping
    }

    private let handshakeDeadline: Int64
    private let frameNanos: Int64
    private let stallNanos: Int64
    private(set) var keepaliveNanos: Int64
    private var isEstablished = false
    private var lastReceived: Int64
    /// PINGs sent since anything was received, and when the last was.
    private var unanswered = 0
    private var lastPing: Int64 = 0
    /// When the frame in hand began; nil between frames.
    private var frameStarted: Int64?
    /// Since when output waits without progress; nil while none waits.
    private var stalledSince: Int64?

    /// PINGs without any answer after which the peer is dead.
    static let unansweredPings = 2

    init(_ configuration: ConnectionConfiguration, now: Int64) {
        handshakeDeadline = Self.add(now, configuration.handshakeNanos)
        frameNanos = configuration.frameCompletionNanos
        stallNanos = configuration.outboundStallNanos
        keepaliveNanos = max(configuration.keepaliveNanos, configuration.pingSpacingNanos)
        lastReceived = now
    }

    /// The handshake is over; `keepalive` is what the broker stated.
    mutating func established(keepaliveNanos: Int64, now: Int64) {
        isEstablished = true
        self.keepaliveNanos = keepaliveNanos
        lastReceived = now
        unanswered = 0
    }

    mutating func received(now: Int64) {
        lastReceived = now
        unanswered = 0
    }

    mutating func frame(isPartial: Bool, isNew: Bool, now: Int64) {
        if !isPartial {
            frameStarted = nil
        } else if isNew || frameStarted == nil {
            frameStarted = now
        }
    }

    mutating func pinged(now: Int64) {
        unanswered += 1
        lastPing = now
    }

    /// Output waits from now on, if it did not before.
    mutating func outputWaits(now: Int64) { stalledSince = stalledSince ?? now }

    /// Output moved; `waits` says whether more waits.
    mutating func outputMoved(waits: Bool, now: Int64) { stalledSince = waits ? now : nil }

    private var pingDeadline: Int64? {
        guard isEstablished else { return nil }
        return Self.add(unanswered == 0 ? lastReceived : lastPing, keepaliveNanos)
    }

    /// The earliest moment at which `due` has something.
    var next: Int64? {
        var result = isEstablished ? pingDeadline : handshakeDeadline
        if let frameStarted { result = min(result ?? .max, Self.add(frameStarted, frameNanos)) }
        if let stalledSince { result = min(result ?? .max, Self.add(stalledSince, stallNanos)) }
        return result
    }

    /// What is due now; nil for nothing.
    func due(_ now: Int64) -> Action? {
        if !isEstablished, now >= handshakeDeadline { return .failHandshake }
        if let frameStarted, now >= Self.add(frameStarted, frameNanos) { return .failFrame }
        if let stalledSince, now >= Self.add(stalledSince, stallNanos) { return .failStalled }
        if let deadline = pingDeadline, now >= deadline {
            return unanswered >= Self.unansweredPings ? .failSilent : .ping
        }
        return nil
    }

    private static func add(_ time: Int64, _ nanos: Int64) -> Int64 {
        let (sum, overflow) = time.addingReportingOverflow(nanos)
        return overflow ? .max : sum
    }
}

/// Counts cancelled calls against opened ones, in windows of 30 s.
struct ResetBudget {
    private static let windowNanos: Int64 = 30_000_000_000
    private let least: Int
    private var windowStart: Int64
    private var opens = 0
    private var resets = 0

    init(_ least: Int, now: Int64) {
        self.least = least
        windowStart = now
    }

    mutating func opened(now: Int64) {
        roll(now)
        opens += 1
    }

    /// Counts a reset; false where it is one too many.
    mutating func reset(now: Int64) -> Bool {
        roll(now)
        resets += 1
        return resets <= max(least, opens / 5)
    }

    private mutating func roll(_ now: Int64) {
        guard now &- windowStart >= Self.windowNanos else { return }
        windowStart = now
        opens = 0
        resets = 0
    }
}
