/// What clients do in a run, switched on and off by the seed: a row of the table of features and
/// faults. It counts where it took effect: by `FeatureEffects`, or by `Simulation.hit`.
package enum Feature: Int, CaseIterable, Sendable {
    case severalTopics, severalProducers, producerTakeover, skippedSequences, sharedSubscription
    case retry, retryDelay, fail, release, extend, lapse, staleVerbs, doubleAck, heartbeat
    case claims, newSession, gracefulClose, changingLimit, smallWindow, latestStart, topology
    case largePayload, compression, wire
    case retryPolicy, abandonment, redrive, editedRedrive, purge, forwarding, ordered, keyHold
    case dedup, atomicPublish, atomicSettle, pause, rateLimit, breaker, compaction, settingsUpdate
}

/// What goes wrong in a run, switched on and off by the seed.
package enum Fault: Int, CaseIterable, Sendable {
    case processKill, powerCut, crashInCommit, crashInMaintenance, crashInRecovery
    case failedSync, diskFull, readError, freeze, clockStep
    case connectionLoss, halfOpen, stall, fragments, slowDisk, tinyFiles, tinyGroups,
        frequentCheckpoints
}

/// What a seed decides about its run before it begins.
package struct SwarmPlan: Sendable {
    package var features: Set<Feature> = []
    package var faults: Set<Fault> = []
    /// Client operations after which faults stop and everything drains.
    package var operations: Int
    /// Mean one-way delay of the network, nanoseconds.
    package var networkNanos: Int64
    /// Mean duration of one group's write and sync, nanoseconds.
    package var syncNanos: Int64
    /// Mean time between two faults that interrupt service, nanoseconds.
    package var faultSpacingNanos: Int64
    package var topics: Int
    package var subscriptions: Int
    package var producers: Int
    package var consumers: Int
    package var maximumBatch: Int
    package var resumeGraceNanos: Int64

    /// A calm, small run; for scenarios that set what they need.
    package init() {
        operations = 50
        networkNanos = 200_000
        syncNanos = 1_000_000
        faultSpacingNanos = 1_000_000_000
        topics = 1
        subscriptions = 2
        producers = 1
        consumers = 1
        maximumBatch = 3
        resumeGraceNanos = 500_000_000
    }

    package init(random: inout SimulationRandom) {
        for feature in Feature.allCases where random.chance(1, in: 2) {
            features.insert(feature)
        }
        // One seed in four has calm weather; the others draw each fault with a bias of their own.
        if !random.chance(1, in: 4) {
            let bias = random.integer(in: 1...3)
            for fault in Fault.allCases where random.chance(bias, in: 5) {
                faults.insert(fault)
            }
        }
        operations = 1_600 + random.below(1_800)
        networkNanos = random.pick([50_000, 200_000, 1_000_000, 5_000_000])
        syncNanos = random.pick([300_000, 1_000_000, 3_000_000])
        if faults.contains(.slowDisk) { syncNanos *= 10 }
        faultSpacingNanos = random.pick([400_000_000, 1_500_000_000, 5_000_000_000])
        topics = features.contains(.severalTopics) ? random.integer(in: 2...4) : 1
        subscriptions = random.integer(in: 1...3)
        producers = features.contains(.severalProducers) ? random.integer(in: 2...4) : 1
        consumers = features.contains(.sharedSubscription) ? random.integer(in: 2...3) : 1
        maximumBatch = random.pick([1, 3, 8])
        resumeGraceNanos = random.pick([500_000_000, 2_000_000_000, 10_000_000_000])
    }

    package func has(_ feature: Feature) -> Bool { features.contains(feature) }
    package func has(_ fault: Fault) -> Bool { faults.contains(fault) }
}
