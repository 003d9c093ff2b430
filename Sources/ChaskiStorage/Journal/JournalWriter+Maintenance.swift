import ChaskiModel

extension JournalWriter {
    /// Sidecars written in one call, at most.
    private static let sidecarsPerCall = 4

    mutating func maintain(droppable: [UInt64], bootNanos: Int64) -> MaintenanceReport {
        var report = MaintenanceReport()
        if failure == nil {
            // Sidecars first: an index that must be made from the file needs the next file's
            // header to know where the groups end.
            writeSidecars(&report)
            do throws(FileError) {
                try drop(droppable, &report)
            } catch {
                report.warnings.append(fail(error).message)
            }
            if failure == nil { allocateAhead(bootNanos, &report) }
        }
        report.space = space
        return report
    }

    private mutating func writeSidecars(_ report: inout MaintenanceReport) {
        for index in unindexed.prefix(Self.sidecarsPerCall) {
            do throws(FileError) {
                try Sidecar.write(index, salt: life.salt, in: life.fileSystem)
                report.indexed.append(index.file)
            } catch {
                // It can be made anew from the file at any time: no harm but in memory.
                report.warnings.append("no index for \(index.file): \(error.message)")
                if error.code != .noSpace { break }
            }
        }
        let written = report.indexed
        unindexed.removeAll { written.contains($0.file) }
    }

    /// Recycles or removes files. A recycled file is not written to before its new name is
    /// durable: under its old name its old content must stand.
    private mutating func drop(
        _ droppable: [UInt64], _ report: inout MaintenanceReport
    ) throws(FileError) {
        var recycled: [String] = []
        var changed = false
        for name in orphans {
            try removeIfThere(name)
            changed = true
        }
        orphans = []
        for id in (obsolete + droppable).sorted() {
            guard let at = closed.firstIndex(where: { $0.file == id }),
                id < replayFrom.file || obsolete.contains(id)
            else { continue }
            let file = closed[at]
            let wanted = spares.count + recycled.count < spares.target(life.configuration)
            if wanted, file.bytes == UInt64(life.configuration.fileBytes) {
                let name = spares.newName()
                try life.fileSystem.rename(JournalName.journal(id), to: name)
                recycled.append(name)
            } else {
                try life.fileSystem.remove(JournalName.journal(id))
            }
            try removeIfThere(JournalName.sidecar(id))
            closed.remove(at: at)
            unindexed.removeAll { $0.file == id }
            report.dropped.append(id)
            changed = true
        }
        obsolete = []
        guard changed else { return }
        try life.fileSystem.syncDirectory()
        for name in recycled { spares.add(recycled: name) }
    }

    private func removeIfThere(_ name: String) throws(FileError) {
        do throws(FileError) {
            try life.fileSystem.remove(name)
        } catch {
            if error.code != .notFound { throw error }
        }
    }

    private mutating func allocateAhead(_ bootNanos: Int64, _ report: inout MaintenanceReport) {
        guard spares.count < spares.target(life.configuration), spares.mayTry(at: bootNanos) else {
            return
        }
        while spares.count < spares.target(life.configuration) {
            do throws(FileError) {
                try spares.create(in: life.fileSystem)
            } catch {
                spares.creationFailed(
                    at: bootNanos, pollNanos: life.configuration.spacePollNanos)
                if error.code != .noSpace { report.warnings.append(error.message) }
                return
            }
        }
    }
}
