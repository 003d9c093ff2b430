package import ChaskiModel

extension FailureReason {
    /// Another process uses the data directory.
    package static let inUse = Self(rawValue: "directory-in-use")
}

extension Failure {
    /// What a failed file operation means to the journal in `directory`.
    static func storage(_ error: FileError, in directory: String) -> Failure {
        switch error.code {
        case .noSpace:
            Failure(
                .resourceExhausted, .diskFull,
                "The disk of \(directory) is full (\(error.message)); free space on it.")
        case .locked:
            Failure(
                .failedPrecondition, .inUse,
                "Another process uses \(directory); stop it, or choose another directory with "
                    + "--data.")
        case .io, .notFound, .exists, .crashed, .other:
            Failure(
                .unavailable, .journalFailed,
                "The journal in \(directory) failed: \(error.message). Check the disk, then "
                    + "start again.")
        }
    }

    /// Damage that keeps the whole journal from opening.
    static func damagedJournal(_ directory: String, _ what: String) -> Failure {
        Failure(
            .dataLoss, .damaged,
            "The journal in \(directory) is damaged: \(what). Nothing was changed. "
                + "See all of it with: chaski journal verify \(directory)")
    }

    /// Damage of one stored batch.
    static func damagedBatch(_ location: BatchLocation, file: UInt64, _ what: String) -> Failure {
        let range = "\(location.baseOffset)..<\(location.endOffset)"
        return Failure(
            .dataLoss, .damaged,
            "Offsets \(range) of topic id \(location.topic.rawValue) cannot be read: \(what) at "
                + "\(JournalName.journal(file)):\(location.position). See the journal with: "
                + "chaski journal verify")
    }
}
