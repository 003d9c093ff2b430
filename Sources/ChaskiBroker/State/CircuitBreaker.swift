import ChaskiModel

/// The state of a subscription's breaker in this process: after a restart it is closed and has seen
/// nothing, so that a cause that is gone holds nothing back; one that is not costs the window's
/// minimum of verdicts once more.
struct CircuitBreaker {
    enum State: Hashable {
        case closed
        /// Nothing goes out before `until` (broker clock).
        case open(since: Int64, until: Int64)
        /// One message at a time goes out.
        case halfOpen(since: Int64)
    }

    private(set) var state = State.closed
    private(set) var window = VerdictWindow()
    /// Verdicts count only on what was handed out in this round: opening and half-opening begin
    /// a new one.
    private(set) var round: UInt32 = 0
    /// The message that is out while it is half-open.
    var probe: Offset?
    /// The verdicts that opened it; none where a probe did.
    private(set) var openedBy = VerdictCounts()
    /// Verdicts of this round that were not judged yet.
    private(set) var tallied = VerdictCounts()

    /// Verdicts on hand-outs of `round`.
    mutating func note(acked: UInt64 = 0, failed: UInt64 = 0, round: UInt32) {
        guard round == self.round else { return }
        tallied.acked &+= acked
        tallied.failed &+= failed
    }

    /// A message is out no more.
    mutating func left(_ offset: Offset) {
        if probe == offset { probe = nil }
    }

    /// Changes the state by the verdicts noted since the last time.
    mutating func judge(_ policy: BreakerPolicy, _ clock: Int64) {
        let verdicts = tallied
        tallied = VerdictCounts()
        guard verdicts != VerdictCounts() else { return }
        switch state {
        case .open: break
        case .halfOpen:
            if verdicts.failed > 0 {
                openedBy = VerdictCounts()
                open(policy, clock)
            } else {
                close()
            }
        case .closed:
            window.add(verdicts, policy.windowNanos, clock)
            // Acks alone never open it.
            guard verdicts.failed > 0 else { break }
            let counts = window.counts(policy.windowNanos, clock)
            if counts.opens(policy) {
                openedBy = counts
                open(policy, clock)
            }
        }
    }

    /// Forgets what it has seen: closed. Also what is out now counts for it no more.
    mutating func reset() {
        close()
        round &+= 1
        tallied = VerdictCounts()
    }

    private mutating func close() {
        state = .closed
        window = VerdictWindow()
        openedBy = VerdictCounts()
        probe = nil
    }

    private mutating func open(_ policy: BreakerPolicy, _ clock: Int64) {
        state = .open(since: clock, until: clock.addingSaturating(policy.openNanos))
        window = VerdictWindow()
        round &+= 1
        probe = nil
    }

    /// It was open for long enough: the next message is a probe.
    mutating func halfOpen(_ clock: Int64) {
        state = .halfOpen(since: clock)
        round &+= 1
        probe = nil
    }
}

/// Acks and failures.
struct VerdictCounts: Hashable {
    var acked: UInt64 = 0
    var failed: UInt64 = 0

    var total: UInt64 { acked &+ failed }

    /// The share of failures in thousandths.
    var failureThousandths: UInt32 {
        guard total > 0 else { return 0 }
        let share = failed.multipliedFullWidth(by: 1_000)
        return UInt32(clamping: total.dividingFullWidth(share).quotient)
    }

    func opens(_ policy: BreakerPolicy) -> Bool {
        total >= UInt64(policy.minimumVerdicts)
            && failureThousandths >= policy.failureThousandths
    }
}

/// The verdicts of a sliding window, in ten parts: the oldest goes as a whole.
struct VerdictWindow {
    static let parts: Int64 = 10

    private struct Part {
        /// The clock at its beginning over the part's length.
        var number: Int64
        var counts: VerdictCounts
    }

    /// Ascending by number, at most ten.
    private var parts: [Part] = []

    private static func number(_ windowNanos: Int64, _ clock: Int64) -> Int64 {
        clock / max(1, windowNanos / parts)
    }

    mutating func add(_ verdicts: VerdictCounts, _ windowNanos: Int64, _ clock: Int64) {
        let number = VerdictWindow.number(windowNanos, clock)
        parts.removeAll { $0.number <= number - VerdictWindow.parts }
        if let last = parts.last, last.number >= number {
            parts[parts.count - 1].counts.acked &+= verdicts.acked
            parts[parts.count - 1].counts.failed &+= verdicts.failed
        } else {
            parts.append(Part(number: number, counts: verdicts))
        }
        assert(parts.count <= Int(VerdictWindow.parts), "a window has ten parts")
    }

    /// What lies within the window at `clock`.
    func counts(_ windowNanos: Int64, _ clock: Int64) -> VerdictCounts {
        let number = VerdictWindow.number(windowNanos, clock)
        var sum = VerdictCounts()
        for part in parts where part.number > number - VerdictWindow.parts {
            sum.acked &+= part.counts.acked
            sum.failed &+= part.counts.failed
        }
        return sum
    }
}
