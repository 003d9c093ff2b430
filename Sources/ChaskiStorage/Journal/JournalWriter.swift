import ChaskiModel

/// The writing half of a journal.
struct JournalWriter {
    var space: SpaceState = .available

    mutating func commit(_ group: JournalGroup) -> CommitOutcome {
        .refused(.diskFull)
    }

    mutating func maintain(droppable: [UInt64], bootNanos: Int64) -> MaintenanceReport {
        MaintenanceReport()
    }

    mutating func close() {}
}
