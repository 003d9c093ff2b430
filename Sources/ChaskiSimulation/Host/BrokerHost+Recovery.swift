import ChaskiBroker
import ChaskiModel
import ChaskiStorage
import ChaskiStreams

/// Starting the broker process: recovery, and what must be true after it.
extension BrokerHost {
    /// Opens the directory and serves; when the process dies on the way, or the disk refuses, it
    /// is started again later.
    func start() {
        guard machine == nil else { return }
        beginLife()
        let machine = NamespaceMachine(configuration: settings.broker)
        let crashes = simulation.crashesInRecovery()
        if crashes { disk.faults.crashAt = disk.operations + 1 + random.below(40) }
        if sweepCrashes == 1, !sweepIsOver, let again = options.sweep?.recoveryOperation {
            disk.faults.crashAt = disk.operations + again
        }
        oracle.recoveryBegins()
        let clock = ClockReading(wallNanos: simulation.wall, bootNanos: boot, bootID: bootID)
        let oracle = oracle
        let journal: Journal
        do {
            journal = try Journal.open(
                fileSystem: fileSystem, configuration: settings.journal, clock: clock,
                newIdentity: UInt128(simulation.seed) + 1
            ) { recovered in
                if let damage = recovered.damage {
                    oracle.violated("R4", "damage where there is none: \(damage.message)")
                }
                machine.replay(recovered.entry, time: recovered.time)
                oracle.readBack(recovered.entry)
            }
        } catch {
            return openFailed(error)
        }
        disk.faults = standingFaults()
        guard !disk.hasCrashed else {
            return openFailed(Failure(.internalError, .journalFailed, "died after opening"))
        }
        serve(machine, journal)
    }

    private func openFailed(_ failure: Failure) {
        disk.faults = standingFaults()
        simulation.note("not open", UInt64(life), 0, failure.message)
        if disk.hasCrashed {
            simulation.hit(.crashInRecovery)
            sweepCrashes += 1
            if options.sweep.map({ $0.kind == .powerCut }) ?? random.chance(1, in: 2) {
                disk.powerCut()
                bootStart = simulation.now
                bootID += 1
            } else {
                disk.processKill()
            }
        } else {
            disk.processKill()
            if !simulation.mayRefuseToOpen {
                return oracle.violated("recovery", "the journal does not open: \(failure.message)")
            }
        }
        scheduleStart()
    }

    private func serve(_ machine: NamespaceMachine, _ journal: Journal) {
        self.machine = machine
        servingSince = simulation.now
        service = NamespaceService(machine, sink: self)
        self.journal = journal
        clockOffset = journal.recovery.clockOffset
        simulation.note(
            "recovered", UInt64(journal.recovery.epoch), journal.recovery.replayedGroups)
        if let failure = machine.replayFailure {
            return oracle.violated("recovery", "the core cannot replay: \(failure.message)")
        }
        if let last = journal.recovery.lastTime, now.clock < last.clock {
            oracle.violated("T2", "the broker clock went back at the restart")
        }
        oracle.doubtResolved(cameBack: recoveredDoubt(machine))
        oracle.learnAgedOut()
        machine.recovered(epoch: journal.recovery.epoch, now: now)
        oracle.reconcileTopics(
            machine.topics().map { ($0.id, $0.name, $0.nextOffset) })
        oracle.reconcileSubscriptions(
            machine.subscriptions().map { ($0.id, $0.name, $0.topic, $0.settings) })
        oracle.resolveTakings()
        oracle.recovered(epoch: journal.recovery.epoch, now: now)
        learnVanished()
        journal.index.retainOnly(machine.topics().map { (topic: $0.id, from: $0.firstOffset) })
        for topic in machine.topics() where topic.firstOffset > 0 {
            oracle.released(topic.id, 0..<topic.firstOffset)
        }
        for (topic, ranges) in machine.releasedRanges() {
            for range in ranges {
                oracle.released(topic, range)
                journal.index.released(topic, range)
            }
        }
        for topic in machine.topics() { oracle.passedOver(topic.id, below: topic.earliestStart) }
        announce(journal.spaceState)
        bytesSinceCheckpoint = 0
        isCheckpointing = false
        checkInvariants()
        scheduleMaintenance()
        scheduleUpkeep(after: settings.maintenanceNanos)
        carryOut()
    }

    // MARK: - Checks

    func checkInvariants() {
        checkConservation()
        guard let machine, let problem = machine.checkInvariants() else { return }
        oracle.violated("A9", "the core's invariants: \(problem)")
    }

    /// A9: every message is in one place, and only there.
    func checkConservation() {
        guard let machine else { return }
        for info in machine.subscriptions() {
            guard let end = machine.topic(info.topic)?.nextOffset else { continue }
            let seen =
                info.leased + info.waitingRetry + info.pendingAgain + info.awaitingResume
                + info.dying
            let unseen = end > info.cursor ? end - info.cursor : 0
            guard info.settings.order == nil else { continue }
            guard info.backlog != seen + unseen else { continue }
            oracle.violated(
                "A9",
                "\(info.name) has \(info.backlog) unsettled messages: \(seen) handed out before, "
                    + "\(unseen) never")
        }
    }

    /// What connections and requests took is free again.
    private func checkTables() {
        if let service, service.pendingFollowUps > 0 {
            oracle.violated("tables", "\(service.pendingFollowUps) requests are left over")
        }
        if !asked.isEmpty { oracle.violated("tables", "\(asked.count) commands are unanswered") }
        for number in routes.keys.sorted() where simulation.isHealthy(Int(number)) {
            guard let route = routes[number] else { continue }
            let sizes = route.streams.tableSizes
            if sizes.requests > 0 || route.queuedBytes > 0 {
                oracle.violated(
                    "tables",
                    "connection \(number) has \(sizes.requests) requests and "
                        + "\(route.queuedBytes) bytes left over")
            }
        }
    }

    /// The state after recovery is that of the durable groups, with or without the one in doubt: says
    /// whether it is with that.
    private func recoveredDoubt(_ machine: NamespaceMachine) -> Bool {
        let digest = machine.stateDigest()
        guard shadow.stateDigest() != digest else { return false }
        let expected = shadow.stateLines()
        if let doubt = oracle.groupInDoubt {
            followInShadow(doubt)
            if shadow.stateDigest() == digest { return true }
        }
        oracle.violated(
            "digest",
            "recovery does not bring back the state of the durable groups: "
                + difference(expected, machine.stateLines()))
        return false
    }

    /// The first line in which two cores differ, and what stands before it.
    private func difference(_ expected: [String], _ found: [String]) -> String {
        let same = zip(expected, found).prefix { $0 == $1 }.count
        let before = expected[max(0, same - 3)..<same].joined(separator: ", ")
        let left = same < expected.count ? expected[same] : "nothing"
        let right = same < found.count ? found[same] : "nothing"
        return "after \(before): \(left) expected, \(right) found"
    }

    /// What the core holds as durable is what the durable groups say, and no more.
    func checkDurableState() {
        guard let machine, !shadowIsAhead, !hasFailed, options.host == .none else { return }
        if machine.stateDigest() != shadow.stateDigest() {
            oracle.violated("digest", "the core's durable state is not that of the durable groups")
        }
    }

    func lag(of id: SubscriptionID) -> UInt64? {
        machine?.subscriptions().first { $0.id == id }?.backlog
    }

    var state: String {
        guard let machine else { return "the broker is down" }
        let lagging = machine.subscriptions().filter { $0.backlog > 0 }.prefix(3)
            .map { "\($0.name) has \($0.backlog) unsettled" }.joined(separator: ", ")
        return "group \(group != nil), wants \(machine.wantsGroup), reads \(pendingReads)"
            + (lagging.isEmpty ? "" : "; \(lagging)")
    }

    /// Nothing is under way: the broker's own view, the log, and the dead letters must be those of
    /// the model.
    func checkAtRest() {
        guard let machine, let journal else { return }
        learnAbandoned()
        checkInvariants()
        checkTables()
        checkDurableState()
        checkLeftovers()
        for info in machine.subscriptions() { oracle.checkSettings(info.settings, of: info.id) }
        oracle.checkJitter()
        oracle.checkDrained(lag: { self.lag(of: $0) })
        oracle.checkAnswered()
        for topic in oracle.topicOrder where !topic.removed {
            oracle.checkLog(topic, wholeLog(topic.id, journal))
        }
        for subscription in oracle.subscriptionOrder where !subscription.removed {
            oracle.letters.kept[subscription.id]?.compared = []
            compareLetters(subscription)
        }
        checkLetterCounts()
        oracle.checkCopies()
        oracle.checkOutputs()
    }

    /// Tells the model which messages died abandoned, and nothing else: clients see no more of it than
    /// silence, and the core may be ahead of the answers that the model has seen.
    func learnVanished() {
        guard let machine else { return }
        for subscription in oracle.subscriptionOrder where !subscription.removed {
            guard machine.subscription(named: subscription.name)?.id == subscription.id else {
                continue
            }
            let dead =
                machine.deadLetters(subscription: subscription.name, from: 0, limit: 1_000_000)
                ?? []
            for letter in dead where letter.cause == .abandoned {
                oracle.learnAbandoned(subscription, letter.offset, at: letter.clockNanos)
            }
            learnDying(subscription, machine)
        }
    }

    /// After a group: deaths that nobody is told of are learned before age removes them again.
    func noteDeaths() {
        guard let machine else { return }
        let counts = machine.subscriptions().reduce(UInt64(0)) {
            $0 &* 31 &+ $1.dead &+ $1.redriven &+ $1.purged &+ $1.expired &+ $1.dying &* 17
        }
        guard counts != deathsSeen else { return }
        deathsSeen = counts
        learnVanished()
    }

    /// Compares all dead letters with the model, which learns on the way which died abandoned.
    func learnAbandoned() {
        for subscription in oracle.subscriptionOrder { compareLetters(subscription) }
    }

    private func wholeLog(_ topic: TopicID, _ journal: Journal) -> [StoredBatch] {
        var batches: [StoredBatch] = []
        var from: Offset = 0
        for _ in 0..<1_000_000 {
            var outcome = journal.index.read(topic, from: from, maximumBytes: 1 << 20)
            for _ in 0..<1_000 {
                guard case .load(let plan) = outcome else { break }
                outcome = journal.index.finish(plan.execute(fileSystem))
            }
            switch outcome {
            case .ready(let more):
                guard let last = more.last else { return batches }
                batches += more
                from = last.baseOffset + Offset(last.count)
            case .damaged(let failure):
                oracle.violated("R4", "the log cannot be read: \(failure.message)")
                return batches
            case .end, .load: return batches
            }
        }
        return batches
    }
}
