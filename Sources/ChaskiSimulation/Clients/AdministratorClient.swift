import ChaskiBroker
import ChaskiModel

/// Makes the topology of the run, and then makes and deletes parts of it while it is in use.
final class AdministratorClient: SimulatedClient {
    private unowned let simulation: Simulation
    private let index: Int
    private var random: SimulationRandom
    private var connection: Int?
    private var todo: [Request]
    /// The tag of the request under way; 0 for none.
    private var asked: UInt64 = 0
    private var nextTag: UInt64 = 1
    private var draining = false
    private var late = LateRequests()

    init(_ simulation: Simulation, index: Int, first: [Request], random: SimulationRandom) {
        self.simulation = simulation
        self.index = index
        self.random = random
        todo = first.reversed()
    }

    var isDone: Bool { todo.isEmpty && late.again == nil }
    var state: String { "administrator: \(todo.count) to do" }

    func drain() {
        draining = true
        late.drain(now: simulation.now)
        simulation.wake(index, after: 0)
    }

    func connectionLost() {
        connection = nil
        if asked != 0 { late.connectionLost(now: simulation.now) }
        asked = 0
        simulation.wake(index, after: random.skewed(mean: 50_000_000))
    }

    func woken() {
        if connection == nil { connection = simulation.connect(client: index) }
        guard let connection else {
            return simulation.wake(index, after: random.skewed(mean: 50_000_000))
        }
        if todo.isEmpty, draining {
            if late.areOver(now: simulation.now), simulation.plan.has(.forwarding) {
                todo = [.createTopic(TopologyNames.forwardTopic)]
            }
        } else if todo.isEmpty {
            if simulation.plan.has(.forwarding), random.chance(1, in: 16) {
                // Meanwhile what is to die waits.
                let name = TopologyNames.forwardTopic
                todo = [.createTopic(name), .deleteTopic(name)]
            } else if simulation.plan.has(.topology) {
                think()
            }
        }
        if asked == 0, let next = todo.last {
            nextTag += 1
            asked = nextTag
            simulation.countOperation()
            simulation.send(next, tag: asked, on: connection)
        }
        if !draining || !todo.isEmpty {
            let rest: Int64 = todo.isEmpty ? 150_000_000 : asked != 0 ? 1_000_000_000 : 5_000_000
            simulation.wake(index, after: random.skewed(mean: rest))
        } else if let again = late.again {
            simulation.wake(index, after: again - simulation.now)
        }
    }

    /// Something new to do: a subscription or a topic comes or goes.
    private func think() {
        simulation.hit(.topology)
        let names = simulation.names
        let subscription = random.pick(names.passing)
        switch random.below(6) {
        case 0, 1, 2:
            let topic =
                random.chance(1, in: 3) ? names.passingTopic : names.topics(simulation.plan)[0]
            todo = [
                .createSubscription(
                    subscription, topic: topic, names.settings(simulation.plan, &random))
            ]
        case 3: todo = [.deleteSubscription(subscription)]
        case 4: todo = [.createTopic(names.passingTopic)]
        default: todo = [.deleteTopic(names.passingTopic)]
        }
    }

    func received(_ response: Response) {
        guard case .answered(let tag, let result) = response, tag == asked else { return }
        asked = 0
        simulation.wake(index, after: random.skewed(mean: 5_000_000))
        switch result {
        case .success: todo.removeLast()
        case .failure(let failure):
            switch failure.reason {
            case .alreadyExists, .unknownTopic, .unknownSubscription, .topicInUse: todo.removeLast()
            case .indeterminate, .journalFailed, .diskFull, .overloaded: break
            default:
                simulation.oracle.violated(
                    "N1", "a change of topology was refused with \(failure.message)")
            }
        }
    }
}
