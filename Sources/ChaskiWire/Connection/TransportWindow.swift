/// Bytes that may still be sent on a stream or a connection. What a unit in progress will need is
/// reserved when it begins, so that it never stalls half-way.
struct SendWindow {
    /// A window never passes this: the sum of two still fits 64 bits.
    static let maximumBytes = Int(UInt32.max)

    /// Bytes that may be sent.
    private(set) var available: Int
    /// How much of that belongs to units in progress.
    private(set) var reserved = 0

    init(_ bytes: Int) {
        precondition(bytes >= 0 && bytes <= Self.maximumBytes)
        available = bytes
    }

    /// Whether a unit of `bytes` may begin, leaving `reserve` to others.
    func covers(_ bytes: Int, leaving reserve: Int = 0) -> Bool {
        available - reserved - reserve >= bytes
    }

    mutating func reserve(_ bytes: Int) {
        reserved += bytes
        precondition(reserved <= available, "a unit begins only where the window covers it")
    }

    /// Reserved bytes were sent.
    mutating func sent(_ bytes: Int) {
        precondition(bytes >= 0 && bytes <= reserved && bytes <= available)
        reserved -= bytes
        available -= bytes
    }

    /// A unit was given up: what it did not send is free again.
    mutating func unreserve(_ bytes: Int) {
        precondition(bytes >= 0 && bytes <= reserved)
        reserved -= bytes
    }

    /// The peer refills; false where the window would pass its maximum.
    mutating func refill(_ increment: UInt64) -> Bool {
        guard let bytes = Int(exactly: increment), bytes <= Self.maximumBytes - available else {
            return false
        }
        available += bytes
        return true
    }
}

/// Bytes that the peer may still send. Refills in lumps, as the application consumes.
struct ReceiveWindow {
    private let capacity: Int
    /// What the peer may send without another refill.
    private(set) var granted: Int
    /// Received and not yet consumed.
    private(set) var held = 0
    /// Consumed and not yet granted again.
    private var owed = 0

    init(_ bytes: Int) {
        precondition(bytes > 0)
        capacity = bytes
        granted = bytes
    }

    /// Counts received bytes; false where the peer was not allowed to send so many.
    mutating func received(_ bytes: Int) -> Bool {
        guard bytes <= granted else { return false }
        granted -= bytes
        held += bytes
        assert(granted + held + owed == capacity, "bytes of a window are conserved")
        return true
    }

    /// The application is done with bytes; returns what to grant now, 0 while it is little.
    mutating func consumed(_ bytes: Int) -> Int {
        precondition(bytes >= 0 && bytes <= held, "more consumed than received")
        held -= bytes
        owed += bytes
        guard owed > 0, owed >= capacity / 4 else { return 0 }
        defer { owed = 0 }
        granted += owed
        return owed
    }
}
