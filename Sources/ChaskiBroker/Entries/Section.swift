import ChaskiModel

/// A slot as a checkpoint keeps it.
enum WindowPiece: Hashable {
    /// So many messages, as if never looked at.
    case open(UInt64)
    /// So many settled messages that are acked, or dead.
    case acked(UInt64)
    case dead(UInt64)
    /// One unsettled message.
    case message(KeptMessage)
}

struct KeptMessage: Hashable {
    var failed: UInt32
    var returns: UInt32
    /// When its retry is due; nil unless it waits.
    var due: Int64?
    /// Until when its lease was extended by name.
    var extendedUntil: Int64?
    var history = MessageHistory()
    var abandoned: UInt8 = 0
    var suspicion: UInt8 = 0
    /// Why it dies, once it can be forwarded; nil for all others.
    var dying: DeathCause?
}

/// What became of a dead letter, as a checkpoint keeps it.
enum DeadPiece: Hashable {
    case dead(DeadRecord)
    /// It is to be delivered again.
    case revived(Offset, KeptMessage)
}

struct NamespaceSection: Hashable {
    var cycle: UInt64
    var nextTopic: UInt64
    var nextSubscription: UInt64
    var forgotten: [(name: String, topic: ForgottenTopic)]

    static func == (a: Self, b: Self) -> Bool {
        a.cycle == b.cycle && a.nextTopic == b.nextTopic
            && a.nextSubscription == b.nextSubscription
            && a.forgotten.elementsEqual(b.forgotten) { $0.name == $1.name && $0.topic == $1.topic }
    }

    func hash(into hasher: inout Hasher) { hasher.combine(cycle) }
}

struct TopicSection: Hashable {
    var created: TopicCreated
    var nextOffset: Offset
    var lastAppendNanos: Int64
    var releasedEnd: Offset
    var markBytes: UInt64
    /// First offset, end and bytes of each stretch.
    var marks: [ByteMarks.Mark]
}

struct KeptProducer: Hashable {
    var id: ProducerID
    var epoch: UInt32
    var next: UInt64
    var lastUsed: Int64
    var stored: [ProducerState.Stored]
}

struct SubscriptionSection: Hashable {
    var created: SubscriptionCreated
    var settledBelow: Offset
    var ceiling: Offset
    var totals: SubscriptionTotals
    var pause: Pause?
    var breakerSwitch = BreakerSwitch.auto
}

/// A piece of a checkpoint: replaces that piece of the state at its place in the journal.
enum Section: Hashable {
    case namespace(NamespaceSection)
    case topic(TopicSection)
    case producers(TopicID, [KeptProducer])
    case subscription(SubscriptionSection)
    /// The messages from an offset on.
    case window(SubscriptionID, from: Offset, [WindowPiece])
    /// Dead letters, and messages that were dead and are to be delivered again, from an offset to
    /// another.
    case deadLetters(SubscriptionID, Range<Offset>, [DeadPiece])
    /// Keys that dead messages hold; upsert.
    case heldKeys(SubscriptionID, [NamedKey])
    /// Dedup ids of a topic, in order of time.
    case dedupIDs(TopicID, [DedupEntry])
    /// Atomic requests, in order of time.
    case transactions([TransactionTable.Record])
}

/// The first byte of a section; the second is the version, 1.
enum SectionKind: UInt8 {
    case namespace = 1
    case topic = 2
    case producers = 3
    case subscription = 4
    case window = 5
    case deadLetters = 6
    case heldKeys = 10
    case dedupIDs = 40
    case transactions = 41
}
