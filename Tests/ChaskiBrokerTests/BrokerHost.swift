import ChaskiBroker
import ChaskiModel
import ChaskiRecords

/// Runs a machine over a journal in memory: what is durable survives `crash`.
final class BrokerHost {
    private(set) var machine: NamespaceMachine
    let configuration: BrokerConfiguration
    var now = Now(clock: 1_000_000_000, wall: 1_700_000_000_000_000_000)
    /// Durable groups, and where replay begins.
    private(set) var journal: [JournalGroup] = []
    private(set) var replayFrom = 0
    private var cycleStart = 0
    private(set) var inFlight: JournalGroup?
    private(set) var epoch: UInt32 = 1
    /// Answers, deliveries and other effects, in order.
    private(set) var replies: [UInt64: Result<Reply, Failure>] = [:]
    private(set) var deliveries: [(consumer: ConsumerID, delivery: Delivery)] = []
    private(set) var released: [(TopicID, Range<Offset>)] = []
    /// What storage has forgotten.
    private var gone: [TopicID: Set<Offset>] = [:]
    private(set) var ended: [(ConsumerID, Failure)] = []
    private(set) var removed: [TopicID] = []
    private(set) var stalls: [(consumers: [ConsumerID], failure: Failure?)] = []
    private(set) var held: [FailureReason?] = []
    private(set) var reads: [ReadRequest] = []
    private(set) var replyCounts: [UInt64: Int] = [:]
    var answersReads = true
    var maximumGroupBytes = 1 << 20
    private var nextRequest: UInt64 = 1
    private var nextConsumer: UInt64 = 1

    init(_ configuration: BrokerConfiguration = BrokerConfiguration(seed: 7)) {
        self.configuration = configuration
        machine = NamespaceMachine(configuration: configuration)
        machine.recovered(epoch: epoch, now: now)
    }

    // MARK: time and journal

    func advance(_ nanos: Int64) {
        let end = now.clock + nanos
        // Timers fire when they are due, as a healthy host does it.
        while let at = machine.nextTimerNanos, at <= end {
            let step = max(0, at - now.clock)
            now = Now(clock: now.clock + step, wall: now.wall + step)
            fire()
            settle()
        }
        now.wall += end - now.clock
        now.clock = end
    }

    /// The clock moves without any timer firing.
    func pause(_ nanos: Int64) {
        now.clock += nanos
        now.wall += nanos
    }

    func fire() {
        var effects: [Effect] = []
        machine.timerFired(now: now, effects: &effects)
        take(effects)
    }

    @discardableResult
    func gather() -> Bool {
        guard inFlight == nil,
            let group = machine.takeGroup(maximumBytes: maximumGroupBytes, now: now)
        else { return false }
        inFlight = group
        return true
    }

    func sync() {
        guard let group = inFlight else { return }
        inFlight = nil
        if group.beginsCheckpoint != nil { cycleStart = journal.count }
        journal.append(group)
        if group.endsCheckpoint != nil { replayFrom = cycleStart }
        var effects: [Effect] = []
        machine.durable(now: now, effects: &effects)
        take(effects)
    }

    func refuse(_ failure: Failure) {
        guard inFlight != nil else { return }
        inFlight = nil
        var effects: [Effect] = []
        machine.refused(failure, now: now, effects: &effects)
        take(effects)
    }

    /// Everything that waits becomes durable.
    func settle() {
        var rounds = 0
        while inFlight != nil || gather() {
            sync()
            rounds += 1
            precondition(rounds < 10_000, "the machine never comes to rest")
        }
    }

    /// What is not durable is lost; with `keepingInFlight` the group in flight happens to be.
    func crash(keepingInFlight: Bool = false, fromStart: Bool = false) {
        if keepingInFlight, let group = inFlight {
            if group.beginsCheckpoint != nil { cycleStart = journal.count }
            journal.append(group)
            if group.endsCheckpoint != nil { replayFrom = cycleStart }
        }
        inFlight = nil
        machine = NamespaceMachine(configuration: configuration)
        for group in journal[(fromStart ? 0 : replayFrom)...] {
            for entry in group.entries { machine.replay(entry, time: group.time) }
        }
        epoch += 1
        machine.recovered(epoch: epoch, now: now)
        reads.removeAll()
    }

    // MARK: commands

    func request() -> RequestID {
        defer { nextRequest += 1 }
        return RequestID(rawValue: nextRequest)
    }

    func send(_ command: Command) {
        var effects: [Effect] = []
        machine.handle(command, now: now, effects: &effects)
        take(effects)
    }

    /// Sends, makes it durable, and answers what came.
    @discardableResult
    func ask(_ make: (RequestID) -> Command) -> Result<Reply, Failure>? {
        let id = request()
        send(make(id))
        settle()
        return replies[id.rawValue]
    }

    func reply(_ request: RequestID) -> Result<Reply, Failure>? { replies[request.rawValue] }

    func take(_ effects: [Effect]) {
        var asked: [ReadRequest] = []
        for effect in effects {
            switch effect {
            case .reply(let id, let result):
                replies[id.rawValue] = result
                replyCounts[id.rawValue, default: 0] += 1
            case .deliver(let consumer, _, let list):
                for delivery in list { deliveries.append((consumer, delivery)) }
            case .read(let read): asked.append(read)
            case .released(let topic, let range):
                released.append((topic, range))
                gone[topic, default: []].formUnion(range)
            case .topicRemoved(let topic): removed.append(topic)
            case .deathsHeld(_, let failure): held.append(failure?.reason)
            case .consumerEnded(let consumer, let failure): ended.append((consumer, failure))
            case .stalled(_, let consumers, let failure): stalls.append((consumers, failure))
            }
        }
        reads.append(contentsOf: asked)
        if answersReads { answerReads() }
    }

    func answerReads() {
        let asked = reads
        reads.removeAll()
        for read in asked {
            var effects: [Effect] = []
            machine.loaded(read.id, .success(stored(read)), now: now, effects: &effects)
            take(effects)
        }
    }

    func failReads(_ failure: Failure) {
        let asked = reads
        reads.removeAll()
        for read in asked {
            var effects: [Effect] = []
            machine.loaded(read.id, .failure(failure), now: now, effects: &effects)
            take(effects)
        }
    }

    /// What storage would answer.
    func stored(_ read: ReadRequest) -> [StoredBatch] {
        var found: [StoredBatch] = []
        var bytes = 0
        for group in journal {
            for entry in group.entries where entry.kind == .batch && entry.topic == read.topic {
                let end = entry.baseOffset + Offset(entry.count)
                let isGone = gone[read.topic]?.isSuperset(of: entry.baseOffset..<end) == true
                guard end > read.from, !isGone else { continue }
                if !found.isEmpty, bytes + entry.body.count > read.maximumBytes { return found }
                found.append(
                    StoredBatch(
                        topic: entry.topic, baseOffset: entry.baseOffset, count: entry.count,
                        bytes: entry.body))
                bytes += entry.body.count
            }
        }
        return found
    }

    func takeDeliveries() -> [Handed] {
        defer { deliveries.removeAll() }
        return deliveries.flatMap { item in
            item.delivery.runs.flatMap { run in
                (0..<run.count).map {
                    Handed(
                        consumer: item.consumer, offset: run.first + Offset($0),
                        handout: run.handout, failed: run.failed)
                }
            }
        }
    }

    func newConsumer() -> ConsumerID {
        defer { nextConsumer += 1 }
        return ConsumerID(rawValue: nextConsumer)
    }
}

/// One message handed out.
struct Handed: Hashable {
    var consumer: ConsumerID
    var offset: Offset
    var handout: UInt32
    var failed: UInt32
}
