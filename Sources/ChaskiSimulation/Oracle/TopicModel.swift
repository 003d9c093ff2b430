import ChaskiModel

/// What the reference model knows of one incarnation of a topic: its log, batch by batch, as the
/// writes that returned put it on disk.
final class TopicModel {
    let id: TopicID
    let name: String
    /// Only atomic requests write to it.
    var isAtomicOnly: Bool { name.hasPrefix(TopologyNames.atomicPrefix) }
    /// Only copies of dead messages get into it.
    var isCopiesOnly: Bool { name == TopologyNames.forwardTopic }
    /// Per offset, the publication and the message's number in it.
    private(set) var log: [(publication: Int32, index: UInt32)] = []
    /// The append time of the last batch.
    private(set) var lastAppend = Int64.min
    /// Per producer number, the sequence after the last one stored.
    var nextSequence: [Int: UInt64] = [:]
    /// Per producer number, the highest epoch that was announced and confirmed.
    var fencedBelow: [Int: UInt32] = [:]
    /// Per offset, whether the broker gave it up; shorter than the log.
    private var isReleased: [Bool] = []
    /// The end of what was given up last in the log; a new subscription may begin there.
    var releasedMaximum: Offset { max(Offset(isReleased.count), passedOver) }
    /// Below it nothing is promised to a new subscription, though it may still be there.
    var passedOver: Offset = 0
    /// All offsets below were given up by the broker.
    private(set) var releasedEnd: Offset = 0
    var removed = false
    /// Per key, the offsets of its messages, as far as `keysRead`.
    private var offsetsOfKey: [[UInt8]: [Offset]] = [:]
    private var keysRead = 0
    var subscriptions: [SubscriptionModel] = []

    init(id: TopicID, name: String) {
        self.id = id
        self.name = name
    }

    func release(_ range: Range<Offset>) {
        while isReleased.count < Int(range.upperBound) { isReleased.append(false) }
        for offset in range { isReleased[Int(offset)] = true }
        while releasedEnd < Offset(isReleased.count), isReleased[Int(releasedEnd)] {
            releasedEnd += 1
        }
    }

    /// The first offset of a range that must be there to read.
    func firstRetained(in range: Range<Offset>) -> Offset? {
        range.first { $0 >= Offset(isReleased.count) || !isReleased[Int($0)] }
    }

    func key(of offset: Offset, _ publications: [Publication]) -> [UInt8]? {
        guard offset < end else { return nil }
        let (publication, index) = log[Int(offset)]
        let keys = publications[Int(publication)].keys
        return Int(index) < keys.count ? keys[Int(index)] : nil
    }

    /// Where messages of a key are, ascending.
    func offsets(of key: [UInt8], _ publications: [Publication]) -> [Offset] {
        while keysRead < log.count {
            if let key = self.key(of: Offset(keysRead), publications) {
                offsetsOfKey[key, default: []].append(Offset(keysRead))
            }
            keysRead += 1
        }
        return offsetsOfKey[key] ?? []
    }

    var end: Offset { Offset(log.count) }

    func append(publication: Int, count: UInt32, appendTime: Int64) {
        precondition(count > 0, "an empty batch")
        for index in 0..<count { log.append((Int32(publication), index)) }
        lastAppend = max(lastAppend, appendTime)
    }
}
