import ChaskiModel

/// A run of offsets with the hand-out number they had.
struct EntryRange: Hashable {
    var first: Offset
    var count: UInt32
    var handout: UInt32

    /// Does not overflow: whoever makes or decodes one checks.
    var end: Offset { first + Offset(count) }
}

struct TopicCreated: Hashable {
    var id: TopicID
    var name: String
    var incarnation: UInt32
    var settings: TopicSettings
    var createdWallNanos: Int64
}

struct SubscriptionCreated: Hashable {
    var id: SubscriptionID
    var name: String
    var topic: TopicID
    var settings: SubscriptionSettings
    /// Where it begins, resolved.
    var startOffset: Offset
    var createdWallNanos: Int64
}

/// Stands before its batch in the same group; without one where all members are duplicates.
struct Published: Hashable {
    var topic: TopicID
    var producer: ProducerID
    var epoch: UInt32
    var baseSequence: UInt64
    /// Sequences that it takes.
    var count: UInt32
    /// Where the members that are no duplicates begin.
    var baseOffset: Offset
    var appendTimeNanos: Int64
    /// Members that are messages stored before, ascending by index; below `count`.
    var duplicates: [DuplicateMember] = []

    /// Members that are in the log.
    var storedCount: UInt32 { count - UInt32(duplicates.count) }
}

/// A producer opened with a new epoch, or skipped sequences.
struct ProducerAdvanced: Hashable {
    var topic: TopicID
    var producer: ProducerID
    var epoch: UInt32
    /// The sequence that comes next from now on; nil to leave it.
    var next: UInt64?
}

struct HandedOut: Hashable {
    var subscription: SubscriptionID
    var session: SessionID
    var ranges: [EntryRange]
}

/// A verdict.
struct Settled: Hashable {
    var subscription: SubscriptionID
    var session: SessionID
    var verb: Verb
    var ranges: [EntryRange]
    /// `retry`: the delay given, nanoseconds; `extend`: the new lease.
    var delayNanos: Int64?
    var reason = ""
    var code = ""
    /// Where the jitter of these retries comes from.
    var seed: UInt64 = 0
    /// Whether the dead store has room for all of them; without, they wait.
    var mayDie = true
    /// `retry` of a half-open breaker's probe: spends no attempt.
    var isProbe = false
}

/// A message and what orders it.
struct NamedKey: Hashable {
    var offset: Offset
    var key: UInt64
}

/// Why messages came back without a verdict.
enum ReturnCause: UInt8 {
    /// Their leases ran out.
    case leaseExpired = 1
    /// Their session did not come back in time.
    case sessionLapsed = 2
    /// Their session came back and did not claim them.
    case notClaimed = 3
    /// Their consumer ended in good order.
    case consumerClosed = 4
    /// Nobody claimed them after a restart.
    case restart = 5
    /// An earlier message of their key came back.
    case superseded = 6
}

struct Returned: Hashable {
    var subscription: SubscriptionID
    /// 0 where it is not known.
    var session: SessionID
    var cause: ReturnCause
    /// Where their holder vanished: how many messages it held, these included; else 0.
    var together: UInt32 = 0
    /// Whether the dead store has room, should one of them die.
    var mayDie = true
    var ranges: [EntryRange]
}

/// Pausing, or resuming, a subscription.
enum PauseChange: Hashable {
    /// Until that time of the broker clock; nil until it is resumed.
    case pause(until: Int64?)
    case resume
}

/// A change of durable state. The page StateEntries describes the encoding.
enum StateEntry: Hashable {
    case topicCreated(TopicCreated)
    case topicDeleted(TopicID)
    case subscriptionCreated(SubscriptionCreated)
    /// With the end of what its topic had released by then.
    case subscriptionDeleted(SubscriptionID, releasedEnd: Offset)
    case published(Published)
    case producerAdvanced(ProducerAdvanced)
    case producerForgotten(TopicID, ProducerID)
    /// Nothing at or above it is handed out.
    case ceilingRaised(SubscriptionID, Offset)
    case handedOut(HandedOut)
    case settled(Settled)
    case returned(Returned)
    /// The keys of messages that the entry before may have killed: they are held.
    case keysNamed(SubscriptionID, [NamedKey])
    case subscriptionPaused(SubscriptionID, PauseChange)
    case breakerSwitched(SubscriptionID, BreakerSwitch)
    /// An atomic request: its batches and verdicts follow in the same group.
    case atomic(AtomicApplied)
    /// Nothing but its group's time: what is due by then may be acted on.
    case clock
    /// All settings as they are from now on.
    case subscriptionUpdated(SubscriptionID, SubscriptionSettings)
    case redriven(Redriven)
    case purged(Purged)
    /// Stands before the edited message's batch in the same group.
    case redrivenEdited(RedrivenEdited)
    /// Where copies were forwarded, stands before their batch in the same group.
    case died(Died)
}
