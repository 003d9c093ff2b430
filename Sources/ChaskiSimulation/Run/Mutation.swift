/// Ways to break what a run depends on without touching production code; the others are patches
/// (Tests/Mutations).
package enum Mutation: String, Sendable, CaseIterable {
    /// Syncs of files do nothing.
    case noFileSync = "no-file-sync"
    /// Syncs of the directory do nothing.
    case noDirectorySync = "no-directory-sync"
    /// A sync takes effect when the next one is asked for.
    case lateFileSync = "late-file-sync"
    /// A failing sync looks like a good one.
    case ignoredSyncError = "ignored-sync-error"
    /// The host answers when it gives the group to the journal thread.
    case answerBeforeSync = "answer-before-sync"

    package var options: SimulationOptions {
        var options = SimulationOptions()
        switch self {
        case .noFileSync: options.disk = .noFileSync
        case .noDirectorySync: options.disk = .noDirectorySync
        case .lateFileSync: options.disk = .lateFileSync
        case .ignoredSyncError: options.disk = .ignoredSyncError
        case .answerBeforeSync: options.host = .answerBeforeSync
        }
        return options
    }
}
