import ChaskiModel

/// The unsettled messages of one key that were looked at, in the order in which they are handed out.
final class Lane {
    private(set) var key: UInt64
    /// The first `out` are with the holder; the next ones follow them.
    var front: [Offset] = []
    var out = 0
    /// The most of them that may be out: as many as a run had when the last was handed out, or as
    /// were claimed after a restart. What was out before an update to shorter runs stays out.
    var outLimit = 0
    /// The place of the holder that has them in the subscription's table; -1 when nobody has.
    var holder: Int32 = -1
    /// Claimed after a restart, behind earlier ones that come first: nothing of the key goes out
    /// until these have come back, and a verdict on one is stale.
    var outOfTurn: Set<Offset> = []
    /// How many of all wait, after a restart, for the session that may have them.
    var unresolved = 0
    /// What comes behind `front`: a busy key costs little more than a position for each of these.
    var backlog = OffsetQueue()

    init(key: UInt64) { self.key = key }

    var isEmpty: Bool { front.isEmpty && backlog.isEmpty }
    /// Whether anything waits that nobody has.
    var hasPending: Bool { front.count > out || !backlog.isEmpty }

    fileprivate func begin(key: UInt64) {
        assert(isEmpty && out == 0 && outOfTurn.isEmpty && unresolved == 0, "a lane in use")
        self.key = key
        holder = -1
        outLimit = 0
    }
}

/// Which messages of an ordered subscription wait for which. Derived from the window and the keys of
/// the messages, so that it is made anew after a restart.
///
/// Keys are known by 64 bits of a hash: two keys that share them share a lane, which costs
/// concurrency and no order.
final class KeyOrder {
    private(set) var lanes: [UInt64: Lane] = [:]
    /// The lanes of messages that somebody had before, or that come next.
    private(set) var laneOf: [Offset: Lane] = [:]
    /// Everything below was looked at: its key is known. Below the cursor only after a restart.
    var scanned: Offset
    private var free: [Lane] = []

    init(scanned: Offset) { self.scanned = scanned }

    func makeLane(_ key: UInt64) -> Lane {
        assert(lanes[key] == nil, "there is one")
        let lane: Lane
        if let old = free.popLast() {
            lane = old
            lane.begin(key: key)
        } else {
            lane = Lane(key: key)
        }
        lanes[key] = lane
        return lane
    }

    /// A message that no lane knows goes before the later ones of its key that nobody has.
    func enter(_ offset: Offset, _ key: UInt64, isLeased: (Offset) -> Bool) {
        let lane = lanes[key] ?? makeLane(key)
        let free = lane.front[lane.out...].lastIndex(where: isLeased).map { $0 + 1 } ?? lane.out
        let place = lane.front[free...].firstIndex { $0 > offset }
        lane.front.insert(offset, at: place ?? lane.front.endIndex)
        note(offset, in: lane)
    }

    func remove(_ lane: Lane) {
        precondition(lane.isEmpty && lane.out == 0, "messages of the key are left")
        precondition(lane.outOfTurn.isEmpty && lane.unresolved == 0, "a lane's are miscounted")
        lanes[lane.key] = nil
        if free.count < 1_024 { free.append(lane) }
    }

    func note(_ offset: Offset, in lane: Lane) { laneOf[offset] = lane }
    func forget(_ offset: Offset) { laneOf[offset] = nil }
}
