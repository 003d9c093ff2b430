/// The one thing that goes wrong in a run of the sweep: a file operation, by its number.
package struct SweepFault: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable {
        /// The operation fails, and the process goes on as it can.
        case fail
        /// The process dies in it; the page cache stays.
        case kill
        /// The power goes in it.
        case powerCut = "power-cut"
    }

    package var kind: Kind
    /// Counted from 1 over the life of the disk.
    package var operation: Int
    /// The operation of the recovery after it in which the power goes again; nil for none.
    package var recoveryOperation: Int?

    package init(kind: Kind, operation: Int, recoveryOperation: Int? = nil) {
        self.kind = kind
        self.operation = operation
        self.recoveryOperation = recoveryOperation
    }
}
