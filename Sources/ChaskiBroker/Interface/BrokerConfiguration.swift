package import ChaskiModel

/// The settings of one namespace's broker. Everything that could grow has its bound here.
package struct BrokerConfiguration: Sendable {
    /// Where jitter comes from; equal seeds and equal events give equal effects.
    package var seed: UInt64
    /// How long what a session holds waits for it after a disconnect or a restart, nanoseconds.
    package var resumeGraceNanos: Int64 = Limits.resumeGraceNanos
    /// A timer that fires later than this was paused: leases that ran out meanwhile are not acted on
    /// before `pauseGraceNanos` more.
    package var pauseDetectionNanos: Int64 = 1_000_000_000
    package var pauseGraceNanos: Int64 = 3_000_000_000
    /// Topics, subscriptions and names of deleted topics that the namespace remembers.
    package var maximumTopics = 10_000
    package var maximumSubscriptions = 100_000
    package var maximumForgottenNames = 10_000
    /// Consumers at once.
    package var maximumConsumers = 100_000
    /// Sessions remembered (those without a consumer for at most `repeatWindowNanos`).
    package var maximumSessions = 100_000
    /// Pairs of producer and topic remembered.
    package var maximumProducers = 100_000
    /// A producer idle for longer is forgotten, nanoseconds: 24 h.
    package var producerExpiryNanos: Int64 = 24 * 3_600_000_000_000
    /// Recent batches remembered per producer and topic, so that resending them is answered.
    package var sequenceRanges = 128
    /// Dedup ids remembered in the namespace; beyond it, messages with new ids are refused.
    package var maximumDedupIDs = 4_000_000
    /// For how long an atomic request sent again is answered alike, nanoseconds: 10 min.
    package var transactionWindowNanos: Int64 = 600_000_000_000
    /// Atomic requests remembered for that: their parts, and duplicates that they named, together;
    /// beyond it, they are refused.
    package var maximumTransactionParts = 2_000_000
    /// Requests that may wait for one batch in flight.
    package var maximumWaitersPerBatch = 16
    /// For how long an ack repeated by its session is answered OK again, nanoseconds: 10 min.
    package var repeatWindowNanos: Int64 = 600_000_000_000
    /// Pieces of 256 settled messages kept for that, in the namespace.
    package var repeatChunks = 1_024
    /// Bytes of batches, and number of other requests, that may wait for the journal.
    package var maximumQueuedBytes = 64 * 1024 * 1024
    package var maximumQueuedRequests = 100_000
    /// Bytes of batches that a subscription keeps ready to hand out.
    package var prefetchBytes = 1024 * 1024
    /// The smallest and the largest step in which a subscription's hand-out ceiling rises.
    package var minimumCeilingStep: UInt64 = 64
    package var maximumCeilingStep: UInt64 = 16_384
    /// Dead letters of the namespace's subscriptions together; beyond it, what should die waits.
    package var maximumDeadLetters = 1_000_000
    /// Bytes that a topic may hold when its settings do not say.
    package var topicBytes: UInt64 = 1 << 40
    /// Bytes of checkpoint sections that ride in one group, about.
    package var checkpointSliceBytes = 256 * 1024

    package init(seed: UInt64) { self.seed = seed }
}

/// Whether a namespace takes messages at the moment.
package enum PublishingState: Sendable {
    case allowed
    /// Publishes are refused with this at the door; everything else goes on.
    case refused(Failure)
}
