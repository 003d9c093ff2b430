import ChaskiModel
import ChaskiStorage

/// When things go wrong: one fault after another, of the kinds that the seed switched on.
extension Simulation {
    /// Faults that strike at a moment; the others are traits of the whole run.
    private static let striking: [Fault] = [
        .processKill, .powerCut, .crashInCommit, .crashInMaintenance, .failedSync, .diskFull,
        .readError, .freeze, .clockStep, .connectionLoss, .halfOpen, .stall,
    ]

    func scheduleFault() {
        guard !isDraining, !plan.faults.isEmpty else { return }
        let delay = faultRandom.skewed(mean: plan.faultSpacingNanos)
        queue.schedule(.faultStrikes, at: now + delay)
    }

    func strike() {
        guard !isDraining else { return }
        defer { scheduleFault() }
        let candidates = Self.striking.filter { plan.has($0) }
        guard !candidates.isEmpty else { return }
        let fault = faultRandom.pick(candidates)
        note("fault", UInt64(fault.rawValue), 0, "\(fault)")
        switch fault {
        case .connectionLoss, .halfOpen: cutSome(halfOpen: fault == .halfOpen)
        case .stall: stallSome()
        case .clockStep:
            stepClock()
        case .diskFull:
            disk.capacityBytes = disk.usedBytes + faultRandom.below(40_000)
            queue.schedule(
                .faultEnds(.diskFull),
                at: now + faultRandom.nanos(in: 500_000_000...12_000_000_000))
        case .readError:
            disk.faults.readFailuresPerMillion = 500_000
            queue.schedule(
                .faultEnds(.readError), at: now + faultRandom.nanos(in: 500_000_000...6_000_000_000)
            )
        default: strikeBroker(fault)
        }
    }

    private var disk: SimulatedFileSystem { host.disk }

    /// An hour to and fro. The steps forward stay below a day in all: with a restart after each the
    /// broker's clock takes them all for time that passed, and a day makes it forget a producer.
    private func stepClock() {
        hit(.clockStep)
        let hour: Int64 = 3_600_000_000_000
        guard clockStepsForward < 20, faultRandom.chance(1, in: 2) else {
            wallOffset -= hour
            return
        }
        clockStepsForward += 1
        wallOffset += hour
    }

    private func strikeBroker(_ fault: Fault) {
        guard host.isServing else { return }
        switch fault {
        case .processKill, .powerCut:
            hit(fault)
            host.die(power: fault == .powerCut)
            host.scheduleStart()
        case .crashInCommit:
            host.armed.crashInCommit = true
            host.armed.power = faultRandom.chance(2, in: 3)
        case .crashInMaintenance:
            host.armed.crashInMaintenance = true
            host.armed.power = faultRandom.chance(2, in: 3)
        case .failedSync: host.armed.failedCommit = true
        case .freeze:
            // One freeze after the other is a broker that never runs.
            guard now >= nextFreeze else { return }
            hit(.freeze)
            let end = now + 30_000_000_000
            nextFreeze = end + faultRandom.nanos(in: 1_000_000_000...30_000_000_000)
            host.pausedUntil = end
            oracle.paused(
                from: host.now.clock, to: host.now.clock + 30_000_000_000, host.settings.broker)
        default: preconditionFailure("not a fault of the broker")
        }
    }

    private func cutSome(halfOpen: Bool) {
        let live = liveConnections
        guard !live.isEmpty else { return }
        hit(halfOpen ? .halfOpen : .connectionLoss)
        let all = faultRandom.chance(1, in: 5)
        for number in all ? live : [faultRandom.pick(live)] { cut(number, halfOpen: halfOpen) }
    }

    private func stallSome() {
        let live = liveConnections
        guard !live.isEmpty else { return }
        hit(.stall)
        let all = faultRandom.chance(1, in: 5)
        for number in all ? live : [faultRandom.pick(live)] {
            stall(number, nanos: faultRandom.nanos(in: 50_000_000...20_000_000_000))
        }
    }

    private var liveConnections: [Int] {
        (firstLiveConnection..<connections.count).filter {
            !connections[$0].isCut && !connections[$0].clientKnows
        }
    }

    func faultEnds(_ fault: Fault) {
        switch fault {
        case .diskFull:
            guard isDiskFull else { return }
            disk.capacityBytes = 1 << 40
            expectRoom()
        case .readError: disk.faults.readFailuresPerMillion = 0
        default: break
        }
    }

    func stopFaults() {
        faultEnds(.diskFull)
        faultEnds(.readError)
        host.armed = ArmedFaults()
        if plan.has(.readError), host.isServing {
            // What could not be read is read again by a new process.
            host.die(power: false)
            host.scheduleStart()
        }
    }

    /// Whether the recovery that begins now shall die on its way.
    func crashesInRecovery() -> Bool {
        !isDraining && plan.has(.crashInRecovery) && faultRandom.chance(1, in: 2)
    }

    var isDiskFull: Bool { disk.capacityBytes < 1 << 40 }

    /// A disk that is full or unreadable is a good reason not to serve.
    var mayRefuseToOpen: Bool {
        options.sweep?.kind == .fail || isDiskFull
            || disk.faults.readFailuresPerMillion > 0
    }
}
