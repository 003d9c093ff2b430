import ChaskiDisk
import ChaskiModel

/// The broker clock: the time since boot on top of what the journal last knew. Never goes back.
struct BrokerClock {
    private let system: SystemClock
    private var last: Int64

    /// - Parameters:
    ///   - offset: what to add to the time since boot, from recovery.
    ///   - lastJournaled: the latest value that is on disk; nothing earlier is ever shown again.
    init(offset: Int64, lastJournaled: Int64) {
        system = SystemClock(offset: offset)
        last = lastJournaled
    }

    /// This moment.
    mutating func now() -> Now {
        var now = system.now()
        last = max(last, now.clock)
        now.clock = last
        return now
    }

    /// The machine's boot clock itself.
    func bootNanos() -> Int64 { system.bootNanos() }

    /// How long until the clock shows `moment`, nanoseconds, at least 0.
    mutating func nanosUntil(_ moment: Int64) -> Int64 {
        let (difference, overflow) = moment.subtractingReportingOverflow(now().clock)
        return overflow ? Int64.max : max(0, difference)
    }
}
