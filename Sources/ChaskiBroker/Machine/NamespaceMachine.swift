package import ChaskiModel
import DequeModule

/// The broker core of one namespace: topics, producers, subscriptions, leases, verdicts. Pure and
/// deterministic: equal configurations and events give equal effects. Confined to its shard's
/// event loop.
///
/// Life: `init`, `replay` for every entry of the journal, `recovered`, then commands. What a
/// command asks for is checked against the durable state and the tail of proposals, gathered by
/// `takeGroup`, and applied only by `durable`; replay applies the same entries the same way.
package final class NamespaceMachine {
    package let configuration: BrokerConfiguration

    enum Mode {
        case replaying
        case running
        /// Every command is refused with this.
        case stopped(Failure)
    }

    var mode = Mode.replaying
    /// The epoch that tokens carry.
    var epoch: UInt32 = 0
    var random: SplitMix64
    var publishing = PublishingState.allowed
    var directory = Directory()
    var sessions = SessionTable()
    var ages = ProducerTable()
    var dedup = DedupLedger()
    var transactions = TransactionTable()
    var tail = Tail()
    var timers = TimerTable()
    var reads = ReadTable()
    var checkpoint: CheckpointCycle?
    /// The cycle that began last.
    var lastCycle: UInt64 = 0
    /// The time of the last group that is durable.
    var lastDurable = Now(clock: 0, wall: 0)
    /// Subscriptions, and chunks of theirs, that are to be looked at.
    var work = PendingWork()

    package init(configuration: BrokerConfiguration) {
        self.configuration = configuration
        random = SplitMix64(seed: configuration.seed)
    }

    /// Why the journal could not be replayed, or no more can be written; every command is then
    /// refused with it.
    package var replayFailure: Failure? {
        if case .stopped(let failure) = mode { failure } else { nil }
    }
}

/// Topics and subscriptions by id and by name.
struct Directory {
    var topics: [TopicID: TopicState] = [:]
    var topicNames = NameTable<TopicID>()
    var subscriptions: [SubscriptionID: SubscriptionState] = [:]
    var subscriptionNames = NameTable<SubscriptionID>()
    /// Dead letters of all of them.
    var deadLetters = 0
    /// Ids never given before; the tail's proposals included.
    var nextTopic: UInt64 = 1
    var nextSubscription: UInt64 = 1
    /// The last incarnation of names whose topics were deleted.
    var forgotten: [String: ForgottenTopic] = [:]
    /// Names whose creation is on its way.
    var pendingTopics: Set<String> = []
    var pendingSubscriptions: Set<String> = []

    func topic(named name: String) -> TopicState? { topicNames[name].flatMap { topics[$0] } }

    func subscription(named name: String) -> SubscriptionState? {
        subscriptionNames[name].flatMap { subscriptions[$0] }
    }

    var topicsByID: [TopicState] { topics.values.sorted { $0.id < $1.id } }
    var subscriptionsByID: [SubscriptionState] {
        subscriptions.values.sorted { $0.id < $1.id }
    }
}

/// A name whose topic was deleted.
struct ForgottenTopic: Hashable {
    var incarnation: UInt32
    var id: TopicID
}

/// Sessions and consumers.
struct SessionTable {
    var byID: [SessionID: SessionState] = [:]
    var nextOrdinal: UInt32 = 1
    var consumers: [ConsumerID: Holder] = [:]
    /// Holders with hand-outs that the journal does not have yet.
    var unjournaled: [Holder] = []
}

/// Producers of all topics by age.
struct ProducerTable {
    var heap = Heap<ProducerAge>()
    var count = 0
}

/// Proposals that wait for the journal, and those in the group in flight.
struct Tail {
    /// Everything but publishes; goes first.
    var control: Deque<TailItem> = []
    /// Publishes, and what must keep its place among them.
    var publishes: Deque<TailItem> = []
    var queuedBytes = 0
    var inFlight: InFlightGroup?
    /// A group without a batch was refused: no other before this (broker clock).
    var holdUntil: Int64 = .min
    /// A group is wanted only for its time.
    var wantsClock = false
    /// How many of `control` went into groups, less those that came back.
    var controlTaken: UInt64 = 0
    /// The last group took no publish, though some waited: the next one has the first, whatever its
    /// size.
    var publishesWaited = false
    /// When hand-outs that no group took yet are to be written at the latest (broker clock).
    var handoutsDueAt: Int64?

    /// Puts one behind the other publishes, and behind all of `control` that is queued by now.
    mutating func queue(_ item: TailItem) {
        item.behind = controlTaken + UInt64(control.count)
        publishes.append(item)
    }
}

/// What was given to the journal.
struct InFlightGroup {
    var time: Now
    /// Ceilings and hand-outs.
    var extras: [StateEntry] = []
    var items: [TailItem] = []
    /// How many items are of `Tail.control`.
    var controlCount: UInt64 = 0
    /// How many messages it may kill, by subscription and in all.
    var deaths: [SubscriptionID: UInt64] = [:]
    var allDeaths: UInt64 = 0
    var hasSections = false
    var endsCheckpoint = false
}

/// Reads under way.
struct ReadTable {
    var next: UInt64 = 1
    var subscriptions: [UInt64: SubscriptionID] = [:]
    var fetches: [UInt64: Fetch] = [:]
    /// Of messages that are to be forwarded.
    var deaths: [UInt64: SubscriptionID] = [:]
}

/// What an event leaves to be done before it ends.
struct PendingWork {
    /// Subscriptions to deliver to.
    var dirty: [SubscriptionState] = []
    /// Subscriptions whose ceiling is to rise with the next group.
    var ceilings: [SubscriptionState] = []
    /// Subscriptions whose settled messages changed.
    var touched: [SubscriptionState] = []
    /// Subscriptions with retries that are due once that time is on disk.
    var due: [SubscriptionState] = []
    /// Subscriptions with messages that may be able to die now.
    var dying: [SubscriptionState] = []
    /// Topics whose dedup ids are past their window once that time is on disk.
    var expiring: [TopicID] = []
    /// Chunks kept dense for repeated acks, the oldest first.
    var cooling: Deque<CoolingChunk> = []
    /// Payload lengths of the messages that are just being handed out.
    var lengths: [UInt32] = []
}

struct CoolingChunk {
    var subscription: SubscriptionID
    var number: UInt64
}
