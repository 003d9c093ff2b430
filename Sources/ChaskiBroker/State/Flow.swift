import ChaskiModel

/// What holds a whole subscription back: a pause, a breaker, a rate limit.
struct Flow {
    // Durable
    var pause: Pause?
    var breakerSwitch = BreakerSwitch.auto
    // Of this process only
    var breaker = CircuitBreaker()
    var bucket = TokenBucket()
    /// Messages that may still be handed out in this round of serving; `max` where nothing limits.
    private(set) var allowance: UInt64 = .max
    /// It is paused, or its breaker lets nothing out.
    private(set) var isShut = false
    /// A token is taken for each message handed out.
    private var spendsTokens = false
    /// When a timer is set for the gate (broker clock).
    var timer: Int64?

    /// Begins a round of serving.
    mutating func allow(_ messages: UInt64, isShut: Bool, spendsTokens: Bool) {
        precondition(!isShut || messages == 0, "shut, and something may go")
        allowance = messages
        self.isShut = isShut
        self.spendsTokens = spendsTokens
    }

    /// Messages from `first` on are handed out: `allowance` had room for them.
    @inline(__always)
    mutating func handedOut(_ first: Offset, _ count: UInt64) {
        if allowance != .max { spend(first, count) }
    }

    private mutating func spend(_ first: Offset, _ count: UInt64) {
        precondition(count <= allowance, "handed out past the gate")
        allowance -= count
        if spendsTokens { bucket.take(count) }
        if case .halfOpen = breaker.state { breaker.probe = first }
    }
}

/// Nothing is handed out.
struct Pause: Hashable {
    /// Nanoseconds of the broker clock; nil until somebody resumes it.
    var until: Int64?
    /// When it began.
    var sinceClock: Int64 = 0
    var sinceWall: Int64 = 0

    func isInForce(_ clock: Int64) -> Bool { until.map { clock < $0 } ?? true }
}

/// Messages per second, exactly: at most `rate * t + rate` in any time t of the broker clock.
///
/// Counts in billionths of a message, so that a nanosecond brings `rate` of them and nothing is
/// ever rounded. Begins empty, so that a restart hands out no second burst.
struct TokenBucket: Hashable {
    static let message: UInt64 = 1_000_000_000
    /// The most messages per second that can be asked for; what it holds then fits.
    static let maximumRate: UInt32 = 10_000_000

    private(set) var level: UInt64 = 0
    /// Up to when it was filled (broker clock); nil before the first time.
    private(set) var filledAt: Int64?

    /// Whole messages that it has.
    var messages: UInt64 { level / TokenBucket.message }

    /// What came since the last time, at most a second's worth in all.
    mutating func fill(_ rate: UInt32, _ clock: Int64) {
        precondition(rate > 0 && rate <= TokenBucket.maximumRate, "a rate is checked before")
        let most = UInt64(rate) * TokenBucket.message
        defer { filledAt = max(clock, filledAt ?? clock) }
        guard let before = filledAt, clock > before else {
            level = min(level, most)
            return
        }
        let elapsed = UInt64(bitPattern: clock &- before)
        // A second fills it, whatever was in it.
        guard elapsed < TokenBucket.message else {
            level = most
            return
        }
        level = min(most, level + elapsed * UInt64(rate))
    }

    mutating func take(_ messages: UInt64) {
        precondition(messages <= self.messages, "more were handed out than the rate allows")
        level -= messages * TokenBucket.message
    }

    /// When so many whole messages will be in it, at most a second's worth (broker clock).
    func time(of messages: UInt64, _ rate: UInt32, _ clock: Int64) -> Int64 {
        let wanted = min(messages, UInt64(rate)) * TokenBucket.message
        guard wanted > level else { return clock }
        let nanos = (wanted - level + UInt64(rate) - 1) / UInt64(rate)
        return (filledAt ?? clock).addingSaturating(Int64(clamping: nanos))
    }
}

extension SubscriptionState {
    /// Verdicts on messages of a lease group, for the breaker; before they leave it.
    @inline(__always)
    func noteVerdict(acked: UInt64 = 0, failed: UInt64 = 0, group: UInt32) {
        guard settings.breaker != nil else { return }
        let round = leases.groups[Int(group)].round
        flow.breaker.note(acked: acked, failed: failed, round: round)
    }

    /// What a checkpoint kept.
    func restoreFlow(_ section: SubscriptionSection) {
        flow.pause = section.pause
        flow.breakerSwitch = section.breakerSwitch
    }
}
