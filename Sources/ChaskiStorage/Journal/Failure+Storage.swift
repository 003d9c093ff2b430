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
    ///
    /// - Parameter wayOut: whole sentences on what to do about it, where there is more to say than
    ///   how to see it.
    static func damagedJournal(
        _ directory: String, _ what: String, wayOut: String? = nil
    ) -> Failure {
        Failure(
            .dataLoss, .damaged,
            "The journal in \(directory) is damaged: \(what). Nothing was changed. "
                + (wayOut.map { "\($0) " } ?? "")
                + "See all of it with: chaski journal verify \(directory)")
    }

    /// A file of a later release.
    static func newerFormat(
        _ name: String, in directory: String, version: UInt16, oldestReader: UInt16,
        reads: UInt16
    ) -> Failure {
        Failure(
            .failedPrecondition, .unsupportedVersion,
            "\(name) in \(directory) has format \(version), which needs a release that reads "
                + "format \(oldestReader); this one reads up to \(reads). Nothing was changed. "
                + "Start a newer release.")
    }

    /// The file that was begun last is gone, and with it messages that were accepted.
    static func lostNewestFile(_ file: UInt64, in directory: String) -> Failure {
        let mark = "\(directory)/\(JournalName.mark(file))"
        return damagedJournal(
            directory,
            "\(JournalName.journal(file)) is missing, which \(JournalName.mark(file)) says was "
                + "begun, and so is any newer file",
            wayOut: "Put the file back; or, to accept that all it held is lost, remove \(mark).")
    }

    /// A journal file ends before the size that it was made with.
    static func shortFile(
        _ header: FileHeader, bytes: Int, in directory: String
    ) -> Failure {
        let name = JournalName.journal(header.file)
        return damagedJournal(
            directory,
            "\(name) has been cut off: it has \(bytes) of its \(header.fileBytes) bytes",
            wayOut: "Put a whole copy back; or, to accept that what stood there is lost, lengthen "
                + "it with: truncate -s \(header.fileBytes) \(directory)/\(name).")
    }

    /// Damage of one stored batch.
    static func damagedBatch(_ location: BatchLocation, file: BatchFile, _ what: String) -> Failure
    {
        let range = "\(location.baseOffset)..<\(location.endOffset)"
        return Failure(
            .dataLoss, .damaged,
            "Offsets \(range) of topic id \(location.topic.rawValue) cannot be read: \(what) at "
                + "\(file.name):\(location.position). See the journal with: "
                + "chaski journal verify")
    }
}
