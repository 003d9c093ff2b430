import ChaskiBroker
import ChaskiModel
import ChaskiRecords
import ChaskiStorage
import ChaskiStreams
import ChaskiWire

/// Joins the production broker core and journal as the server does: one loop, one journal thread
/// with a latency of its own, readers, timers, checkpoints, maintenance.
final class BrokerHost {
    // Set once, right after both are made.
    // swift-format-ignore: NeverUseImplicitlyUnwrappedOptionals
    unowned var simulation: Simulation!
    let disk: SimulatedFileSystem
    /// The disk as the journal sees it.
    private(set) var fileSystem: any FileSystem
    let options: SimulationOptions
    let settings: HostSettings
    var random: SimulationRandom
    /// What the durable groups say, replayed one by one: a recovery must come to the same.
    var shadow: NamespaceMachine

    private(set) var life = 0
    var journal: Journal?
    var machine: NamespaceMachine?
    /// Between connections and the core; there while the machine is.
    var service: NamespaceService?
    /// The broker's ends of connections over the wire, by their numbers.
    var routes: [UInt64: WireBroker] = [:]
    /// Those that were spoken to in this turn, in that order.
    var spokenTo: [UInt64] = []
    private var isInTurn = false
    /// How many of `effects` were observed.
    private var observed = 0
    /// The group that the journal thread has.
    var group: JournalGroup?
    /// The journal thread is busy with a group or with maintenance.
    var journalBusy = false
    var hasFailed = false
    /// Why publishes are refused for want of space; nil while they are taken.
    var refusal: Failure?
    var clockOffset: Int64 = 0
    var bootStart: Int64 = 0
    var bootID: UInt128 = 1
    var pausedUntil: Int64 = 0
    /// When this life began to serve.
    var servingSince: Int64 = 0
    var timerAt = Int64.max
    var bytesSinceCheckpoint = 0
    var isCheckpointing = false
    var lastMaintenance: Int64 = 0
    var effects: [Effect] = []
    var nextRequest: UInt64 = 1
    var nextConsumer: UInt64 = 0
    /// Who waits for which answer.
    var waiting: [RequestID: Waiting] = [:]
    var connectionOfConsumer: [ConsumerID: Int] = [:]
    /// Commands that the core has not answered.
    private(set) var asked: [RequestID: Command] = [:]
    var eventsSinceCheck = 0
    var pendingReads = 0
    /// Dead letters when they were last looked at.
    var deathsSeen: UInt64 = 0
    /// A write returned whose answer the core has not had.
    var shadowIsAhead = false
    var upkeep = HostUpkeep()
    var armed = ArmedFaults()
    /// How many times the process died as the sweep wanted it.
    var sweepCrashes = 0
    var sweepIsOver = false

    struct Waiting {
        enum Shape {
            case plain
            case bound(TopicID)
            case opened(ConsumerID)
            case called
        }
        var connection: Int
        var tag: UInt64
        var shape: Shape
    }

    init(
        seed: UInt64, plan: SwarmPlan, options: SimulationOptions, random: inout SimulationRandom
    ) {
        self.options = options
        self.random = random.split()
        settings = HostSettings(plan: plan, random: &random)
        disk = SimulatedFileSystem(seed: seed)
        fileSystem = disk
        shadow = NamespaceMachine(configuration: settings.broker)
    }

    var isServing: Bool { machine != nil }
    var oracle: Oracle { simulation.oracle }
    var boot: Int64 { simulation.now - bootStart + 1_000_000_000 }
    var now: Now { Now(clock: boot + clockOffset, wall: simulation.wall) }
    /// Whether the broker itself sees nothing left to hand out.
    var isThrough: Bool { machine?.subscriptions().allSatisfy { $0.backlog == 0 } ?? false }
    var isIdle: Bool { group == nil && machine?.wantsGroup == false && pendingReads == 0 }

    /// A stopped process sees nothing until it goes on.
    func postpone(_ event: SimulationEvent) -> Bool {
        guard simulation.now < pausedUntil else { return false }
        simulation.queue.schedule(event, at: pausedUntil)
        return true
    }

    func handle(_ event: SimulationEvent) {
        if case .brokerStarts = event { return start() }
        guard postpone(event) == false else { return }
        switch event {
        case .timerFires(let life) where life == self.life: timerFires()
        case .groupWritten(let life) where life == self.life: writeGroup()
        case .groupAnswered(let life, let outcome) where life == self.life: groupAnswered(outcome)
        case .maintenanceDue(let life) where life == self.life: maintain()
        case .maintenanceDone(let life, let report) where life == self.life: maintained(report)
        case .upkeepDue(let life) where life == self.life: continueUpkeep()
        case .readExecuted(let life, let id, let plan) where life == self.life: execute(id, plan)
        case .readAnswered(let life, let id, let outcome) where life == self.life:
            readAnswered(id, outcome)
        case .brokerDies(let life, let power) where life == self.life && isServing:
            die(power: power)
            scheduleStart()
        default: break
        }
    }

    // MARK: - The loop

    /// Gives the core one command, and carries out what it wants.
    func submit(_ command: Command) {
        guard let machine else { return }
        observe()
        var producer: Int?
        var publication: Int?
        switch command {
        case .publish(_, let publish):
            publication = oracle.identify(publish.batch)
            guard publication != nil else {
                return oracle.violated("P1", "the broker gets a batch that nobody published")
            }
        case .openProducer(_, _, let id, _), .skipSequences(_, _, let id, _, _):
            producer = simulation.producerNumber(id)
        default: break
        }
        switch command {
        case .redrive(_, let name, _, _), .purge(_, let name, _): compareLetters(named: name)
        case .redriveEdited(_, let edited): compareLetters(named: edited.subscription)
        default: break
        }
        if let id = FeatureEffects.request(of: command) { asked[id] = command }
        oracle.taken(command, producer: producer, publication: publication, now: now)
        machine.handle(command, now: now, effects: &effects)
        carryOut()
    }

    /// Carries out effects in order, then gives the journal what waits, and looks at the timer.
    func carryOut() {
        observe()
        guard !isInTurn else { return }
        isInTurn = true
        repeat {
            emit()
            offerGroup()
            endTurns()
        } while !effects.isEmpty
        isInTurn = false
        armTimer()
        pumpSpokenTo()
        eventsSinceCheck += 1
        if eventsSinceCheck >= settings.invariantSpacing {
            eventsSinceCheck = 0
            checkInvariants()
            checkExplanations()
        }
    }

    /// Shows the oracle what the core wants, in the moment in which it wants it.
    private func observe() {
        while observed < effects.count {
            oracle.emitted(effects[observed], now: now)
            noteBreaker(effects[observed])
            note(effects[observed])
            observed += 1
        }
    }

    func emit() {
        observe()
        let batch = effects
        effects.removeAll(keepingCapacity: true)
        observed = 0
        for effect in batch { perform(effect) }
    }

    /// Takes a run of requests of a connection over the wire.
    func take(_ requests: [ShardRequest]) {
        guard let service else { return }
        let outer = isInTurn
        isInTurn = true
        for request in requests {
            if case .admin(let id, let admin) = request { expectAnswer(id, admin) }
            if let command = service.command(for: request, now: now) { submit(command) }
        }
        isInTurn = outer
        carryOut()
    }

    private func note(_ effect: Effect) {
        switch effect {
        case .reply(let id, let result):
            noteReply(id, result)
            if let command = asked.removeValue(forKey: id), case .success(let reply) = result {
                for feature in FeatureEffects.features(of: command, reply) {
                    simulation.hit(feature)
                }
            }
        case .deliver(let consumer, let subscription, let deliveries):
            noteDelivery(consumer, subscription, deliveries)
        case .released(let topic, let range):
            simulation.note("released", topic.rawValue, range.upperBound)
        case .topicRemoved(let topic): simulation.note("removed", topic.rawValue)
        case .consumerEnded(let consumer, let failure):
            simulation.note("ended", consumer.rawValue, 0, failure.reason.rawValue)
        case .stalled(let subscription, let consumers, let failure):
            simulation.note(
                "stalled", subscription.rawValue, UInt64(consumers.count),
                failure?.reason.rawValue ?? "")
        case .deathsHeld(let subscription, let failure):
            simulation.note(
                "deaths held", subscription.rawValue, 0, failure?.reason.rawValue ?? "")
        case .read: break
        }
    }

    private func perform(_ effect: Effect) {
        if simulation.plan.has(.wire), service?.carryOut(effect) == true { return }
        switch effect {
        case .reply(let id, let result): answer(effect, id, result)
        case .deliver(let consumer, _, let deliveries):
            guard let connection = connectionOfConsumer[consumer] else { return }
            simulation.respond(.delivery(consumer, deliveries), on: connection)
        case .read(let request): read(request)
        case .released(let topic, let range): journal?.index.released(topic, range)
        case .topicRemoved(let topic): journal?.index.topicRemoved(topic)
        case .consumerEnded(let consumer, let failure):
            guard let connection = connectionOfConsumer.removeValue(forKey: consumer) else {
                return
            }
            simulation.respond(.ended(consumer, failure), on: connection)
        case .stalled, .deathsHeld: break
        }
    }

    private func answer(_ effect: Effect, _ id: RequestID, _ result: Result<Reply, Failure>) {
        if case .called? = waiting[id]?.shape {
            _ = service?.carryOut(effect)
            return
        }
        guard let waiter = waiting.removeValue(forKey: id) else { return }
        switch waiter.shape {
        case .plain: simulation.respond(.reply(tag: waiter.tag, result), on: waiter.connection)
        case .bound(let topic):
            simulation.respond(.bound(tag: waiter.tag, topic, result), on: waiter.connection)
        case .opened(let consumer):
            if case .failure = result { connectionOfConsumer[consumer] = nil }
            simulation.respond(
                .opened(tag: waiter.tag, consumer, result), on: waiter.connection)
        case .called: break
        }
    }

    private func noteReply(_ id: RequestID, _ result: Result<Reply, Failure>) {
        var word: UInt64 = 0
        switch result {
        case .success(.published(let base, _, let duplicate, let duplicates)):
            word = base << 1 | (duplicate ? 1 : 0) | UInt64(duplicates.count) << 40
        case .success(.atomic(let published, let isRepeat)):
            for one in published { word = word &* 31 &+ one.baseOffset }
            word = word << 1 | (isRepeat ? 1 : 0)
        case .success(.settled(let accepted, let rejected)):
            word = UInt64(accepted) << 16 | UInt64(rejected.count)
        case .success(.producerOpened(let next)): word = next
        case .success(.topicCreated(let topic)): word = topic.rawValue
        case .success(.subscriptionCreated(let subscription)): word = subscription.rawValue
        case .success(.consumerOpened(let subscription, let epoch, _, let held)):
            word = subscription.rawValue << 32 | UInt64(epoch) << 16 | UInt64(held.count)
        case .success(.lettersTaken(let count, let next)): word = count << 1 | (next == nil ? 0 : 1)
        case .success(.fetched(let fetched)): word = UInt64(fetched.batches.count)
        case .success(.redrivenEdited(let offset)): word = offset
        case .success(.done): word = 1
        case .failure(let failure): word = UInt64(failure.code.rawValue) << 48
        }
        simulation.note("answer", id.rawValue, word, "\(result)")
    }

    private func noteDelivery(
        _ consumer: ConsumerID, _ subscription: SubscriptionID, _ deliveries: [Delivery]
    ) {
        for delivery in deliveries {
            for run in delivery.runs {
                simulation.note(
                    "deliver", consumer.rawValue << 32 | subscription.rawValue,
                    run.first << 32 | UInt64(run.count) << 16 | UInt64(run.handout), "\(run)")
            }
        }
    }

    private func armTimer() {
        guard let next = machine?.nextTimerNanos else {
            timerAt = .max
            return
        }
        let moment = max(simulation.now, next - clockOffset - 1_000_000_000 + bootStart)
        guard moment != timerAt else { return }
        timerAt = moment
        simulation.queue.schedule(.timerFires(life: life), at: moment)
    }

    private func timerFires() {
        guard let machine, simulation.now >= timerAt else { return }
        timerAt = .max
        machine.timerFired(now: now, effects: &effects)
        carryOut()
    }

    // MARK: - Dying

    /// The process, or the machine with it, is gone in this moment.
    func die(power: Bool) {
        simulation.note(power ? "power cut" : "kill", UInt64(life))
        checkDurableState()
        let lastNow = now
        journal = nil
        machine = nil
        group = nil
        journalBusy = false
        effects.removeAll()
        waiting.removeAll()
        asked.removeAll()
        connectionOfConsumer.removeAll()
        service = nil
        routes.removeAll()
        spokenTo.removeAll()
        observed = 0
        pendingReads = 0
        timerAt = .max
        pausedUntil = 0
        hasFailed = false
        refusal = nil
        shadowIsAhead = false
        upkeep.died()
        armed = ArmedFaults()
        oracle.brokerDied(now: lastNow)
        simulation.cutAll()
        disk.faults = standingFaults()
        if power {
            disk.powerCut()
            bootStart = simulation.now
            bootID += 1
        } else {
            disk.processKill()
        }
    }

    func beginLife() {
        life += 1
        // What a mutation remembers of open files dies with the process.
        if !options.disk.isEmpty { fileSystem = MutatedFileSystem(disk, options.disk) }
        disk.faults = standingFaults()
    }
}
