import ChaskiBroker
import ChaskiModel
import ChaskiRecords

/// A producer: batches of unique content, in order, sent again in order whenever it does not know
/// what became of them.
final class ProducerClient: SimulatedClient {
    /// Its work on one topic.
    private struct Lane {
        enum State { case unbound, binding, ready, waiting, skipping }
        var name: String
        var state = State.unbound
        var topic: TopicID?
        var nextSequence: UInt64 = 0
        /// Sent or to be sent, in order, not yet confirmed.
        var queue: [Int] = []
        /// How many of the queue are on their way.
        var sent = 0
        /// When `waiting` ends.
        var until: Int64 = 0
        /// Refused for good so far, from the front of the queue.
        var refused: Set<Int> = []
    }

    private unowned let simulation: Simulation
    private let index: Int
    /// The producer's number, and the epoch of this instance.
    private let number: Int
    private var epoch: UInt32
    private var random: SimulationRandom
    private var connection: Int?
    private var lanes: [Lane]
    private let window: Int
    private let spacing: Int64
    private var draining = false
    private var rests = false
    private var lastBatchesLeft: Int
    /// An instance that another has replaced: it goes on for a while without knowing.
    private var zombie = false
    private var dead = false
    private var isProbing = false
    /// When the batches of the probe were sent first.
    private var sentAt: [Int: Int64] = [:]
    private var nextTag: UInt64 = 1
    /// What a tag asked for: the lane, and the publication or -1.
    private var asked: [UInt64: (lane: Int, publication: Int)] = [:]

    init(
        _ simulation: Simulation, index: Int, number: Int, epoch: UInt32, topics: [String],
        random: SimulationRandom
    ) {
        self.simulation = simulation
        self.index = index
        self.number = number
        self.epoch = epoch
        self.random = random
        lanes = topics.map { Lane(name: $0) }
        window = self.random.integer(in: 1...8)
        spacing = self.random.pick([5_000_000, 20_000_000, 60_000_000])
        lastBatchesLeft = topics.count
    }

    var isDone: Bool {
        dead || (draining && lanes.allSatisfy { $0.queue.isEmpty } && lastBatchesLeft == 0)
    }

    var state: String {
        "producer \(number).\(epoch): "
            + lanes.map { "\($0.name) \($0.state) \($0.queue.count)" }.joined(separator: ", ")
    }

    func drain() {
        draining = true
        simulation.wake(index, after: 0)
    }

    func probe() {
        guard !dead, !zombie else { return }
        isProbing = true
        sentAt.removeAll()
        lastBatchesLeft = lanes.count
        if let connection, !simulation.isHealthy(connection) { reconnect() }
        simulation.wake(index, after: 0)
    }

    func connectionLost() {
        connection = nil
        asked.removeAll()
        for lane in lanes.indices {
            lanes[lane].state = .unbound
            lanes[lane].sent = 0
            lanes[lane].refused = []
        }
        simulation.wake(index, after: random.skewed(mean: 50_000_000))
    }

    private func reconnect() {
        if let connection { simulation.drop(connection) }
        connectionLost()
    }

    func woken() {
        guard !dead else { return }
        if connection == nil {
            connection = simulation.connect(client: index)
            if connection != nil { simulation.countOperation() }
        }
        guard connection != nil else {
            return simulation.wake(index, after: random.skewed(mean: 50_000_000))
        }
        for lane in lanes.indices { advance(lane) }
        if !zombie, !draining, simulation.plan.has(.producerTakeover), random.chance(1, in: 60) {
            takeOver()
        }
        guard !isDone else { return }
        // With nothing to do but wait for answers it sleeps until one comes.
        rests = lanes.allSatisfy {
            $0.state == .binding || $0.state == .skipping
                || ($0.state == .ready && $0.queue.count >= window)
        }
        simulation.wake(index, after: random.skewed(mean: rests ? 500_000_000 : spacing))
    }

    /// One step on one topic: bind, or resend, or publish something new.
    private func advance(_ lane: Int) {
        switch lanes[lane].state {
        case .unbound:
            guard simulation.now >= lanes[lane].until else { return }
            lanes[lane].state = .binding
            ask(.bind(topic: lanes[lane].name, producer: number, epoch: epoch), lane, -1)
        case .binding, .skipping: break
        case .waiting:
            guard simulation.now >= lanes[lane].until else { return }
            lanes[lane].state = .ready
            lanes[lane].sent = 0
            if !skipRefused(lane) { resend(lane) }
        case .ready:
            resend(lane)
            guard lanes[lane].queue.count < window else { return }
            if draining {
                guard lastBatchesLeft > 0, lanes[lane].queue.isEmpty else { return }
                lastBatchesLeft -= 1
            } else if random.chance(1, in: 3) || isFarBehind(lane) {
                return
            }
            publish(lane)
        }
    }

    /// Whether consumers have so much left of a topic that more of it shows nothing new.
    private func isFarBehind(_ lane: Int) -> Bool {
        guard let topic = lanes[lane].topic else { return false }
        return simulation.oracle.largestBacklog(of: topic) > Self.backlog
    }

    private static let backlog: Offset = 300

    private func ask(_ request: Request, _ lane: Int, _ publication: Int) {
        guard let connection else { return }
        nextTag += 1
        asked[nextTag] = (lane, publication)
        simulation.countOperation()
        simulation.send(request, tag: nextTag, on: connection)
    }

    private func resend(_ lane: Int) {
        while lanes[lane].sent < lanes[lane].queue.count {
            let publication = lanes[lane].queue[lanes[lane].sent]
            lanes[lane].sent += 1
            ask(.publish(publication: publication), lane, publication)
        }
    }

    private func publish(_ lane: Int) {
        guard let topic = lanes[lane].topic else { return }
        let count = random.integer(in: 1...simulation.plan.maximumBatch)
        guard
            let publication = BatchMaker.make(
                simulation, &random, producer: number, epoch: epoch, topic: topic,
                sequence: lanes[lane].nextSequence, count: count)
        else { return }
        lanes[lane].nextSequence += UInt64(count)
        lanes[lane].queue.append(publication)
        if isProbing { sentAt[publication] = simulation.now }
        if lanes.count > 1 { simulation.hit(.severalTopics) }
        if number > 0 { simulation.hit(.severalProducers) }
        resend(lane)
    }

    /// A new instance of the same producer begins; this one does not know yet.
    private func takeOver() {
        zombie = true
        simulation.hit(.producerTakeover)
        let successor = ProducerClient(
            simulation, index: simulation.clients.count, number: number, epoch: epoch + 1,
            topics: lanes.map(\.name), random: random.split())
        simulation.add(successor)
        simulation.wake(simulation.clients.count - 1, after: 0)
    }

    // MARK: - Answers

    func received(_ response: Response) {
        guard !dead else { return }
        if rests {
            rests = false
            simulation.wake(index, after: random.skewed(mean: spacing))
        }
        switch response {
        case .bound(let tag, let topic, let result):
            guard let (lane, _) = asked.removeValue(forKey: tag) else { return }
            bound(lane, topic, result)
        case .reply(let tag, let result):
            guard let (lane, publication) = asked.removeValue(forKey: tag) else { return }
            if publication >= 0 {
                answered(lane, publication, result)
            } else {
                skipped(lane, result)
            }
        case .opened, .delivery, .ended, .answered: break
        }
    }

    private func bound(_ lane: Int, _ topic: TopicID?, _ result: Result<Reply, Failure>) {
        switch result {
        case .success(.producerOpened(let next)):
            if lanes[lane].topic != topic {
                lanes[lane].topic = topic
                lanes[lane].queue = []
                lanes[lane].nextSequence = next
            }
            lanes[lane].state = .ready
            lanes[lane].sent = 0
            dropStored(lane, next)
            if !closeGap(lane, next) { resend(lane) }
        case .success: break
        case .failure(let failure): failed(lane, failure)
        }
    }

    /// What the broker says it has needs not be sent again; half of the time it is sent anyway.
    private func dropStored(_ lane: Int, _ next: UInt64) {
        let publications = simulation.oracle.publications
        if let first = lanes[lane].queue.first, publications[first].baseSequence > next,
            !simulation.plan.has(.skippedSequences)
        {
            simulation.oracle.violated(
                "U1",
                "producer \(number) confirmed sequences below \(publications[first].baseSequence); "
                    + "the broker wants \(next)")
        }
        guard random.chance(1, in: 2) else { return }
        lanes[lane].queue.removeAll {
            publications[$0].baseSequence + UInt64(publications[$0].count) <= next
        }
    }

    /// Sequences given up by a skip whose answer was lost must be given up again.
    private func closeGap(_ lane: Int, _ next: UInt64) -> Bool {
        guard let first = lanes[lane].queue.first, let topic = lanes[lane].topic else {
            lanes[lane].nextSequence = next
            return false
        }
        let base = simulation.oracle.publications[first].baseSequence
        guard base > next else { return false }
        lanes[lane].state = .skipping
        ask(.skip(topic: topic, producer: number, epoch: epoch, next: base), lane, -1)
        return true
    }

    private func answered(_ lane: Int, _ publication: Int, _ result: Result<Reply, Failure>) {
        guard let place = lanes[lane].queue.firstIndex(of: publication) else { return }
        switch result {
        case .success:
            if let sent = sentAt[publication] { checkTime(simulation.now - sent) }
            lanes[lane].queue.remove(at: place)
            if place < lanes[lane].sent { lanes[lane].sent -= 1 }
            lanes[lane].refused.remove(publication)
        case .failure(let failure):
            if !failure.isIndeterminate { lanes[lane].refused.insert(publication) }
            failed(lane, failure)
        }
    }

    /// Nothing goes wrong any more: publishes are answered within a second.
    private func checkTime(_ nanos: Int64) {
        guard nanos > simulation.publishLimitNanos, simulation.isProbeUndisturbed else { return }
        simulation.oracle.violated(
            "liveness", "a publish of producer \(number) took \(nanos) ns at rest")
    }

    private func failed(_ lane: Int, _ failure: Failure) {
        switch failure.reason {
        case .indeterminate, .journalFailed, .sequenceGap:
            if failure.reason == .sequenceGap, lanes[lane].state == .ready {
                simulation.note("gap", UInt64(number), 0, failure.message)
            }
            reconnect()
        case .fenced:
            if !zombie {
                simulation.oracle.violated(
                    "U1", "producer \(number).\(epoch), the newest, was fenced")
            }
            end()
        case .unknownTopic:
            lanes[lane].queue = []
            lanes[lane].topic = nil
            lanes[lane].state = .unbound
            lanes[lane].until = simulation.now + random.skewed(mean: 200_000_000)
            lanes[lane].sent = 0
            if draining { lastBatchesLeft = 0 }
        case .diskFull, .overloaded, .afterRefused:
            lanes[lane].state = .waiting
            lanes[lane].until = simulation.now + random.skewed(mean: 100_000_000)
        default:
            simulation.oracle.violated(
                "P3", "a publish was refused with \(failure.reason.rawValue): \(failure.message)")
        }
    }

    private func end() {
        dead = true
        if let connection { simulation.drop(connection) }
        connection = nil
    }

    /// Gives up what was refused at the front of the queue, now and then.
    private func skipRefused(_ lane: Int) -> Bool {
        guard simulation.plan.has(.skippedSequences), random.chance(1, in: 3),
            let first = lanes[lane].queue.first, lanes[lane].refused.contains(first),
            !simulation.oracle.publications[first].inDoubt,
            let topic = lanes[lane].topic
        else { return false }
        let publication = simulation.oracle.publications[first]
        let next = publication.baseSequence + UInt64(publication.count)
        lanes[lane].state = .skipping
        lanes[lane].queue.removeFirst()
        lanes[lane].refused = []
        ask(.skip(topic: topic, producer: number, epoch: epoch, next: next), lane, -1)
        return true
    }

    private func skipped(_ lane: Int, _ result: Result<Reply, Failure>) {
        switch result {
        case .success:
            lanes[lane].state = .ready
            lanes[lane].sent = 0
        case .failure(let failure) where failure.reason == .sequenceOverlap:
            // Something from there on is stored after all: the broker says what when asked again.
            reconnect()
        case .failure(let failure): failed(lane, failure)
        }
    }
}
