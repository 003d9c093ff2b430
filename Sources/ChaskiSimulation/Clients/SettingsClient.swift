import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiStreams
import ChaskiWire

/// Somebody who changes settings of subscriptions that are in use.
final class SettingsClient: SimulatedClient {
    private unowned let simulation: Simulation
    private let index: Int
    private var random: SimulationRandom
    private var connection: Int?
    private var todo: Request?
    /// The tag of the request under way; 0 for none.
    private var asked: UInt64 = 0
    private var nextTag: UInt64 = 1
    private var draining = false
    private let subscriptions: [String]

    init(_ simulation: Simulation, index: Int, random: SimulationRandom) {
        self.simulation = simulation
        self.index = index
        self.random = random
        var names = simulation.names.subscriptions(simulation.plan)
        if simulation.plan.has(.topology) { names += simulation.names.passing }
        subscriptions = names
    }

    var isDone: Bool { draining && todo == nil }
    var state: String { "settings: \(todo == nil ? "idle" : "an update under way")" }

    func drain() {
        draining = true
        if asked == 0 { todo = nil }
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
        if todo == nil, !draining { todo = change() }
        if asked == 0, let todo {
            nextTag += 1
            asked = nextTag
            simulation.countOperation()
            simulation.send(todo, tag: asked, on: connection)
        }
        if !draining || todo != nil {
            let rest: Int64 = asked != 0 ? 1_000_000_000 : draining ? 5_000_000 : 300_000_000
            simulation.wake(index, after: random.skewed(mean: rest))
        }
    }

    /// One or several settings, each possible on its own.
    private func change() -> Request {
        let settings = simulation.names.settings(simulation.plan, &random)
        let name = random.pick(subscriptions)
        var message = Chaski_V1_SubscriptionSettings()
        repeat {
            switch random.below(7) {
            case 0: message.leaseNanos = UInt64(settings.leaseNanos)
            case 1: message.maximumUnsettled = settings.maximumUnsettled
            case 2: message.maximumAbandoned = settings.maximumAbandoned
            case 3: message.retry.maximumFailures = settings.retry.maximumFailures
            case 4:
                message.retry.minimumBackoffNanos = UInt64(settings.retry.minimumBackoffNanos)
                message.retry.maximumBackoffNanos = UInt64(settings.retry.maximumBackoffNanos)
                message.retry.maximumAgeNanos = UInt64(settings.retry.maximumAgeNanos ?? 0)
            case 5:
                if simulation.plan.has(.rateLimit) { message.rateLimit = settings.rateLimit ?? 0 }
                guard simulation.plan.has(.breaker) else { break }
                message.breaker = Chaski_V1_SubscriptionSettings(settings).breaker
                message.breaker.none = settings.breaker == nil
            default:
                if let order = settings.order { message.order.runLength = order.runLength }
            }
        } while random.chance(1, in: 2)
        return .updateSubscription(name, message)
    }

    func received(_ response: Response) {
        guard case .answered(let tag, let result) = response, tag == asked else { return }
        asked = 0
        simulation.wake(index, after: random.skewed(mean: 100_000_000))
        switch result {
        case .success: todo = nil
        case .failure(let failure):
            switch failure.reason {
            // What is not ordered stays so.
            case .unknownSubscription, .invalidSetting: todo = nil
            case .indeterminate, .journalFailed, .diskFull, .overloaded: break
            default:
                simulation.oracle.violated("N1", "an update was refused with \(failure.message)")
            }
        }
    }
}

extension Request {
    static func updateSubscription(
        _ name: String, _ settings: Chaski_V1_SubscriptionSettings
    ) -> Request {
        call(
            .updateSubscription,
            Chaski_V1_UpdateSubscriptionRequest.with {
                $0.name = name
                $0.settings = settings
            })
    }
}
