import ChaskiModel
import DequeModule

/// A consumer session, across its connections.
final class SessionState {
    let id: SessionID
    /// Short for it within this process.
    let ordinal: UInt32
    var holders: [SubscriptionID: Holder] = [:]
    /// Broker clock, nanoseconds.
    var lastSeen: Int64
    /// One of its holders that is to have, or has, nothing but suspects: nothing else is handed to
    /// the session meanwhile.
    var apart: Holder?
    /// Messages that lapsed since it was last heard.
    private var lapsed: UInt32 = 0

    init(id: SessionID, ordinal: UInt32, lastSeen: Int64) {
        self.id = id
        self.ordinal = ordinal
        self.lastSeen = lastSeen
    }

    /// Messages that it holds, of any subscription.
    var held: UInt32 { holders.values.reduce(0) { $0 &+ $1.messagesOut } }

    /// Messages that it held when it was last heard, and has not given a verdict on.
    var heldTogether: UInt32 { max(1, held &+ lapsed) }

    func noteLapse(of ranges: [EntryRange]) {
        lapsed &+= ranges.reduce(0) { $0 &+ $1.count }
    }

    /// It was heard.
    func noteSeen(_ clock: Int64) {
        lastSeen = max(lastSeen, clock)
        lapsed = 0
    }
}

/// What one session holds of one subscription; outlives its connections.
final class Holder {
    unowned let session: SessionState
    unowned let subscription: SubscriptionState
    /// Its place in the subscription's table.
    let index: Int32
    /// The consumer on the present connection; nil while disconnected.
    var consumer: ConsumerID?
    /// Its leases ran out without a sign of life from the consumer, which may be frozen, or cut off
    /// without anybody knowing: nothing is handed to it while there is another, until it says
    /// something.
    var isSilent = false
    /// What it holds are suspects, and nothing else.
    var isProbing = false
    /// What its consumer was told of messages that cannot be read.
    var toldStall: Failure?
    /// The lease that its consumer was told, after which it paces its heartbeats.
    var toldLeaseNanos: Int64 = 0
    var limit = ConsumerLimit(messages: 0, bytes: 0)
    /// Messages and payload bytes handed out without a verdict.
    var messagesOut: UInt32 = 0
    var bytesOut: UInt64 = 0
    /// Claimed messages whose length is not known yet.
    var unsizedOut: UInt32 = 0
    /// No lease of a connected session ends before; heartbeats raise it. Broker clock.
    var leaseFloor: Int64 = .min
    /// While disconnected: until when its leases wait for it. Broker clock.
    var graceUntil: Int64 = .max
    /// Its lease groups, ascending by deadline.
    var groups: Deque<GroupReference> = []
    /// Extensions on their way to the disk: meanwhile nothing of it lapses.
    var extendsInFlight = 0
    /// Hand-outs to be noted in the journal with the next group.
    var unjournaled: [EntryRange] = []
    /// When a timer is set for it.
    var timer: Int64?
    var isClosed = false

    init(session: SessionState, subscription: SubscriptionState, index: Int32) {
        self.session = session
        self.subscription = subscription
        self.index = index
    }

    /// How long its leases last: a shorter one counts once its consumer was told.
    var leaseNanos: Int64 { max(toldLeaseNanos, subscription.settings.leaseNanos) }

    /// Whether it may get one more message of this length.
    @inline(__always)
    func hasRoom(bytes: UInt64) -> Bool {
        if session.apart != nil { return false }
        if messagesOut == 0 { return limit.messages > 0 }
        return messagesOut < limit.messages && bytesOut &+ bytes <= limit.bytes && unsizedOut == 0
    }

    var isEligible: Bool { consumer != nil && hasRoom(bytes: 0) }
}

/// Names a lease group; one whose generation is another is gone.
struct GroupReference {
    var index: UInt32
    var generation: UInt32
}

/// Messages handed out to one session at about one time.
struct LeaseGroup {
    var holder: Int32
    var generation: UInt32 = 0
    /// Messages of it that are still out.
    var live: Int32 = 0
    /// The oldest epoch whose tokens name its hand-outs.
    var epoch: UInt32 = 0
    /// Broker clock. Hand-outs shortly after the first share the group and raise its deadline.
    var deadline: Int64 = 0
    var firstDeadline: Int64 = 0
    /// The breaker's round in which its messages were handed out.
    var round: UInt32 = 0
    /// Offsets that may belong to it; the slot says whether one does.
    var runs: [Range<Offset>] = []
}
