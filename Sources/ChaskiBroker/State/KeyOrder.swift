import ChaskiModel

/// The unsettled messages of one key that were looked at, in the order in which they are handed out.
///
/// A handle of memory that its `KeyOrder` owns: each message is looked up in its lane several times,
/// and neither counting references nor checking for exclusive access is worth what it costs there.
struct Lane: Equatable, BitwiseCopyable {
    private struct State {
        var key: UInt64
        var front: [Offset] = []
        var out = 0
        var outLimit = 0
        var holder: Int32 = -1
        var outOfTurn: Set<Offset> = []
        var unresolved = 0
        var backlog = OffsetQueue()
        /// The next one that is kept for other keys.
        var next: Lane?
    }

    private let state: UnsafeMutablePointer<State>

    fileprivate var next: Lane? {
        get { state.pointee.next }
        nonmutating set { state.pointee.next = newValue }
    }

    fileprivate init(key: UInt64) {
        state = .allocate(capacity: 1)
        state.initialize(to: State(key: key))
    }

    fileprivate func free() {
        state.deinitialize(count: 1)
        state.deallocate()
    }

    var key: UInt64 { state.pointee.key }
    /// The first `out` are with the holder; the next ones follow them.
    var front: [Offset] {
        get { state.pointee.front }
        nonmutating _modify { yield &state.pointee.front }
    }
    var out: Int {
        get { state.pointee.out }
        nonmutating _modify { yield &state.pointee.out }
    }
    /// The most of them that may be out: as many as a run had when the last was handed out, or as
    /// were claimed after a restart. What was out before an update to shorter runs stays out.
    var outLimit: Int {
        get { state.pointee.outLimit }
        nonmutating _modify { yield &state.pointee.outLimit }
    }
    /// The place of the holder that has them in the subscription's table; -1 when nobody has.
    var holder: Int32 {
        get { state.pointee.holder }
        nonmutating _modify { yield &state.pointee.holder }
    }
    /// Claimed after a restart, behind earlier ones that come first: nothing of the key goes out
    /// until these have come back, and a verdict on one is stale.
    var outOfTurn: Set<Offset> {
        get { state.pointee.outOfTurn }
        nonmutating _modify { yield &state.pointee.outOfTurn }
    }
    /// How many of all wait, after a restart, for the session that may have them.
    var unresolved: Int {
        get { state.pointee.unresolved }
        nonmutating _modify { yield &state.pointee.unresolved }
    }
    /// What comes behind `front`: a busy key costs little more than a position for each of these.
    var backlog: OffsetQueue {
        get { state.pointee.backlog }
        nonmutating _modify { yield &state.pointee.backlog }
    }

    var isEmpty: Bool { state.pointee.front.isEmpty && state.pointee.backlog.isEmpty }
    /// Whether anything waits that nobody has.
    var hasPending: Bool {
        state.pointee.front.count > state.pointee.out || !state.pointee.backlog.isEmpty
    }

    /// Whether nothing but this message is in it.
    func isOnly(_ offset: Offset) -> Bool {
        state.pointee.front.count == 1 && state.pointee.front[0] == offset
            && state.pointee.backlog.isEmpty
    }

    /// Empties it, but for what waits for sessions.
    func clear() {
        state.pointee.front.removeAll(keepingCapacity: true)
        state.pointee.out = 0
        state.pointee.holder = -1
        if !state.pointee.outOfTurn.isEmpty { state.pointee.outOfTurn.removeAll() }
    }

    /// Gives back the memory that only many messages need.
    fileprivate func trim() {
        if state.pointee.front.capacity > 32 { state.pointee.front = [] }
        if state.pointee.backlog.memoryBytes > 64 { state.pointee.backlog = OffsetQueue() }
    }

    fileprivate func begin(key: UInt64) {
        assert(isEmpty && out == 0 && outOfTurn.isEmpty && unresolved == 0, "a lane in use")
        state.pointee.key = key
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
    /// The lanes of keys that have messages.
    let lanes = IntegerTable<Lane>()
    /// The lanes of messages that somebody had before, or that come next.
    let laneOf = IntegerTable<Lane>()
    /// Everything below was looked at: its key is known. Below the cursor only after a restart.
    var scanned: Offset
    /// Lanes that are kept for other keys: the first, and how many.
    private var free: Lane?
    private var freeCount = 0

    init(scanned: Offset) { self.scanned = scanned }

    deinit {
        while let lane = free {
            free = lane.next
            lane.free()
        }
        for (_, lane) in lanes.all { lane.free() }
    }

    func makeLane(_ key: UInt64) -> Lane {
        let lane: Lane
        if let kept = free {
            lane = kept
            free = kept.next
            freeCount -= 1
            lane.begin(key: key)
        } else {
            lane = Lane(key: key)
        }
        let before = lanes.insert(lane, for: key)
        precondition(before == nil, "there is one")
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

    /// The lane is not to be used any more. No more are kept for other keys than are in use, and 1,024.
    func remove(_ lane: Lane) {
        precondition(lane.isEmpty && lane.out == 0, "messages of the key are left")
        precondition(lane.outOfTurn.isEmpty && lane.unresolved == 0, "a lane's are miscounted")
        lanes.remove(lane.key)
        lane.trim()
        lane.next = free
        free = lane
        freeCount += 1
        while freeCount > 1_024 + lanes.count, let kept = free {
            free = kept.next
            freeCount -= 1
            kept.free()
        }
    }

    func note(_ offset: Offset, in lane: Lane) { laneOf.insert(lane, for: offset) }
    func forget(_ offset: Offset) { laneOf.remove(offset) }
}
