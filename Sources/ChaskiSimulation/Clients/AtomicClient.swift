import ChaskiBroker
import ChaskiModel
import ChaskiRecords

/// Publishes to two topics at once, with dedup ids of a small pool, some of them with another
/// payload than before; sends a request again until it knows what became of it.
final class AtomicClient: SimulatedClient {
    private unowned let simulation: Simulation
    private let index: Int
    private var random: SimulationRandom
    private var connection: Int?
    /// The operation under way, and when it was sent first.
    private var current: (operation: Int, since: Int64)?
    /// The tag of the request under way; 0 for none.
    private var asked: UInt64 = 0
    private var nextTag: UInt64 = 1
    private var draining = false

    /// A request is not sent again for longer: the broker remembers it for 10 minutes.
    private static let patience: Int64 = 60_000_000_000

    init(_ simulation: Simulation, index: Int, random: SimulationRandom) {
        self.simulation = simulation
        self.index = index
        self.random = random
    }

    var isDone: Bool { draining && current == nil }
    var state: String { "atomic: operation \(current?.operation ?? -1)" }

    func drain() {
        draining = true
        simulation.wake(index, after: 0)
    }

    func connectionLost() {
        connection = nil
        asked = 0
        simulation.wake(index, after: random.skewed(mean: 50_000_000))
    }

    func woken() {
        if connection == nil { connection = simulation.connect(client: index) }
        guard let connection else {
            return simulation.wake(index, after: random.skewed(mean: 50_000_000))
        }
        if let current, simulation.now - current.since > Self.patience { self.current = nil }
        if current == nil, !draining { current = (make(), simulation.now) }
        if asked == 0, let current {
            nextTag += 1
            asked = nextTag
            simulation.countOperation()
            let command = simulation.oracle.atomics.operations[current.operation].command
            simulation.send(.atomic(command), tag: asked, on: connection)
        }
        guard !isDone else { return }
        simulation.wake(index, after: random.skewed(mean: asked == 0 ? 30_000_000 : 400_000_000))
    }

    /// One or two batches, each with a message that no other operation has.
    private func make() -> Int {
        let operation = simulation.oracle.atomics.operations.count
        var parts: [AtomicModel.Part] = []
        for part in 0..<random.integer(in: 1...2) {
            var messages = [AtomicModel.marker(operation, part)]
            for _ in 0..<random.below(4) {
                let id = "i\(random.below(12))"
                let variant = random.chance(1, in: 25) ? 1 : 0
                messages.append(
                    Message(
                        Array("\(id) v\(variant)".utf8), dedupID: Array(id.utf8)))
            }
            let topic = simulation.names.atomicTopics[part]
            parts.append(AtomicModel.Part(topic: topic, messages: messages))
        }
        simulation.oracle.atomics.add(parts, seed: simulation.seed)
        return operation
    }

    func received(_ response: Response) {
        let result: Result<Void, Failure>
        switch response {
        case .reply(asked, let reply): result = reply.map { _ in }
        case .answered(asked, let answer): result = answer.map { _ in }
        default: return
        }
        asked = 0
        simulation.wake(index, after: random.skewed(mean: 20_000_000))
        guard case .failure(let failure) = result else {
            current = nil
            return
        }
        switch failure.reason {
        case .indeterminate, .journalFailed, .draining:
            if let connection { simulation.drop(connection) }
            connectionLost()
        case .dedupConflict, .dedupFull, .diskFull, .overloaded, .unknownTopic, .transactionsFull:
            current = nil
        default:
            simulation.oracle.violated(
                "P5", "an atomic request was refused with \(failure.reason.rawValue): \(failure)")
        }
    }
}
