/// What a timer is for.
enum TimerKind: UInt8 {
    /// Nothing but an event: something waits for a time.
    case wake = 0
    /// Leases of one holder run out.
    case lease
    /// A subscription's next retry is due.
    case retry
    /// A failed read is to be tried again.
    case read
    /// After a restart, nobody came for what may have been handed out before.
    case restartGrace
    /// Hand-outs are to be written.
    case handouts
    /// The newest dedup id of a topic is past its window.
    case dedup
    /// A pause ends, a breaker half-opens, a rate limit has tokens.
    case gate = 8
    /// The newest atomic request is past its window.
    case transactions = 9
    /// The oldest dead letter of a subscription has been kept for long enough.
    case deadLetters = 10
    /// Messages that could not die are to be looked at again.
    case deaths = 11
}

struct Timer: Comparable {
    var at: Int64
    var kind: TimerKind
    var subscription: UInt64 = 0
    var holder: Int32 = 0
    /// The holder's session, so that its successor's timers are not mistaken for its own.
    var session: UInt32 = 0

    init(
        at: Int64, kind: TimerKind, subscription: UInt64 = 0, holder: Int32 = 0, session: UInt32 = 0
    ) {
        self.at = at
        self.kind = kind
        self.subscription = subscription
        self.holder = holder
        self.session = session
    }

    static func < (a: Self, b: Self) -> Bool {
        if a.at != b.at { return a.at < b.at }
        if a.kind != b.kind { return a.kind.rawValue < b.kind.rawValue }
        if a.subscription != b.subscription { return a.subscription < b.subscription }
        return a.holder < b.holder
    }
}

/// All timers of a namespace: one per object, never one per message.
struct TimerTable {
    var heap = Heap<Timer>()
    /// No lease is acted on before: the process was paused (broker clock).
    var guardUntil: Int64 = .min
    /// When the grace after a restart ends; nil when it has.
    var restartGraceUntil: Int64?
}
