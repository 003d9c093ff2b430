import ChaskiModel
import ChaskiStorage

/// Where the host's upkeep stands, and what it did over all lives.
struct HostUpkeep {
    /// A plan was begun, and its result has not taken effect.
    fileprivate var isUnderWay = false
    fileprivate var result: UpkeepResult?
    fileprivate(set) var figures = UpkeepFigures()

    /// What waits for the next maintenance.
    mutating func takeResult() -> UpkeepResult? { result.take() }

    mutating func died() {
        isUnderWay = false
        result = nil
    }
}

/// Compaction and history: a thread of its own, a slice at a time, between everything else.
extension BrokerHost {
    func scheduleUpkeep(after mean: Int64) {
        let delay = random.skewed(mean: mean)
        simulation.queue.schedule(.upkeepDue(life: life), at: simulation.now + delay)
    }

    func continueUpkeep() {
        guard let journal, !hasFailed, upkeep.result == nil else { return }
        if !upkeep.isUnderWay {
            let isShort = journal.spaceState.refusal != nil
            guard
                let plan = journal.index.nextUpkeep(isSpaceShort: isShort, clock: now.clock)
            else { return scheduleUpkeep(after: settings.maintenanceNanos) }
            upkeep.isUnderWay = true
            journal.begin(plan)
        }
        if armed.crashInMaintenance, random.chance(1, in: 4) { armMaintenanceFaults() }
        let step = journal.stepUpkeep(maximumBytes: settings.upkeepBytes, now: now)
        let reads = disk.faults.readFailuresPerMillion
        disk.faults = standingFaults()
        disk.faults.readFailuresPerMillion = reads
        if disk.hasCrashed {
            simulation.hit(.crashInMaintenance)
            return crashed()
        }
        switch step {
        case .working: scheduleUpkeep(after: settings.readNanos)
        case .finished(let result): upkeep.result = result
        }
    }

    /// A maintenance put it into effect.
    func tookUpkeep(_ result: UpkeepResult) {
        upkeep.isUnderWay = false
        upkeep.figures.add(result.figures)
        if result.figures.compactions > 0 { simulation.hit(.compaction) }
        simulation.note("upkeep", result.figures.compactions, result.figures.historyEntries)
        scheduleUpkeep(after: settings.readNanos)
    }

    /// At rest nothing of an earlier attempt lies about.
    func checkLeftovers() {
        guard let journal, !hasFailed, !upkeep.isUnderWay else { return }
        _ = journal.maintain(bootNanos: boot)
        for name in disk.names where name.hasPrefix("partial-") {
            oracle.violated("space", "\(name) is left of something that did not finish")
        }
    }
}
