/// Where one message stands for one subscription.
enum SlotState: UInt8 {
    /// Not looked at (only while the journal is replayed, and behind the cursor).
    case unseen = 0
    /// Handed out. `a`: lease group; `b`: payload bytes that count against the consumer.
    case leased = 1
    /// Was handed out before, and is to be handed out again.
    case returned = 2
    /// Waits for its retry; `due` says until when.
    case waiting = 3
    /// After a restart: a session that has not come back may hold it.
    case unresolved = 4
    /// Settled by an ack. `a`: ordinal of the session; `b`: when, in seconds of the broker clock.
    case acked = 5
    /// Settled by death; the dead store has the rest.
    case dead = 6
    /// Looked at, and behind other messages of its key; never handed out.
    case passed = 7
    /// Failed for good, and not dead yet: it waits until it can be forwarded. The subscription's
    /// table has why it dies.
    case dying = 8
}

/// One message of a subscription's window. Fixed size, no references.
struct Slot {
    var state: SlotState = .unseen
    var flags: UInt8 = 0
    /// How often whoever held it alone vanished.
    var abandoned: UInt8 = 0
    /// It was held by one who vanished: with how many others it may be handed out (`Suspicion`);
    /// 0 with any number.
    var suspicion: UInt8 = 0
    /// Attempts spent.
    var failed: UInt32 = 0
    /// How often it came back from a hand-out; the next hand-out has this number plus one.
    var returns: UInt32 = 0
    var a: UInt32 = 0
    var b: UInt32 = 0

    /// A verdict, or a return, is on its way to the disk.
    static let inFlight: UInt8 = 1
    /// That verdict is an ack.
    static let ackInFlight: UInt8 = 2
    /// Its lease was extended by name; the subscription's table has until when.
    static let extended: UInt8 = 4
    /// The session that came back says that it holds it (only while its claims are taken).
    static let claimed: UInt8 = 8
    /// Its payload's length is not known yet (claimed after a restart).
    static let unsized: UInt8 = 16
    /// It is on its way back without a verdict: a token of it is stale.
    static let returning: UInt8 = 32
    /// The subscription's table has its history.
    static let historied: UInt8 = 64
    /// An earlier one of its key came back while the verdict was on its way: should an atomic request
    /// with that verdict be refused, this one comes back too.
    static let overtaken: UInt8 = 128

    @inline(__always)
    func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

    @inline(__always)
    var isSettled: Bool { state == .acked || state == .dead }

    @inline(__always)
    mutating func settle(as settled: SlotState, a: UInt32, b: UInt32) {
        state = settled
        flags = 0
        self.a = a
        self.b = b
    }

    /// The number that its present hand-out has, or its next one will have.
    @inline(__always)
    var handout: UInt32 { returns == .max ? returns : returns + 1 }

    /// When a waiting message is due, nanoseconds of the broker clock.
    var due: Int64 {
        get { Int64(bitPattern: UInt64(a) | UInt64(b) << 32) }
        set {
            let bits = UInt64(bitPattern: newValue)
            a = UInt32(truncatingIfNeeded: bits)
            b = UInt32(truncatingIfNeeded: bits >> 32)
        }
    }

    /// Whether it is as if it had never been looked at, so that nothing of it need be kept.
    var isDefault: Bool {
        !isSettled && state != .waiting && state != .dying && failed == 0 && returns == 0
            && !has(Slot.extended)
            && abandoned == 0 && suspicion == 0 && !has(Slot.historied)
    }
}
