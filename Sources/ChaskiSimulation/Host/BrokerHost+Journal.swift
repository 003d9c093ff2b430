import ChaskiBroker
import ChaskiModel
import ChaskiStorage

/// The journal thread, the readers, checkpoints and maintenance.
extension BrokerHost {
    /// Gives the journal thread the next group, when it is free.
    func offerGroup() {
        guard let machine, !journalBusy, group == nil, !hasFailed else { return }
        guard
            let next = machine.takeGroup(
                maximumBytes: settings.journal.maximumGroupBytes, now: now)
        else { return }
        precondition(!next.entries.isEmpty, "a group without entries")
        group = next
        journalBusy = true
        simulation.note("group", UInt64(next.entries.count), next.beginsCheckpoint ?? 0)
        if options.host == .answerBeforeSync {
            machine.durable(now: now, effects: &effects)
            emit()
        }
        let latency = random.skewed(mean: settings.syncNanos)
        simulation.queue.schedule(.groupWritten(life: life), at: simulation.now + latency)
    }

    func writeGroup() {
        guard let journal, let group else { return }
        armCommitFaults()
        oracle.writeBegins(group)
        let outcome = journal.commit(group)
        disarm()
        if disk.hasCrashed {
            simulation.hit(.crashInCommit)
            return crashed()
        }
        switch outcome {
        case .durable(let receipt):
            oracle.writeReturned()
            followInShadow(group)
            shadowIsAhead = true
            // A cycle's own groups do not bring the next one nearer.
            if group.beginsCheckpoint != nil { isCheckpointing = true }
            if !isCheckpointing { bytesSinceCheckpoint += receipt.bytes }
            if group.endsCheckpoint != nil { isCheckpointing = false }
        case .refused: oracle.writeRefused()
        case .failed: simulation.hit(.failedSync)
        }
        let latency = random.skewed(mean: 20_000)
        simulation.queue.schedule(.groupAnswered(life: life, outcome), at: simulation.now + latency)
    }

    /// Replays a group without its checkpoint sections, whose moment counts all the same: a batch of
    /// no topic carries it.
    func followInShadow(_ group: JournalGroup) {
        shadow.replay(JournalEntry(kind: .batch, body: []), time: group.time)
        for entry in group.entries where entry.kind != .section {
            shadow.replay(entry, time: group.time)
        }
    }

    func groupAnswered(_ outcome: CommitOutcome) {
        guard let machine else { return }
        group = nil
        journalBusy = false
        shadowIsAhead = false
        switch outcome {
        case .durable(let receipt):
            simulation.note("durable", receipt.sequence, UInt64(receipt.bytes))
            journal?.index.apply(receipt)
            announce(receipt.space)
            if options.host != .answerBeforeSync { machine.durable(now: now, effects: &effects) }
            oracle.learnAgedOut()
        case .refused(let failure):
            simulation.note("refused", 0, 0, failure.message)
            simulation.hit(.diskFull)
            machine.refused(failure, now: now, effects: &effects)
            if let journal { announce(journal.spaceState) }
        case .failed(let failure): failed(failure, machine, &effects)
        }
        if bytesSinceCheckpoint >= settings.journal.checkpointBytes {
            bytesSinceCheckpoint = 0
            machine.beginCheckpoint()
            if simulation.plan.has(.frequentCheckpoints) { simulation.hit(.frequentCheckpoints) }
        }
        carryOut()
        noteDeaths()
    }

    /// The journal's life is over; somebody will start the broker again.
    private func failed(
        _ failure: Failure, _ machine: NamespaceMachine, _ effects: inout [Effect]
    ) {
        simulation.note("failed", 0, 0, failure.message)
        hasFailed = true
        machine.failed(failure, effects: &effects)
        let delay = random.skewed(mean: 20_000_000)
        simulation.queue.schedule(
            .brokerDies(life: life, power: random.chance(1, in: 2)), at: simulation.now + delay)
    }

    func announce(_ space: SpaceState) {
        refusal = space.refusal
        if let refusal = space.refusal {
            machine?.setPublishing(.refused(refusal))
        } else {
            machine?.setPublishing(.allowed)
        }
    }

    // MARK: - Maintenance

    func scheduleMaintenance() {
        let delay = random.skewed(mean: settings.maintenanceNanos)
        simulation.queue.schedule(.maintenanceDue(life: life), at: simulation.now + delay)
    }

    func maintain() {
        guard let journal, !hasFailed else { return }
        guard !journalBusy else {
            let soon = simulation.now + 1_000_000
            simulation.queue.schedule(.maintenanceDue(life: life), at: soon)
            return
        }
        journalBusy = true
        armMaintenanceFaults()
        let report = journal.maintain(upkeep: upkeep.takeResult(), bootNanos: boot)
        disarm()
        if disk.hasCrashed {
            simulation.hit(.crashInMaintenance)
            return crashed()
        }
        let latency = random.skewed(mean: settings.syncNanos)
        simulation.queue.schedule(
            .maintenanceDone(life: life, report), at: simulation.now + latency)
    }

    func maintained(_ report: MaintenanceReport) {
        journalBusy = false
        simulation.note("maintained", UInt64(report.indexed.count), UInt64(report.dropped.count))
        journal?.index.apply(report)
        if let failure = report.failure {
            if let machine { failed(failure, machine, &effects) }
            return carryOut()
        }
        if let done = report.upkeep { tookUpkeep(done) }
        announce(report.space)
        if report.space.refusal != nil, journal?.index.hasFileForCheckpointOnly() == true {
            bytesSinceCheckpoint = 0
            machine?.beginCheckpoint()
        }
        scheduleMaintenance()
        carryOut()
    }

    // MARK: - Reading

    func read(_ request: ReadRequest) {
        guard let journal else { return }
        simulation.note("read", request.topic.rawValue, request.from)
        let outcome = journal.index.read(
            request.topic, from: request.from, maximumBytes: request.maximumBytes)
        pendingReads += 1
        route(request.id, outcome)
    }

    private func route(_ id: ReadID, _ outcome: ReadOutcome) {
        if case .load(let plan) = outcome {
            let latency = random.skewed(mean: settings.readNanos)
            simulation.queue.schedule(
                .readExecuted(life: life, id, plan), at: simulation.now + latency)
        } else {
            simulation.queue.schedule(
                .readAnswered(life: life, id, outcome), at: simulation.now)
        }
    }

    func execute(_ id: ReadID, _ plan: LoadPlan) {
        guard let journal else { return }
        let before = disk.effectiveFaults
        let result = plan.execute(fileSystem)
        if disk.hasCrashed { return crashed() }
        if disk.effectiveFaults > before { simulation.hit(.readError) }
        route(id, journal.index.finish(result))
    }

    func readAnswered(_ id: ReadID, _ outcome: ReadOutcome) {
        guard let machine else { return }
        pendingReads -= 1
        let result: Result<[StoredBatch], Failure>
        switch outcome {
        case .ready(let batches): result = .success(batches)
        case .end: result = .success([])
        case .damaged(let failure): result = .failure(failure)
        case .load: preconditionFailure("routed before")
        }
        simulation.note("loaded", id.rawValue)
        machine.loaded(id, result, now: now, effects: &effects)
        carryOut()
    }
}
