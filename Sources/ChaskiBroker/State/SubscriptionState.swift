import ChaskiModel

/// When a waiting message is due.
struct RetryDue: Comparable {
    var due: Int64
    var offset: Offset

    static func < (a: Self, b: Self) -> Bool {
        a.due != b.due ? a.due < b.due : a.offset < b.offset
    }
}

/// One incarnation of a subscription.
final class SubscriptionState {
    /// With the settings as they are now.
    private(set) var created: SubscriptionCreated
    unowned let topic: TopicState
    let window: Window
    /// Messages of the window by what they wait for; the settled are not counted.
    var counts = WindowCounts()
    var totals = SubscriptionTotals()
    var dead = DeadStore()
    /// Messages that are to die and wait for that.
    var deaths = Deaths()
    /// Of unsettled messages with something to tell; their slots say so.
    var histories = PagedStore<HistoryRecord>()
    var ceiling: Ceiling
    /// Until when leases extended by name last, by offset. Broker clock.
    var extensions: [Offset: Int64] = [:]
    var leases = LeaseTable()
    /// Claimed messages whose length must be read. May hold some that need it no more.
    var unsized = Heap<Offset>()
    /// Offsets that must be read to be handed out again. May hold some that need it no more.
    var wanted = Heap<Offset>()
    /// Offsets that came back from one who vanished. May hold some that are suspected no more.
    var suspects = Heap<Offset>()
    /// May hold some that do not wait any more.
    var retries = Heap<RetryDue>()
    var supply = Supply()
    var activity = Activity()
    var flow = Flow()
    /// Nil where messages are handed out whatever their key.
    var order: KeyOrder?
    /// Dead messages that hold their key, with the key.
    let heldKeys = HeldKeys()

    var id: SubscriptionID { created.id }
    var settings: SubscriptionSettings { created.settings }

    /// The settings after all updates that are on their way.
    var settingsToCome: SubscriptionSettings { activity.proposedSettings ?? settings }

    func update(_ settings: SubscriptionSettings) { created.settings = settings }

    init(_ created: SubscriptionCreated, topic: TopicState) {
        self.created = created
        self.topic = topic
        window = Window(start: created.startOffset)
        if created.settings.order != nil { order = KeyOrder(scanned: created.startOffset) }
        ceiling = Ceiling(value: created.startOffset)
    }

    /// From a checkpoint: `settledBelow` may lie above the start.
    init(_ created: SubscriptionCreated, topic: TopicState, settledBelow: Offset) {
        self.created = created
        self.topic = topic
        window = Window(start: settledBelow)
        if created.settings.order != nil { order = KeyOrder(scanned: settledBelow) }
        ceiling = Ceiling(value: settledBelow)
    }

    /// The next offset to be looked at.
    var position: Offset { order?.scanned ?? window.end }

    /// Whether no more messages may be tracked.
    var isWindowFull: Bool {
        counts.tracked >= UInt64(settings.maximumUnsettled)
            || window.end - window.settledBelow >= Window.maximumSpan
    }

    /// Messages of the topic neither settled nor dead.
    var backlog: UInt64 {
        counts.tracked + (topic.nextOffset > window.end ? topic.nextOffset - window.end : 0)
    }

    /// Whether all of a chunk's messages are acked.
    func isReleasable(chunk number: UInt64) -> Bool {
        guard window.isClean(number) else { return false }
        let first = number << Window.chunkBits
        return !pins(first..<first + UInt64(Window.chunkSlots))
    }

    /// Whether a dead letter, or one that is to be delivered again, is in a range.
    func pins(_ range: Range<Offset>) -> Bool {
        nextPin(from: range.lowerBound).map { $0 < range.upperBound } ?? false
    }

    /// The first dead letter, or one that is to be delivered again, from an offset on.
    func nextPin(from offset: Offset) -> Offset? {
        let dead = dead.first(from: offset)?.offset
        guard let again = window.nextRevived(from: offset) else { return dead }
        return min(again, dead ?? .max)
    }

    /// Whether its dead store takes no more.
    var isDeadStoreFull: Bool { dead.count >= Int(settings.deadLetters.maximum) }
}

/// How many messages of a window are in each unsettled state.
struct WindowCounts: Hashable {
    var leased: UInt64 = 0
    var returned: UInt64 = 0
    var waiting: UInt64 = 0
    var unresolved: UInt64 = 0
    var passed: UInt64 = 0
    var dying: UInt64 = 0

    var tracked: UInt64 { leased + returned + waiting + unresolved + passed + dying }

    /// A message leaves this state.
    @inline(__always)
    mutating func leave(_ state: SlotState) {
        switch state {
        case .leased: leased -= 1
        case .returned: returned -= 1
        case .waiting: waiting -= 1
        case .unresolved: unresolved -= 1
        case .passed: passed -= 1
        case .dying: dying -= 1
        case .unseen, .acked, .dead: break
        }
    }

    /// A message enters this state.
    @inline(__always)
    mutating func enter(_ state: SlotState) {
        switch state {
        case .leased: leased += 1
        case .returned: returned += 1
        case .waiting: waiting += 1
        case .unresolved: unresolved += 1
        case .passed: passed += 1
        case .dying: dying += 1
        case .unseen, .acked, .dead: break
        }
    }
}

/// Counters since a subscription was created.
struct SubscriptionTotals: Hashable {
    var acked: UInt64 = 0
    var handedOut: UInt64 = 0
    var failed: UInt64 = 0
    /// Dead letters that were given to consumers again, purged, and removed by age.
    var redriven: UInt64 = 0
    var purged: UInt64 = 0
    var expired: UInt64 = 0
    /// Messages of which a copy was forwarded as they died.
    var forwarded: UInt64 = 0
}

/// The hand-out ceiling: raised durably ahead of the cursor, so that after a crash it is known what
/// may have been handed out.
struct Ceiling {
    /// Durable.
    var value: Offset
    /// On its way to the disk; equal to `value` when nothing is.
    var proposed: Offset
    var step: UInt64 = 0
    /// Broker clock at the last proposal.
    var raisedAt: Int64 = .min

    init(value: Offset) {
        self.value = value
        proposed = value
    }
}

/// What a machine notes about a subscription between events.
struct Activity {
    /// In the machine's list of subscriptions to deliver to.
    var isDirty = false
    /// In the machine's list of those whose ceiling is to rise.
    var wantsCeiling = false
    /// Consumers connected.
    var consumers = 0
    /// Holders with a consumer, in the order in which they came.
    private(set) var connected: [Holder] = []
    /// Those of them that are served, in turn, and the next: all but the silent ones, or, where
    /// all are silent, all.
    private(set) var rotation: [Holder] = []
    var turn = 0
    /// The holder that gets nothing until it holds nothing, so that it can have suspects.
    var reserved: Holder?
    /// Deletion is on its way.
    var isDeleting = false
    /// The settings after all updates that are on their way; nil when none is.
    var proposedSettings: SubscriptionSettings?
    var updatesInFlight = 0
    /// Timers set for retries and for a new read.
    var retryTimer: Int64?
    var readTimer: Int64?
    /// Timer set for the oldest dead letter.
    var deadTimer: Int64?

    mutating func connect(_ holder: Holder) {
        connected.append(holder)
        arrange()
    }

    mutating func disconnect(_ holder: Holder) {
        connected.removeAll { $0 === holder }
        arrange()
    }

    /// To be called when a holder fell silent, or is silent no more.
    mutating func arrange() {
        rotation = connected.filter { !$0.isSilent }
        if rotation.isEmpty { rotation = connected }
    }
}
