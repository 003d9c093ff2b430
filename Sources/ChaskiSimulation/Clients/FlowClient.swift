import ChaskiBroker
import ChaskiMessages
import ChaskiModel

/// Somebody who pauses subscriptions, resumes them, and sets breakers by hand, while they are in
/// use; in the end sets all of them free.
final class FlowClient: SimulatedClient {
    private unowned let simulation: Simulation
    private let index: Int
    private var random: SimulationRandom
    private var connection: Int?
    private var todo: [Request] = []
    /// The tag of the request under way; 0 for none.
    private var asked: UInt64 = 0
    private var nextTag: UInt64 = 1
    private var draining = false
    private var late = LateRequests()
    private let subscriptions: [String]

    init(_ simulation: Simulation, index: Int, random: SimulationRandom) {
        self.simulation = simulation
        self.index = index
        self.random = random
        var names = simulation.names.subscriptions(simulation.plan)
        if simulation.plan.has(.topology) { names += simulation.names.passing }
        subscriptions = names
    }

    var isDone: Bool { draining && todo.isEmpty && late.again == nil }
    var state: String { "operator: \(todo.count) to do" }

    func drain() {
        draining = true
        late.drain(now: simulation.now)
        // Behind what is under way: it may still take effect.
        todo = free + (asked == 0 ? [] : todo.suffix(1))
        simulation.wake(index, after: 0)
    }

    private var free: [Request] {
        subscriptions.flatMap { [.resume($0), .setBreaker($0, .auto)] }
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
        if todo.isEmpty {
            if !draining {
                think()
            } else if late.areOver(now: simulation.now) {
                todo = free
            }
        }
        if asked == 0, let next = todo.last {
            nextTag += 1
            asked = nextTag
            simulation.countOperation()
            simulation.send(next, tag: asked, on: connection)
        }
        if !draining || !todo.isEmpty {
            let rest: Int64 = asked != 0 ? 1_000_000_000 : draining ? 5_000_000 : 200_000_000
            simulation.wake(index, after: random.skewed(mean: rest))
        } else if let again = late.again {
            simulation.wake(index, after: again - simulation.now)
        }
    }

    private func think() {
        let name = random.pick(subscriptions)
        if simulation.plan.has(.breaker), random.chance(1, in: 4) {
            todo = [.setBreaker(name, random.pick([.auto, .auto, .auto, .open, .closed]))]
            return
        }
        guard simulation.plan.has(.pause) else { return }
        switch random.below(4) {
        case 0: todo = [.pause(name, forNanos: nil)]
        case 1:
            todo = [.pause(name, forNanos: UInt64(random.nanos(in: 1...1_000_000_000)))]
        default: todo = [.resume(name)]
        }
    }

    func received(_ response: Response) {
        guard case .answered(let tag, let result) = response, tag == asked else { return }
        asked = 0
        simulation.wake(index, after: random.skewed(mean: 20_000_000))
        switch result {
        case .success: todo.removeLast()
        case .failure(let failure):
            switch failure.reason {
            // Without a breaker there is none to set.
            case .unknownSubscription, .invalidSetting: todo.removeLast()
            case .indeterminate, .journalFailed, .diskFull, .overloaded: break
            default:
                simulation.oracle.violated("N1", "a pause was refused with \(failure.message)")
            }
        }
    }
}
