import ChaskiBroker
import ChaskiModel

/// A consumer: takes deliveries of one subscription, works on them in its own time, and gives
/// every kind of verdict, in any order, sometimes late, twice, or never.
final class ConsumerClient: SimulatedClient {
    /// A delivery in hand.
    struct Held {
        var token: DeliveryToken
        var verb: Verb
        var delay: Int64?
        /// When it gives the verdict; far away for one that it forgets.
        var due: Int64
        /// The request that carries its verdict; 0 before.
        var asked: UInt64 = 0
    }

    private enum State { case closed, opening, open, closing }

    unowned let simulation: Simulation
    private let index: Int
    let subscription: String
    var random: SimulationRandom
    private(set) var session: SessionID
    private var connection: Int?
    private var consumer: ConsumerID?
    private var phase = State.closed
    private var epoch: UInt32 = 0
    private var limit: ConsumerLimit
    private var lease: Int64 = 30_000_000_000
    /// The subscription that `held` and `spent` are of.
    private(set) var subscriptionID = SessionClaims.none.subscription
    var held: [Held] = []
    /// Atomic requests, where it settles by them.
    var transforming = Transforming()
    /// Tokens that had their verdict, to be used again where they must not count.
    private var spent: [DeliveryToken] = []
    private var nextTag: UInt64 = 1
    private var nextHeartbeat: Int64 = 0
    private var draining = false
    /// It sleeps long, since it has nothing in hand.
    private var rests = false
    /// When it dies of a message that kills whoever handles it, and how often it did.
    private var diesAt = Int64.max
    private var deaths = 0
    private let spacing: Int64
    private let beats: Bool
    private let lapses: Bool
    private let pace: Int64

    init(
        _ simulation: Simulation, index: Int, subscription: String, random: SimulationRandom
    ) {
        self.simulation = simulation
        self.index = index
        self.subscription = subscription
        var random = random
        session = SessionID(rawValue: UInt128(random.next()) << 64 | UInt128(index))
        limit = ConsumerLimit(messages: UInt32(random.pick([1, 3, 20, 200])), bytes: 1 << 30)
        spacing = random.pick([1_000_000, 5_000_000, 30_000_000])
        beats = simulation.plan.has(.heartbeat) && random.chance(2, in: 3)
        lapses = simulation.plan.has(.lapse)
        pace = random.pick([500_000, 5_000_000, 50_000_000])
        self.random = random
    }

    /// It holds its subscription as long as the run lasts; what counts is that nothing is in hand.
    var isDone: Bool { draining && held.isEmpty }

    var state: String { "consumer \(index) of \(subscription): \(phase), \(held.count) in hand" }

    func drain() {
        draining = true
        for place in held.indices where held[place].asked == 0 {
            held[place].verb = .ack
            held[place].due = min(held[place].due, simulation.now + 1_000_000)
        }
        limit.messages = 100
        if let consumer { send(.setLimit(consumer, limit)) }
        simulation.wake(index, after: 0)
    }

    func connectionLost() {
        connection = nil
        consumer = nil
        phase = .closed
        diesAt = .max
        for place in held.indices { held[place].asked = 0 }
        transforming.connectionLost()
        simulation.wake(
            index, after: random.skewed(mean: random.pick([20_000_000, 3_000_000_000])))
    }

    func send(_ request: Request, tag: UInt64 = 0) {
        guard let connection else { return }
        simulation.send(request, tag: tag, on: connection)
    }

    func tag() -> UInt64 {
        nextTag += 1
        return nextTag
    }

    func woken() {
        if connection == nil { connection = simulation.connect(client: index) }
        guard connection != nil else {
            return simulation.wake(index, after: random.skewed(mean: 50_000_000))
        }
        switch phase {
        case .closed: open()
        case .opening, .closing: break
        case .open: work()
        }
        // With nothing in hand only heartbeats, closings and the like are to do.
        let next = held.lazy.filter { $0.asked == 0 }.map(\.due).min() ?? .max
        rests = phase == .open && next - simulation.now > 100_000_000
        if rests {
            simulation.wake(
                index, after: random.skewed(mean: min(lease / 4, draining ? lease : 100_000_000)))
        } else {
            let idle = min(max(0, next - simulation.now), 100_000_000)
            simulation.wake(index, after: max(idle, random.skewed(mean: spacing)))
        }
    }

    // MARK: - Opening

    private func open() {
        if simulation.plan.has(.newSession), random.chance(1, in: 4), !held.isEmpty || epoch != 0 {
            // Another process: it knows nothing of what this one held.
            simulation.hit(.newSession)
            session = SessionID(rawValue: UInt128(random.next()) << 64 | UInt128(index))
            held = []
        }
        if !simulation.plan.has(.claims) { held = [] }
        phase = .opening
        simulation.countOperation()
        send(
            .open(
                session: session, subscription: subscription, limit,
                claims: SessionClaims(of: subscriptionID, ranges(held.map(\.token)))),
            tag: tag())
    }

    private func opened(_ id: ConsumerID, _ result: Result<Reply, Failure>) {
        guard
            case .success(.consumerOpened(let subscriptionID, let epoch, let lease, let left)) =
                result
        else {
            phase = .closed
            if case .failure(let failure) = result { refused(failure) }
            return
        }
        consumer = id
        phase = .open
        if subscriptionID != self.subscriptionID { spent = [] }
        self.subscriptionID = subscriptionID
        self.epoch = epoch
        self.lease = lease
        nextHeartbeat = simulation.now + lease / 3
        var kept: [Offset: TokenRange] = [:]
        for range in left {
            for step in 0..<range.count { kept[range.first + Offset(step)] = range }
        }
        held = held.compactMap { delivery in
            guard let range = kept[delivery.token.offset] else {
                remember(delivery.token)
                return nil
            }
            var delivery = delivery
            delivery.token = DeliveryToken(
                epoch: range.epoch, offset: delivery.token.offset, handout: range.handout)
            return delivery
        }
        repeatTransforms()
    }

    /// Any refusal of a consumer means that it must be opened again, a little later.
    func refused(_ failure: Failure) {
        if failure.reason == .unknownSubscription { held = [] }
        if let connection { simulation.drop(connection) }
        connectionLost()
    }

    func ranges(_ tokens: [DeliveryToken]) -> [TokenRange] {
        var result: [TokenRange] = []
        for token in tokens.sorted(by: { $0.offset < $1.offset }) {
            if let last = result.last, last.first + Offset(last.count) == token.offset,
                last.epoch == token.epoch, last.handout == token.handout
            {
                result[result.count - 1].count += 1
            } else if let last = result.last, last.first + Offset(last.count) > token.offset {
                continue
            } else {
                result.append(
                    TokenRange(
                        epoch: token.epoch, first: token.offset, count: 1, handout: token.handout))
            }
        }
        return result
    }

    // MARK: - Working

    private func work() {
        giveVerdicts()
        let plan = simulation.plan
        if beats || draining, simulation.now >= nextHeartbeat {
            simulation.hit(.heartbeat)
            nextHeartbeat = simulation.now + lease / 3
            send(.heartbeat(session))
        }
        guard !draining else { return }
        if simulation.now >= diesAt { return die() }
        if plan.has(.doubleAck) || plan.has(.staleVerbs), !spent.isEmpty, random.chance(1, in: 12) {
            useSpentToken()
        }
        if plan.has(.changingLimit), random.chance(1, in: 40), let consumer {
            limit.messages = UInt32(random.pick([1, 2, 10, 100]))
            simulation.hit(.changingLimit)
            send(.setLimit(consumer, limit))
        }
        if plan.has(.gracefulClose), random.chance(1, in: 150), let consumer {
            simulation.hit(.gracefulClose)
            simulation.countOperation()
            phase = .closing
            held = []
            send(.close(consumer), tag: tag())
        }
        if plan.has(.claims), random.chance(1, in: 150), let connection {
            simulation.drop(connection)
            connectionLost()
        }
    }

    /// The process is gone, with all that it held.
    private func die() {
        deaths += 1
        session = SessionID(rawValue: UInt128(random.next()) << 64 | UInt128(index))
        held = []
        if let connection { simulation.drop(connection) }
        connectionLost()
    }

    /// One verb for a random handful of what is due.
    private func giveVerdicts() {
        guard let consumer else { return }
        var due: [Int] = []
        for place in held.indices where held[place].asked == 0 && held[place].due <= simulation.now
        {
            due.append(place)
        }
        random.shuffle(&due)
        var most = draining ? 64 : random.integer(in: 1...6)
        for verb in Verb.allCases where most > 0 {
            let chosen = mates(due.filter { held[$0].verb == verb }.prefix(most), verb)
            guard let first = chosen.first else { continue }
            most -= chosen.count
            // A delay is one for all of the request.
            let delay = held[first].delay
            let tag = tag()
            for place in chosen { held[place].asked = tag }
            simulation.countOperation()
            if settlesAtomically(verb) {
                transform(chosen.map { held[$0].token }, verb, delay, tag: tag)
                continue
            }
            send(
                .settle(
                    SettleCommand(
                        consumer: consumer, verb: verb,
                        ranges: ranges(chosen.map { held[$0].token }),
                        delayNanos: verb == .retry || verb == .extend ? delay : nil,
                        reason: reason(of: verb))),
                tag: tag)
        }
    }

    func reason(of verb: Verb) -> String {
        guard verb == .fail || verb == .retry else { return "" }
        return random.pick(["because", "time out", "bad input", "out of paper"])
    }

    /// A verdict where none is due any more: it must change nothing.
    private func useSpentToken() {
        guard let consumer else { return }
        let token = spent[random.below(spent.count)]
        let verb: Verb = simulation.plan.has(.staleVerbs) ? random.pick(Verb.allCases) : .ack
        if verb == .ack { simulation.hit(.doubleAck) }
        simulation.countOperation()
        send(
            .settle(SettleCommand(consumer: consumer, verb: verb, ranges: ranges([token]))),
            tag: tag())
    }

    func remember(_ token: DeliveryToken) {
        if spent.count < 24 {
            spent.append(token)
        } else {
            spent[random.below(24)] = token
        }
    }

    // MARK: - Receiving

    func received(_ response: Response) {
        switch response {
        case .opened(_, let id, let result): opened(id, result)
        case .delivery(let id, let deliveries):
            guard id == consumer else { return }
            for delivery in deliveries {
                for run in delivery.runs { take(run) }
            }
            if rests {
                rests = false
                simulation.wake(index, after: random.skewed(mean: spacing))
            }
        case .ended(let id, let failure):
            guard id == consumer else { return }
            refused(failure)
        case .reply(let tag, let result):
            if transformed(tag, result.map { _ in }) { return }
            answered(tag, result)
        case .answered(let tag, let result): _ = transformed(tag, result.map { _ in })
        case .bound: break
        }
    }

    private func take(_ run: DeliveryRun) {
        for step in 0..<run.count {
            let token = DeliveryToken(
                epoch: epoch, offset: run.first + Offset(step), handout: run.handout)
            // A newer hand-out of the same message replaces what was lost meanwhile.
            if let old = held.firstIndex(where: { $0.token.offset == token.offset }) {
                remember(held[old].token)
                held.remove(at: old)
            }
            held.append(decide(token, failed: run.failed))
        }
    }

    /// What it will do with a delivery, and when.
    private func decide(_ token: DeliveryToken, failed: UInt32) -> Held {
        let plan = simulation.plan
        var held = Held(
            token: token, verb: .ack, delay: nil, due: simulation.now + random.skewed(mean: pace))
        if draining {
            held.due = simulation.now
            return held
        }
        if plan.has(.abandonment), token.offset % 61 == 5, deaths < 12 {
            diesAt = min(diesAt, held.due)
            held.due = .max
            return held
        }
        let roll = random.below(24)
        if roll < 3, plan.has(.retry) {
            held.verb = .retry
            if plan.has(.retryDelay), random.chance(1, in: 2) {
                held.delay = random.nanos(in: 0...20_000_000_000)
            }
        } else if roll == 3, plan.has(.fail) {
            held.verb = .fail
        } else if roll < 6, plan.has(.release) {
            held.verb = .release
        } else if roll < 8, plan.has(.extend) {
            held.verb = .extend
            held.delay = lease + random.nanos(in: 0...5_000_000_000)
        } else if roll == 8, lapses {
            held.due = simulation.now + random.nanos(in: lease...3 * lease)
            simulation.hit(.lapse)
        }
        return held
    }

    private func answered(_ tag: UInt64, _ result: Result<Reply, Failure>) {
        if phase == .closing, case .success(.done) = result {
            phase = .closed
            consumer = nil
            if random.chance(1, in: 2) {
                session = SessionID(rawValue: UInt128(random.next()) << 64 | UInt128(index))
            }
            return
        }
        if case .failure(let failure) = result {
            for place in held.indices where held[place].asked == tag { held[place].asked = 0 }
            switch failure.reason {
            case .diskFull, .overloaded: return
            default: return refused(failure)
            }
        }
        var left: [Held] = []
        let early = tooEarly(result)
        if !early.isEmpty { simulation.hit(.ordered) }
        for delivery in held {
            guard delivery.asked == tag else {
                left.append(delivery)
                continue
            }
            if early.contains(delivery.token.offset) {
                // An earlier message of its key has no verdict yet: it comes again.
                var kept = delivery
                kept.asked = 0
                kept.due = simulation.now + random.skewed(mean: pace)
                left.append(kept)
                continue
            }
            if delivery.verb == .extend {
                var kept = delivery
                kept.asked = 0
                kept.verb = .ack
                kept.due = simulation.now + random.nanos(in: 0...lease)
                left.append(kept)
            } else {
                remember(delivery.token)
            }
        }
        held = left
    }

    private func tooEarly(_ result: Result<Reply, Failure>) -> Set<Offset> {
        guard case .success(.settled(_, let rejected)) = result else { return [] }
        return Set(rejected.filter { $0.reason == .outOfOrder }.map(\.offset))
    }
}
