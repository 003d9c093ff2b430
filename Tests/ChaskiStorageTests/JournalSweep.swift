import ChaskiSimulation
import Testing

/// What a fault at every file operation of a scenario does, one operation after the other. The first
/// broken promise is recorded with the way to it, and ends the sweep.
struct JournalSweep {
    let scenario: JournalScenario
    /// File operations of the scenario without a fault.
    let operations: Int
    /// The lives after the fault, and what is checked of them.
    let liveOn: (SimulatedFileSystem, inout JournalOracle) throws -> Void

    /// Every operation is the last of the process, which is run `times` with other chances.
    func crashEverywhere(powerCut: Bool, times: Int = 1) throws {
        for number in 1...operations {
            for time in 0..<times {
                let disk = SimulatedFileSystem(seed: UInt64(number * times + time))
                disk.faults.crashAt = number
                var oracle = JournalOracle()
                try scenario.run(disk, &oracle)
                if powerCut { disk.powerCut() } else { disk.processKill() }
                guard goesOn(disk, &oracle, "crash at operation \(number), time \(time)") else {
                    return
                }
            }
        }
    }

    /// Every operation fails, alone or with all that follow.
    func failEverywhere(fromThereOn: Bool) throws {
        for number in 1...operations {
            let disk = SimulatedFileSystem(seed: UInt64(number))
            if fromThereOn { disk.faults.failFrom = number } else { disk.faults.failAt = number }
            var oracle = JournalOracle()
            try scenario.run(disk, &oracle)
            disk.faults = DiskFaults()
            if number % 2 == 0 { disk.powerCut() } else { disk.processKill() }
            guard goesOn(disk, &oracle, "failure at operation \(number)") else { return }
        }
    }

    /// After a crash at each `step`-th operation, every operation of the recovery is the last of its
    /// process; says how many recoveries there were.
    func crashInEveryRecovery(step: Int = 1) throws -> Int {
        var runs = 0
        for number in stride(from: 1, through: operations, by: step) {
            var again = 1
            while true {
                let disk = SimulatedFileSystem(seed: UInt64(number &* 1_000 &+ again))
                disk.faults.crashAt = number
                var oracle = JournalOracle()
                try scenario.run(disk, &oracle)
                disk.powerCut()
                disk.faults.crashAt = disk.operations + again
                let opened = JournalScenario.open(disk)
                disk.faults = DiskFaults()
                runs += 1
                if disk.hasCrashed {
                    if again % 2 == 0 { disk.powerCut() } else { disk.processKill() }
                } else if let opened {
                    try oracle.check(opened)
                    break
                }
                let way = "crash at \(number), then at \(again) of recovery"
                guard goesOn(disk, &oracle, way) else { return runs }
                again += 1
            }
        }
        return runs
    }

    private func goesOn(
        _ disk: SimulatedFileSystem, _ oracle: inout JournalOracle, _ way: String
    ) -> Bool {
        do {
            try liveOn(disk, &oracle)
            return true
        } catch {
            Issue.record("\(way): \(error)")
            return false
        }
    }
}
