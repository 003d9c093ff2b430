/// When each message of a run at a given rate is due. Latencies are measured from these moments,
/// so that a stall counts for every message that should have been sent during it (coordinated
/// omission).
package struct Pacer: Sendable {
    /// Nanoseconds of `Clock` at which message 0 is due.
    package let startNanos: Int64
    private let nanosPerMessage: Double

    /// - Parameter rate: messages per second, above 0.
    package init(startNanos: Int64, rate: Double) {
        precondition(rate > 0, "a rate is above 0")
        self.startNanos = startNanos
        nanosPerMessage = 1e9 / rate
    }

    /// When message `index` is due.
    package func due(_ index: UInt64) -> Int64 {
        let after = (Double(index) * nanosPerMessage).rounded()
        return after < 9e18 ? startNanos &+ Int64(after) : .max
    }

    /// How many messages are due at `now`.
    package func dueCount(at now: Int64) -> UInt64 {
        guard now >= startNanos else { return 0 }
        return UInt64(Double(now - startNanos) / nanosPerMessage) + 1
    }

    /// Sleeps until message `index` is due.
    package func wait(for index: UInt64) async throws {
        let ahead = due(index) - Clock.nanos()
        if ahead > 0 { try await Task.sleep(nanoseconds: UInt64(ahead)) }
    }
}
