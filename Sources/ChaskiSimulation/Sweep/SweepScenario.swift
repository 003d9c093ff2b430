/// A short piece of life, the same every time, of which every file operation goes wrong once.
package enum SweepScenario: String, Sendable, CaseIterable {
    /// Producers only, small files.
    case publish
    /// Producers and consumers with every verb.
    case consume
    /// The process is killed and started several times on the way.
    case restart
    /// The disk fills, and has room again.
    case fullDisk = "full-disk"
    /// Files of which little is needed: dead letters of one topic among what others settle.
    case compaction
    /// The real wire, in pieces.
    case wire
    /// Topics and subscriptions come and go.
    case topology
    /// Instances of a producer replace each other, and sequences are given up.
    case takeover
    /// Consumers that hold back, vanish, and come back as others, with a window of few messages.
    case sessions
    /// Messages of a key, settled in one step with what is made of them, and published with ids.
    case atomic
    /// Messages of a key die, hold it, are forwarded, redriven, edited and purged.
    case letters

    var plan: SwarmPlan {
        var plan = SwarmPlan()
        plan.operations = 40
        plan.faults = [.tinyFiles, .tinyGroups, .frequentCheckpoints]
        switch self {
        case .publish:
            plan.features = [.severalTopics]
            plan.topics = 2
            plan.subscriptions = 1
        case .consume:
            plan.features = [.retry, .fail, .release, .extend, .claims, .heartbeat]
            plan.operations = 60
        case .restart:
            plan.features = [.retry, .fail, .claims]
            plan.faults.formUnion([.processKill, .powerCut])
            plan.faultSpacingNanos = 250_000_000
            plan.operations = 25
        case .fullDisk:
            plan.features = [.retry, .largePayload]
            plan.faults.insert(.diskFull)
            plan.faultSpacingNanos = 100_000_000
            plan.operations = 60
        case .compaction:
            plan.features = [.severalTopics, .fail, .largePayload]
            plan.topics = 3
            plan.operations = 90
        case .wire:
            plan.features = [.wire, .retry, .claims, .compression]
            plan.faults.insert(.fragments)
        case .topology:
            plan.features = [.topology, .latestStart]
            plan.operations = 50
        case .takeover:
            plan.features = [.producerTakeover, .skippedSequences, .severalProducers]
            plan.producers = 2
            plan.subscriptions = 1
        case .sessions:
            plan.features = [.lapse, .newSession, .gracefulClose, .smallWindow, .release]
            plan.consumers = 2
            plan.subscriptions = 1
        case .atomic:
            plan.features = [.atomicPublish, .atomicSettle, .dedup, .ordered, .retry]
            plan.subscriptions = 1
        case .letters:
            plan.features = [
                .ordered, .keyHold, .retryPolicy, .retry, .fail, .forwarding, .redrive,
                .editedRedrive, .purge,
            ]
            plan.subscriptions = 1
            plan.operations = 60
        }
        return plan
    }

    var options: SimulationOptions {
        var options = SimulationOptions()
        options.plan = plan
        return options
    }
}

/// What came of a sweep.
package struct SweepReport: Sendable {
    package var runs = 0
    package var operations = 0
    /// The faults that broke a promise, and the first promise that each broke.
    package var failures: [(fault: SweepFault, violation: Violation)] = []
}

extension SweepScenario {
    /// Runs the scenario once for every way in which one file operation may go wrong, and once
    /// more for every operation of each recovery that follows a power cut.
    ///
    /// - Parameter progress: called with the number of the operation, and how many there are.
    package func sweep(seed: UInt64, progress: (Int, Int) -> Void) -> SweepReport {
        var report = SweepReport()
        let dry = Simulation(seed: seed, options: options)
        dry.run()
        report.runs += 1
        if let violation = dry.violations.first {
            let none = SweepFault(kind: .fail, operation: 0)
            report.failures.append((fault: none, violation: violation))
            return report
        }
        report.operations = dry.diskOperationsBeforeEnd
        for number in 1...max(1, report.operations) {
            progress(number, report.operations)
            for kind in SweepFault.Kind.allCases {
                _ = run(SweepFault(kind: kind, operation: number), seed, &report)
            }
            var again = 1
            // Until the recovery has fewer operations than that; none has as many as the bound.
            while again < 10_000 {
                let fault = SweepFault(
                    kind: .powerCut, operation: number, recoveryOperation: again)
                guard run(fault, seed, &report) else { break }
                again += 1
            }
        }
        return report
    }

    /// True when the second crash, if one was asked for, took place.
    private func run(_ fault: SweepFault, _ seed: UInt64, _ report: inout SweepReport) -> Bool {
        var options = options
        options.sweep = fault
        let simulation = Simulation(seed: seed, options: options)
        simulation.run()
        report.runs += 1
        if let violation = simulation.violations.first, report.failures.count < 1_000 {
            report.failures.append((fault: fault, violation: violation))
        }
        return simulation.crashedInRecovery
    }

    /// Runs one fault again and prints its history.
    package func replay(
        _ fault: SweepFault, seed: UInt64, printer: @escaping @Sendable (String) -> Void
    ) -> [Violation] {
        var options = options
        options.sweep = fault
        options.printer = printer
        let simulation = Simulation(seed: seed, options: options)
        simulation.run()
        return simulation.violations
    }
}
