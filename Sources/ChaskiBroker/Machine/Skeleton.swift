package import ChaskiModel

extension NamespaceMachine {
    // Recovery
    /// Why the journal could not be replayed; the namespace is fenced then: it answers every
    /// command with it.
    package var replayFailure: Failure? { nil }
    /// Applies one entry of the journal, in journal order.
    package func replay(_ entry: JournalEntry, time: Now) {}
    /// The journal is replayed: from now on commands are taken, and tokens carry `epoch`.
    package func recovered(epoch: UInt32, now: Now) {}
    /// Everything that no subscription needs any more, by topic; to tell storage after recovery.
    package func releasedRanges() -> [(topic: TopicID, ranges: [Range<Offset>])] { [] }

    // Running
    package func handle(_ command: Command, now: Now, effects: inout [Effect]) {}
    package func takeGroup(maximumBytes: Int, now: Now) -> JournalGroup? { nil }
    package func durable(now: Now, effects: inout [Effect]) {}
    package func refused(_ failure: Failure, now: Now, effects: inout [Effect]) {}
    package func failed(_ failure: Failure, effects: inout [Effect]) {}
    package func setPublishing(_ state: PublishingState) {}
    package func loaded(
        _ id: ReadID, _ result: Result<[StoredBatch], Failure>, now: Now, effects: inout [Effect]
    ) {}
    package func timerFired(now: Now, effects: inout [Effect]) {}
    package var nextTimerNanos: Int64? { nil }
    package func beginCheckpoint() {}
    /// Whether `takeGroup` would return a group.
    package var wantsGroup: Bool { false }

    // Queries
    package func topics() -> [TopicInfo] { [] }
    package func topic(named name: String) -> TopicInfo? { nil }
    package func topic(_ id: TopicID) -> TopicInfo? { nil }
    package func subscriptions() -> [SubscriptionInfo] { [] }
    package func subscription(named name: String) -> SubscriptionInfo? { nil }
    package func deadLetters(subscription: String, from: Offset, limit: Int) -> [DeadLetter]? { nil }
    package func messageState(subscription: String, offset: Offset) -> MessageState? { nil }
    package func stateDigest() -> UInt64 { 0 }
    package func checkInvariants() -> String? { nil }
}
