import ChaskiModel

/// What the reference model knows of one incarnation of a topic: its log, batch by batch, as the
/// writes that returned put it on disk.
final class TopicModel {
    let id: TopicID
    let name: String
    /// Per offset, the publication and the message's number in it.
    private(set) var log: [(publication: Int32, index: UInt32)] = []
    /// The append time of the last batch.
    private(set) var lastAppend = Int64.min
    /// Per producer number, the sequence after the last one stored.
    var nextSequence: [Int: UInt64] = [:]
    /// Per producer number, the highest epoch that was announced and confirmed.
    var fencedBelow: [Int: UInt32] = [:]
    /// Offsets below were given up by the broker.
    var releasedEnd: Offset = 0
    var removed = false
    var subscriptions: [SubscriptionModel] = []

    init(id: TopicID, name: String) {
        self.id = id
        self.name = name
    }

    var end: Offset { Offset(log.count) }

    func append(publication: Int, count: UInt32, appendTime: Int64) {
        precondition(count > 0, "an empty batch")
        for index in 0..<count { log.append((Int32(publication), index)) }
        lastAppend = max(lastAppend, appendTime)
    }
}
