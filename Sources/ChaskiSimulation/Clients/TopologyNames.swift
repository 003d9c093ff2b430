import ChaskiModel

/// What is called how in a run, and with which settings.
struct TopologyNames {
    /// Subscriptions and a topic that come and go.
    let passing = ["x0", "x1"]
    let passingTopic = "passing"
    /// The subscription whose acks publish what was made of each message, in runs that have it.
    static let transformed = "s0"
    /// Topics that remember dedup ids, for atomic requests only, and a subscription on one of them.
    let atomicTopics = [atomicPrefix + "0", atomicPrefix + "1"]
    static let atomicPrefix = "atomic"
    /// Where dead messages are forwarded to; comes and goes.
    static let forwardTopic = "dead"
    let atomicSubscription = "a0"

    func topics(_ plan: SwarmPlan) -> [String] { (0..<plan.topics).map { "t\($0)" } }
    func subscriptions(_ plan: SwarmPlan) -> [String] { (0..<plan.subscriptions).map { "s\($0)" } }

    func settings(_ plan: SwarmPlan, _ random: inout SimulationRandom) -> SubscriptionSettings {
        var settings = SubscriptionSettings(
            start: plan.has(.latestStart) && random.chance(1, in: 2)
                ? .latest : random.pick([.earliest, .earliest, .offset(7)]),
            retry: RetryPolicy(
                minimumBackoffNanos: random.pick([1_000_000, 100_000_000, 1_000_000_000]),
                maximumBackoffNanos: random.pick([1_000_000_000, 8_000_000_000]),
                maximumFailures: UInt32(random.pick([1, 2, 3, 10]))),
            leaseNanos: random.pick([300_000_000, 2_000_000_000, 30_000_000_000]),
            maximumUnsettled: plan.has(.smallWindow) ? UInt32(random.pick([1, 4, 32])) : 100_000)
        if plan.has(.rateLimit), random.chance(1, in: 2) {
            settings.rateLimit = random.pick([20, 150, 1_000])
        }
        if plan.has(.forwarding), random.chance(2, in: 3) {
            settings.deadLetters.forwardTo = Self.forwardTopic
        }
        if plan.has(.purge), random.chance(1, in: 3) {
            settings.deadLetters.retentionNanos = random.pick([1_000_000_000, 5_000_000_000])
        }
        if plan.has(.breaker), random.chance(2, in: 3) {
            settings.breaker = BreakerPolicy(
                failureThousandths: random.pick([100, 300, 600]),
                windowNanos: random.pick([500_000_000, 5_000_000_000]),
                minimumVerdicts: random.pick([1, 3, 10]),
                openNanos: random.pick([50_000_000, 400_000_000, 2_000_000_000]))
        }
        if plan.has(.retryPolicy) {
            settings.retry.multiplierThousandths = UInt32(
                random.pick([1_000, 1_500, 3_000, 10_000]))
            settings.retry.maximumAgeNanos = random.pick([nil, 50_000_000, 1_000_000_000])
        }
        if plan.has(.abandonment) {
            settings.maximumAbandoned = UInt32(random.pick([1, 1, 2, 3]))
        }
        if plan.has(.ordered), random.chance(2, in: 3) {
            settings.order = OrderPolicy(runLength: UInt32(random.pick([1, 3, 16])))
            if plan.has(.keyHold), random.chance(3, in: 4) { settings.order?.afterDeath = .hold }
        }
        return settings
    }
}

extension SwarmPlan {
    /// Whether dead messages hold their keys on some subscriptions.
    var holdsKeys: Bool { has(.ordered) && has(.keyHold) }
}

extension Simulation {
    /// The clients of the run; the first makes what the others use.
    func setUpClients() {
        var first: [Request] = names.topics(plan).map { .createTopic($0) }
        let topics = names.topics(plan)
        if plan.has(.forwarding) { first.insert(.createTopic(TopologyNames.forwardTopic), at: 0) }
        for (number, name) in names.subscriptions(plan).enumerated() {
            first.append(
                .createSubscription(
                    name, topic: topics[number % topics.count], names.settings(plan, &random)))
        }
        if plan.has(.smallWindow) { hit(.smallWindow) }
        if plan.has(.latestStart) { hit(.latestStart) }
        oracle.transforms = plan.has(.atomicSettle)
        let isAtomic = plan.has(.atomicPublish) || plan.has(.dedup)
        if isAtomic || oracle.transforms {
            oracle.atomics.windowNanos = random.pick([
                1_000_000_000, 4_000_000_000, 30_000_000_000,
            ])
            let window = oracle.atomics.windowNanos
            first += names.atomicTopics.map { .createTopic($0, dedupWindowNanos: window) }
            first.append(
                .createSubscription(
                    names.atomicSubscription, topic: names.atomicTopics[0],
                    names.settings(plan, &random)))
        }
        add(AdministratorClient(self, index: 0, first: first, random: random.split()))
        for number in 0..<plan.producers {
            var mine = topics.filter { _ in random.chance(2, in: 3) }
            if mine.isEmpty { mine = [topics[0]] }
            if plan.has(.topology), number == 0 { mine.append(names.passingTopic) }
            add(
                ProducerClient(
                    self, index: clients.count, number: number, epoch: 1, topics: mine,
                    random: random.split()))
        }
        var subscriptions = names.subscriptions(plan)
        if plan.has(.topology) { subscriptions += names.passing }
        for name in subscriptions {
            if plan.consumers > 1 { hit(.sharedSubscription) }
            for _ in 0..<plan.consumers {
                add(
                    ConsumerClient(
                        self, index: clients.count, subscription: name, random: random.split()))
            }
        }
        if plan.has(.pause) || plan.has(.breaker) {
            add(FlowClient(self, index: clients.count, random: random.split()))
        }
        if plan.has(.redrive) || plan.has(.purge) || plan.has(.editedRedrive) || plan.holdsKeys {
            add(LetterClient(self, index: clients.count, random: random.split()))
        }
        if isAtomic || oracle.transforms {
            let name = names.atomicSubscription
            add(
                ConsumerClient(
                    self, index: clients.count, subscription: name, random: random.split()))
        }
        if isAtomic { add(AtomicClient(self, index: clients.count, random: random.split())) }
        if plan.has(.settingsUpdate) {
            add(SettingsClient(self, index: clients.count, random: random.split()))
        }
        for client in clients.indices { wake(client, after: random.nanos(in: 0...20_000_000)) }
    }
}
