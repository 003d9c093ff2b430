package import ChaskiModel

/// Whether publishing is possible, as far as disk space goes.
package enum SpaceState: Hashable, Sendable {
    case available
    /// Only the reserve is left: batches are refused, all else goes on.
    case reserveOnly
    /// Not one spare file is left: once the open file is full everything is refused.
    case exhausted

    /// The refusal that publishers get; nil while there is space.
    package var refusal: Failure? {
        switch self {
        case .available: nil
        case .reserveOnly, .exhausted: Failure.diskFull
        }
    }
}

extension Failure {
    /// A publish that the disk has no room for.
    package static let diskFull = Failure(
        .resourceExhausted, .diskFull,
        "The disk is full: nothing was stored. Free space on the data directory's disk; publishing "
            + "resumes by itself.",
        retryAfterNanos: 1_000_000_000)
}

/// What became of a group.
package enum CommitOutcome: Sendable {
    /// It is on disk.
    case durable(CommitReceipt)
    /// Nothing was written and nothing has changed: no space, or too large a group. The journal
    /// goes on.
    case refused(Failure)
    /// It may or may not be on disk; the journal takes nothing more in this process.
    case failed(Failure)
}

/// Proof that a group is on disk, and where: hand it to `JournalIndex.apply`.
package struct CommitReceipt: Sendable {
    /// The file that holds the group, and the bytes of it that are in use now.
    package var file: UInt64
    package var fileEnd: UInt64
    /// Number of the group, dense from 1 over the journal's life.
    package var sequence: UInt64
    /// The batches of the group, in order.
    package var locations: [BatchLocation]
    /// Their bodies, in the same order.
    package var bodies: [Bytes]
    /// Where a recovery would begin to replay now.
    package var replayFrom: JournalPosition
    /// Bytes of the group on disk.
    package var bytes: Int
    package var space: SpaceState
}

/// What `Journal.maintain` did: hand it to `JournalIndex.apply`.
package struct MaintenanceReport: Sendable {
    /// Closed files whose index may be read from disk from now on.
    package var indexed: [UInt64] = []
    /// Files recycled or removed.
    package var dropped: [UInt64] = []
    /// Names of files that are gone, durably; not those that were recycled.
    var removed: [String] = []
    package var space: SpaceState = .available
    /// What ended the journal's life, in this maintenance or before it: no later OK.
    package var failure: Failure?
    /// The upkeep that has taken effect.
    package var upkeep: UpkeepResult?
    /// What went wrong without harm, for the log.
    package var warnings: [String] = []
}
