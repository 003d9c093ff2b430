package import ChaskiModel

/// One reading of the host's clocks.
package struct ClockReading: Hashable, Sendable {
    /// Nanoseconds since 1970.
    package var wallNanos: Int64
    /// Nanoseconds since boot, suspend included.
    package var bootNanos: Int64
    /// Identifies the boot that `bootNanos` counts from.
    package var bootID: UInt128

    package init(wallNanos: Int64, bootNanos: Int64, bootID: UInt128) {
        self.wallNanos = wallNanos
        self.bootNanos = bootNanos
        self.bootID = bootID
    }
}

/// One entry read back while the journal opens, in journal order.
package struct RecoveredEntry: Sendable {
    package var entry: JournalEntry
    /// The moment of its group.
    package var time: Now
    /// The group that holds it.
    package var group: JournalPosition
    /// Why the body must not be looked at: it is damaged, and so its topic is. Batches only.
    package var damage: Failure?
}

/// A batch whose bytes are not what was written.
package struct BatchDamage: Hashable, Sendable {
    package var file: UInt64
    package var location: BatchLocation
    package var failure: Failure
}

/// What opening found and did.
package struct RecoveryReport: Sendable {
    /// Higher than any that was ever in force on this journal, and durable.
    package var epoch: UInt32 = 0
    /// The time of the last group; nil in a new journal.
    package var lastTime: Now?
    /// Add it to `bootNanos` to continue the broker clock.
    package var clockOffset: Int64 = 0
    /// Groups and bytes replayed.
    package var replayedGroups: UInt64 = 0
    package var replayedBytes: UInt64 = 0
    /// The position behind which an unfinished write was cut off; nil when there was none.
    package var cutTail: JournalPosition?
    /// Whether the last group, being in doubt, was written anew.
    package var rewroteLastGroup = false
    /// Batches that must not be served, at most 1,000 of them named.
    package var damage: [BatchDamage] = []
    /// Files whose index was made by reading them, for want of a sidecar.
    package var scannedFiles: [UInt64] = []
    /// Journal files, the new one included.
    package var files: Int = 0
    /// Segments.
    package var segments: Int = 0
    /// Segments whose header is not what was written: what they held of their topics cannot be
    /// read.
    package var damagedSegments: [SegmentID] = []
}
