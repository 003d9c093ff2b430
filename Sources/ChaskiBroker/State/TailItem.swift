import ChaskiModel

/// A batch on its way to the disk.
struct PublishWork {
    var topic: TopicID
    var producer: ProducerID
    var epoch: UInt32
    var baseSequence: UInt64
    var count: UInt32
    /// Empty once it is in a group.
    var batch: Bytes
    /// Length of the batch.
    var bytes: Int
}

/// What is to be written for an item of the tail.
enum TailWork {
    case publish(PublishWork)
    case atomic(AtomicWork)
    case letters(LetterWork)
    /// A producer's new epoch, or a skip.
    case advance(ProducerAdvanced)
    case entry(StateEntry)
    /// The start is resolved when its group is gathered.
    case createSubscription(SubscriptionCreated)
    case deleteSubscription(SubscriptionID)
    /// Nothing: an answer that waits until what went before is durable.
    case barrier
}

extension TailWork {
    /// Whether it may give up messages when it is durable.
    var mayRelease: Bool {
        switch self {
        case .entry, .createSubscription, .deleteSubscription: true
        case .publish, .atomic, .letters, .advance, .barrier: false
        }
    }

    /// Whether what it writes down depends on what was given up before.
    var dependsOnReleased: Bool {
        switch self {
        case .createSubscription, .deleteSubscription: true
        case .entry, .publish, .atomic, .letters, .advance, .barrier: false
        }
    }
}

/// What is answered when an item is durable.
enum PendingReply {
    case done
    case topicCreated(TopicID)
    case subscriptionCreated(SubscriptionID)
    case published
    case atomic
    case producerOpened(TopicID, ProducerID)
    case settled(accepted: UInt32, rejected: [SettleRejection])
    case lettersTaken(count: UInt64, next: Offset?)
    case redriveEdited
}

/// A proposal: checked against state and tail, not durable. Discarded, or applied when durable.
final class TailItem {
    var work: TailWork
    let reply: PendingReply
    /// The requests that wait for it.
    var requests: [RequestID]
    /// What it became in the group in flight.
    var entries: [StateEntry] = []
    /// The batch as stored, once it is in a group.
    var stored: StoredBatch?
    /// The dedup ids that are new with it, once it is in a group.
    var dedupIDs: [DedupEntry] = []
    /// How many of the others were queued before it, where it is one of the publishes: an ack may have
    /// been accepted only since the one before it was on its way.
    var behind: UInt64 = 0
    /// It will not be stored: what its requests are told when its turn is over.
    var refusal: Failure?

    init(_ work: TailWork, _ reply: PendingReply, _ requests: [RequestID]) {
        self.work = work
        self.reply = reply
        self.requests = requests
    }

    var opensProducer: Bool {
        if case .producerOpened = reply { true } else { false }
    }

    var publish: PublishWork? {
        if case .publish(let work) = work { work } else { nil }
    }

    var atomic: AtomicWork? {
        if case .atomic(let work) = work { work } else { nil }
    }

    var letters: LetterWork? {
        if case .letters(let work) = work { work } else { nil }
    }

    /// Bytes of batches that count while it is queued.
    var queuedBytes: Int { publish?.bytes ?? atomic?.batchBytes ?? letters?.bytes ?? 0 }

    /// Takes the batch out, so that the broker header is written in place where nobody shares it.
    func takeBatch() -> (work: PublishWork, batch: Bytes)? {
        guard case .publish(var taken) = work else { return nil }
        work = .barrier
        let batch = taken.batch
        taken.batch = []
        work = .publish(taken)
        return (taken, batch)
    }

    /// Bytes that it keeps waiting, about.
    var bytes: Int {
        switch work {
        case .publish(let work): work.bytes
        case .atomic(let work): work.bytes
        case .letters(let work): work.bytes + 128
        case .entry(.settled(let settled)): 64 + 16 * settled.ranges.count
        default: 128
        }
    }
}
