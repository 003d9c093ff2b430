import ChaskiModel

/// One incarnation of a topic.
final class TopicState {
    let id: TopicID
    let name: String
    let incarnation: UInt32
    let settings: TopicSettings
    let createdWallNanos: Int64
    // Durable
    var nextOffset: Offset = 0
    var lastAppendNanos: Int64 = 0
    /// Everything from here on is still held; below it, some may be gone.
    var releasedEnd: Offset = 0
    var marks = ByteMarks()
    var producers: [ProducerID: ProducerState] = [:]
    /// Dedup ids, where the topic remembers them.
    let dedup: DedupTable?
    /// Ascending by id.
    var subscriptions: [SubscriptionState] = []
    // Derived
    var released = RangeSet()
    // Of the tail
    var isDeleting = false
    /// Subscriptions to it that are on their way.
    var pendingSubscriptions = 0
    var queuedBytes: UInt64 = 0

    init(_ created: TopicCreated) {
        id = created.id
        name = created.name
        incarnation = created.incarnation
        settings = created.settings
        createdWallNanos = created.createdWallNanos
        dedup = created.settings.dedupWindowNanos.map { DedupTable(window: $0) }
    }

    /// Where the oldest unsettled message of any subscription is; nil without subscriptions.
    var lowestUnsettled: Offset? { subscriptions.map(\.window.settledBelow).min() }

    func insert(_ subscription: SubscriptionState) {
        // Most are younger than all before them.
        let place = subscriptions.lastIndex { $0.id < subscription.id }.map { $0 + 1 } ?? 0
        subscriptions.insert(subscription, at: place)
    }
}
