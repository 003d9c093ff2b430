import ChaskiStorage

/// What goes wrong in the next call of the journal.
struct ArmedFaults {
    /// The process dies in one of the file operations of the next commit.
    var crashInCommit = false
    var crashInMaintenance = false
    /// The next commit's write or sync fails.
    var failedCommit = false
    /// A crash in one of these is a power cut.
    var power = false
}

/// Faults inside the calls of the journal.
extension BrokerHost {
    func armCommitFaults() {
        var faults = disk.faults
        if armed.crashInCommit {
            faults.crashAt = disk.operations + 1 + random.below(5)
        } else if armed.failedCommit {
            if random.chance(1, in: 4) {
                faults.writeFailuresPerMillion = 1_000_000
            } else {
                faults.syncFailuresPerMillion = 1_000_000
            }
        }
        disk.faults = faults
    }

    func armMaintenanceFaults() {
        guard armed.crashInMaintenance else { return }
        disk.faults.crashAt = disk.operations + 1 + random.below(8)
    }

    /// One commit or maintenance is over: what was armed for it has struck, or missed.
    func disarm() {
        let reads = disk.faults.readFailuresPerMillion
        disk.faults = standingFaults()
        disk.faults.readFailuresPerMillion = reads
        armed.failedCommit = false
        armed.crashInCommit = false
    }

    /// The process died in a call of the journal.
    func crashed() {
        var power = armed.power
        if let sweep = options.sweep {
            power = sweep.kind == .powerCut
            sweepCrashes += 1
        }
        die(power: power)
        scheduleStart()
    }

    /// What the sweep wants of the disk, whoever calls it.
    func standingFaults() -> DiskFaults {
        var faults = DiskFaults()
        guard let sweep = options.sweep, !sweepIsOver else { return faults }
        if sweep.kind == .fail {
            faults.failAt = sweep.operation
        } else {
            faults.crashAt = sweep.operation
        }
        return faults
    }

    /// From here on nothing goes wrong any more.
    func endFaults() {
        sweepIsOver = true
        disk.faults = DiskFaults()
    }

    func scheduleStart() {
        let delay = random.skewed(mean: 200_000_000)
        simulation.queue.schedule(.brokerStarts, at: simulation.now + delay)
    }
}
