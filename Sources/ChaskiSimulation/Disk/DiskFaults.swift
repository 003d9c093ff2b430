/// One call that the simulated file system got.
package struct DiskOperation: Hashable, Sendable {
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        case list, create, open, read, write, sync, shrink, size, rename, remove, syncDirectory
        case lock, space
    }
    package var kind: Kind
    /// The file it is about; empty for the directory.
    package var name: String
    /// Counted from 1 over the disk's life.
    package var number: Int
}

/// What goes wrong, when. Chances are per million calls of their kind; numbers count the calls of
/// every kind from 1 (`SimulatedFileSystem.operations`).
package struct DiskFaults: Sendable {
    /// This call fails as calls of its kind do: a write leaves some of its sectors, a sync loses
    /// some and lies afterwards, a creation finds no space.
    package var failAt: Int?
    /// This call and all later ones fail.
    package var failFrom: Int?
    /// The process dies in this call: it throws `crashed`, as does everything after it, until
    /// `restart`. A write leaves some of its sectors in the page cache; other calls happen or not.
    package var crashAt: Int?
    /// Calls of these kinds only are subject to `failAt` and `failFrom`; empty: all kinds.
    package var kinds: [DiskOperation.Kind] = []
    package var writeFailuresPerMillion: UInt64 = 0
    package var syncFailuresPerMillion: UInt64 = 0
    package var readFailuresPerMillion: UInt64 = 0

    package init() {}

    func covers(_ operation: DiskOperation) -> Bool {
        guard kinds.isEmpty || kinds.contains(operation.kind) else { return false }
        if let failAt, operation.number == failAt { return true }
        if let failFrom, operation.number >= failFrom { return true }
        return false
    }
}
