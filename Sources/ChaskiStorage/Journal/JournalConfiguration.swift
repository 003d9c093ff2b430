package import ChaskiModel

/// The sizes that a journal works with. A journal's files may differ in size over its life: each
/// keeps the size that it was made with.
package struct JournalConfiguration: Hashable, Sendable {
    /// Bytes of a journal file, allocated ahead; a multiple of 4096, at least 16 KiB, below 4 GiB.
    package var fileBytes: Int
    /// Allocated bytes that only verdicts, checkpoints and deletions may use.
    package var reserveBytes: Int
    /// Bytes of journal after which the host begins a checkpoint cycle.
    package var checkpointBytes: Int
    /// Bytes of entries that the host shall gather into one group; a larger single entry is
    /// accepted as long as its group fits a file.
    package var maximumGroupBytes: Int
    /// Bytes of recent batches kept in memory for readers at the tail.
    package var cacheBytes: Int
    /// Bytes of closed files' indexes kept in memory.
    package var indexCacheBytes: Int
    /// Files allocated ahead beyond the reserve.
    package var filesAhead: Int
    /// Nanoseconds between two attempts to get space on a full disk.
    package var spacePollNanos: Int64
    /// Nanoseconds that history is kept after its journal file is gone; 0 keeps none.
    package var historyNanos: Int64 = 7 * 86_400_000_000_000
    /// Bytes of history files, about; 0 stands for a twentieth of the disk.
    package var historyBytes: UInt64 = 0
    /// Bytes that upkeep may read or write in a second while the disk is not full; for the host,
    /// which paces it. 0 sets no limit.
    package var compactionBytesPerSecond: Int = 32 << 20

    package init(
        fileBytes: Int = 64 << 20, reserveBytes: Int = 128 << 20,
        checkpointBytes: Int = 256 << 20, maximumGroupBytes: Int = 4 << 20,
        cacheBytes: Int = 32 << 20, indexCacheBytes: Int = 8 << 20, filesAhead: Int = 1,
        spacePollNanos: Int64 = 1_000_000_000
    ) {
        self.fileBytes = fileBytes
        self.reserveBytes = reserveBytes
        self.checkpointBytes = checkpointBytes
        self.maximumGroupBytes = maximumGroupBytes
        self.cacheBytes = cacheBytes
        self.indexCacheBytes = indexCacheBytes
        self.filesAhead = filesAhead
        self.spacePollNanos = spacePollNanos
    }

    /// Spare files that only entries other than batches may use.
    package var reserveFiles: Int {
        guard fileBytes > 0, reserveBytes > 0 else { return 0 }
        return (reserveBytes - 1) / fileBytes + 1
    }

    /// Bytes that one group may take on disk, header and padding included.
    package var groupCapacity: Int { fileBytes - FileHeader.size }

    /// What is wrong with it, or nil.
    package var problem: Failure? {
        func invalid(_ message: String) -> Failure {
            Failure(.invalidArgument, .invalidSetting, message)
        }
        guard fileBytes >= 16 << 10, fileBytes < 1 << 32, fileBytes % Layout.block == 0 else {
            return invalid(
                "A journal file must have 16 KiB to 4 GiB, in steps of 4 KiB, not \(fileBytes)."
            )
        }
        guard reserveBytes >= 0, reserveBytes <= 1 << 40, filesAhead >= 0, filesAhead <= 1024 else {
            return invalid("The journal's reserve and files ahead must be between 0 and 1 TiB.")
        }
        guard checkpointBytes > 0, maximumGroupBytes > 0, cacheBytes >= 0, indexCacheBytes >= 0,
            spacePollNanos >= 0, historyNanos >= 0, compactionBytesPerSecond >= 0
        else { return invalid("The journal's sizes must be positive.") }
        return nil
    }
}
