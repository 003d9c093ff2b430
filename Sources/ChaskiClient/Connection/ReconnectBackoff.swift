/// How long to wait before the next attempt to connect: exponential, the upper half of each step
/// drawn at random so that clients cut off together do not come back together.
package struct ReconnectBackoff: Hashable, Sendable {
    /// The first step and the largest, nanoseconds; at least 1 ms, the largest not below the first.
    package let minimumNanos: Int64
    package let maximumNanos: Int64
    /// Attempts that failed since the last success.
    package private(set) var failures = 0

    package init(minimumNanos: Int64, maximumNanos: Int64) {
        let floor: Int64 = 1_000_000
        self.minimumNanos = max(floor, minimumNanos)
        self.maximumNanos = max(self.minimumNanos, maximumNanos)
    }

    /// An attempt failed: how many nanoseconds to wait before the next, between half of the
    /// current step and all of it.
    package mutating func attemptFailed(using random: inout some RandomNumberGenerator) -> Int64 {
        var step = minimumNanos
        for _ in 0..<failures where step < maximumNanos {
            let (doubled, overflow) = step.multipliedReportingOverflow(by: 2)
            step = overflow ? maximumNanos : min(maximumNanos, doubled)
        }
        // Past this many doublings the step is at its maximum whatever the minimum was.
        failures = min(failures + 1, 64)
        assert(step >= minimumNanos && step <= maximumNanos)
        return Int64.random(in: (step / 2)...step, using: &random)
    }

    /// A connection was welcomed: the next wait begins at the minimum again.
    package mutating func connected() { failures = 0 }
}
