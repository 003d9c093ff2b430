/// What a client sent on a connection that it lost may reach the broker after all, behind what it
/// sent since on another: once the run drains, and nothing can come late any more, it says again how
/// things are to be in the end.
struct LateRequests {
    /// Longer than any connection stalls, and any process stands still.
    private static let nanos: Int64 = 45_000_000_000

    private var arePossible = false
    private var isDraining = false
    /// When to say it again; nil where it was said, or need not be.
    private(set) var again: Int64?

    /// A connection was lost with a request under way.
    mutating func connectionLost(now: Int64) {
        arePossible = true
        if isDraining { again = now + LateRequests.nanos }
    }

    mutating func drain(now: Int64) {
        isDraining = true
        if arePossible { again = now + LateRequests.nanos }
    }

    /// Whether it is time to say it again; true once.
    mutating func areOver(now: Int64) -> Bool {
        guard let at = again, now >= at else { return false }
        again = nil
        return true
    }
}
