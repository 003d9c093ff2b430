import ChaskiBroker
import ChaskiStorage

/// The sizes and paces that a seed gives to the broker and its journal.
struct HostSettings {
    var broker: BrokerConfiguration
    var journal: JournalConfiguration
    /// Mean nanoseconds of one write with its sync, and of one read.
    var syncNanos: Int64
    var readNanos: Int64
    /// Nanoseconds between two maintenances.
    var maintenanceNanos: Int64
    /// Bytes that upkeep reads or writes at a time.
    var upkeepBytes: Int
    /// Events between two checks of the core's own invariants.
    var invariantSpacing: Int

    init(plan: SwarmPlan, random: inout SimulationRandom) {
        var broker = BrokerConfiguration(seed: random.next())
        broker.resumeGraceNanos = plan.resumeGraceNanos
        broker.minimumCeilingStep = random.pick([1, 8, 64])
        broker.maximumCeilingStep = max(broker.minimumCeilingStep, random.pick([16, 256, 16_384]))
        broker.prefetchBytes = random.pick([8_192, 65_536, 1_048_576])
        let sliceBytes = random.pick([1_024, 8_192, 262_144])
        broker.maximumDedupIDs = random.pick([6, 16, 1_000])
        broker.repeatChunks = random.pick([2, 64, 1_024])
        var journal = JournalConfiguration()
        journal.fileBytes = plan.has(.tinyFiles) ? random.pick([65_536, 131_072]) : 1 << 20
        // A group with a slice fits into a file, with room for what else it has.
        broker.checkpointSliceBytes = min(sliceBytes, journal.fileBytes / 4)
        self.broker = broker
        journal.reserveBytes = journal.fileBytes * random.integer(in: 1...2)
        journal.checkpointBytes =
            plan.has(.frequentCheckpoints) ? random.pick([16_384, 60_000]) : 400_000
        journal.maximumGroupBytes = plan.has(.tinyGroups) ? random.pick([256, 2_048]) : 32_768
        journal.cacheBytes = random.pick([0, 8_192, 1 << 20])
        journal.indexCacheBytes = random.pick([0, 4_096, 1 << 20])
        journal.filesAhead = random.integer(in: 0...2)
        journal.spacePollNanos = 200_000_000
        self.journal = journal
        syncNanos = plan.syncNanos
        readNanos = random.pick([50_000, 1_000_000])
        maintenanceNanos = random.pick([50_000_000, 500_000_000])
        invariantSpacing = random.pick([8, 64, 256])
        upkeepBytes = random.pick([512, 4_096, 65_536])
    }
}
