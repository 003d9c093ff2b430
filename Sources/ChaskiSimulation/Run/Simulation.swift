import ChaskiBroker
import ChaskiModel
package import ChaskiStorage

/// Breaks the host on purpose, to see that the checkers notice.
package enum HostMutation: String, Sendable, CaseIterable {
    case none
    case answerBeforeSync
}

/// How a run is made, besides its seed.
package struct SimulationOptions: Sendable {
    package var host = HostMutation.none
    package var disk = DiskMutation()
    /// Gets the history line by line.
    package var printer: (@Sendable (String) -> Void)?
    /// Operations instead of what the seed decides; for short tests.
    package var operations: Int?
    /// A plan instead of the seed's own.
    package var plan: SwarmPlan?
    package var sweep: SweepFault?

    package init() {}
}

/// One seed, one history: the production broker core and journal over a simulated disk, network
/// and clock, with clients that do what clients do, and an oracle that watches.
package final class Simulation {
    package let seed: UInt64
    package let plan: SwarmPlan
    let options: SimulationOptions
    var queue = EventQueue<SimulationEvent>()
    package private(set) var hash = HistoryHash()
    let oracle: Oracle
    private(set) var host: BrokerHost
    var connections: [Connection] = []
    var firstLiveConnection = 0
    /// The ends and bytes of connections over the real wire.
    var wires: [Int: WireConnection] = [:]
    let wireSettings: WireSettings
    var clients: [any SimulatedClient] = []
    private var wakeGenerations: [Int] = []
    var random: SimulationRandom
    var networkRandom: SimulationRandom
    var faultRandom: SimulationRandom
    /// Requests that clients made.
    package private(set) var operations = 0
    /// How often each feature and fault had an effect.
    package private(set) var featureHits = [Int](repeating: 0, count: Feature.allCases.count)
    package private(set) var faultHits = [Int](repeating: 0, count: Fault.allCases.count)
    /// The faults that had struck when a feature took effect; bit n: the n-th.
    package private(set) var together = [UInt64](repeating: 0, count: Feature.allCases.count)
    private var struck: UInt64 = 0
    /// No more faults and no new work: everything must come to its end.
    private(set) var isDraining = false
    private var drainDeadline = Int64.max
    private var isProbed = false
    /// Since when nothing keeps the broker from its work, while faults have ended.
    var atRestSince: Int64 = 0
    /// The broker's life in which the probe began.
    var probedLife = 0
    /// The fault of a sweep had not struck when the probe began.
    var isFaultToCome = false
    var wallOffset: Int64 = 0
    var clockStepsForward = 0
    /// When a full disk last had room again.
    var roomSince: Int64 = 0
    /// The broker is not stopped before.
    var nextFreeze: Int64 = 0
    let names = TopologyNames()

    /// The id of a producer by its number, and back.
    func producerID(_ number: Int) -> ProducerID {
        ProducerID(rawValue: UInt128(seed) << 32 | UInt128(number + 1))
    }
    func producerNumber(_ id: ProducerID) -> Int {
        Int(truncatingIfNeeded: id.rawValue & 0xffff_ffff) - 1
    }

    package init(seed: UInt64, options: SimulationOptions = SimulationOptions()) {
        self.seed = seed
        self.options = options
        random = SimulationRandom(seed: seed)
        networkRandom = random.split()
        faultRandom = random.split()
        var plan = SwarmPlan(random: &random)
        if let operations = options.operations { plan.operations = operations }
        if let given = options.plan { plan = given }
        self.plan = plan
        wireSettings = WireSettings(random: &random)
        oracle = Oracle(resumeGraceNanos: plan.resumeGraceNanos)
        host = BrokerHost(seed: seed, plan: plan, options: options, random: &random)
        host.simulation = self
        oracle.learnDeaths = { [unowned host] in host.learnVanished() }
        oracle.letterStanding = { [unowned host] in host.standing($0, $1) }
        oracle.stateOf = { [unowned host] in host.state(of: $1, $0) }
        oracle.tookEffect = { [unowned self] in hit($0) }
    }

    var now: Int64 { queue.now }
    var wall: Int64 { 1_800_000_000_000_000_000 + now + wallOffset }
    /// File operations up to the last checks.
    package private(set) var diskOperationsBeforeEnd = 0
    /// Whether the sweep's second crash took place.
    package var crashedInRecovery: Bool { host.sweepCrashes > 1 }
    package var violations: [Violation] { oracle.violations }
    /// What compaction and history did.
    package var upkeepFigures: UpkeepFigures { host.upkeep.figures }

    // MARK: - History

    func note(
        _ kind: StaticString, _ a: UInt64, _ b: UInt64 = 0, _ text: @autoclosure () -> String = ""
    ) {
        hash.mix(UInt64(bitPattern: now))
        hash.mix(
            UInt64(UInt(bitPattern: kind.utf8CodeUnitCount)) << 8 | UInt64(kind.utf8Start.pointee))
        hash.mix(a)
        hash.mix(b)
        if let printer = options.printer { printer("\(now) \(kind) \(a) \(b) \(text())") }
    }

    /// A feature took effect.
    func hit(_ feature: Feature) {
        featureHits[feature.rawValue] += 1
        together[feature.rawValue] |= struck
    }

    /// A fault struck; what takes effect from now on does so in spite of it.
    func hit(_ fault: Fault) {
        faultHits[fault.rawValue] += 1
        struck |= 1 << UInt64(fault.rawValue)
    }
    func countOperation() { operations += 1 }

    // MARK: - Clients

    func add(_ client: any SimulatedClient) {
        clients.append(client)
        wakeGenerations.append(0)
    }

    /// Wakes a client after `delay`, and not at any earlier wish.
    func wake(_ client: Int, after delay: Int64) {
        wakeGenerations[client] += 1
        queue.schedule(
            .clientWakes(client: client, generation: wakeGenerations[client]),
            at: now + max(0, delay))
    }

    // MARK: - Running

    /// Runs the seed to its end, or to its first violation.
    package func run() {
        setUpClients()
        for trait in [Fault.slowDisk, .tinyFiles, .tinyGroups] where plan.has(trait) { hit(trait) }
        host.start()
        scheduleFault()
        while oracle.violations.isEmpty, let event = queue.next() {
            oracle.time = now
            handle(event)
            if !isDraining, operations >= plan.operations || now > Self.longest { beginDrain() }
            if isDraining, now >= nextDrainCheck, checkDrain() { break }
        }
        if oracle.violations.isEmpty { finish() }
        hash.mix(UInt64(oracle.violations.count))
        for violation in oracle.violations { hash.mix(violation.message) }
    }

    private func handle(_ event: SimulationEvent) {
        switch event {
        case .requestArrives(let number, let tag, let request):
            let connection = connections[number]
            guard !connection.isCut || connection.lingers, !connection.brokerKnows else { return }
            if host.postpone(event) { return }
            host.received(request, tag: tag, on: number)
        case .responseArrives(let number, let response):
            let connection = connections[number]
            guard !connection.isCut || connection.lingers, !connection.clientKnows else { return }
            clients[connection.client].received(response)
        case .connectionLost(let number):
            lost(number)
        case .connectionGone(let number):
            guard !connections[number].brokerKnows else { return }
            if host.postpone(event) { return }
            connections[number].brokerKnows = true
            host.connectionGone(number)
            forgetWire(number)
        case .bytesArrive(let number, let toBroker):
            if toBroker, host.postpone(event) { return }
            bytesArrive(number, toBroker: toBroker)
        case .wireTimer(let number, let atBroker):
            if atBroker, host.postpone(event) { return }
            wireTimer(number, atBroker: atBroker)
        case .roomExpected(let life): roomExpected(life)
        case .callDeadline(let number, let stream):
            if host.postpone(event) { return }
            host.callDeadline(number, stream)
        case .clientWakes(let client, let generation):
            guard wakeGenerations[client] == generation else { return }
            clients[client].woken()
        case .faultStrikes: strike()
        case .faultEnds(let fault): faultEnds(fault)
        default: host.handle(event)
        }
    }

    /// An hour: a broker that does not come up must not make a run that does not end.
    private static let longest: Int64 = 3_600_000_000_000
    private var nextDrainCheck: Int64 = 0

    private func beginDrain() {
        isDraining = true
        atRestSince = now
        nextDrainCheck = now + 1
        drainDeadline = now + 1_200_000_000_000
        note("drain begins", UInt64(operations))
        // What holds for the whole run met every fault of it.
        for trait in [Feature.smallWindow, .latestStart, .sharedSubscription]
        where featureHits[trait.rawValue] > 0 {
            hit(trait)
        }
        stopFaults()
        for client in clients { client.drain() }
    }

    /// Whether everything has come to its end.
    private func checkDrain() -> Bool {
        nextDrainCheck = now + 200_000_000
        host.checkExplanations()
        host.learnAbandoned()
        if host.isServing, clients.allSatisfy({ $0.isDone }), oracle.isDrained,
            oracle.pending.isEmpty,
            host.isIdle, host.isThrough
        {
            if isProbed { return true }
            isProbed = true
            probe()
            return false
        }
        checkRetries()
        guard now > drainDeadline else { return false }
        oracle.checkDrained(lag: { self.host.lag(of: $0) })
        oracle.checkAnswered()
        for client in clients where !client.isDone {
            oracle.violated("liveness", "a client does not end: \(client.state)")
        }
        oracle.violated("liveness", "nothing comes to its end: \(host.state); \(host.explanations)")
        return true
    }

    /// The last checks, at rest; then once more after a clean restart.
    private func finish() {
        oracle.time = now
        diskOperationsBeforeEnd = host.disk.operations
        host.endFaults()
        host.checkAtRest()
        guard oracle.violations.isEmpty else { return }
        host.die(power: true)
        host.start()
        guard host.isServing else {
            return oracle.violated("recovery", "the broker does not come back at the end")
        }
        host.checkAtRest()
    }
}
