import ChaskiModel

extension JournalWriter {
    /// Sidecars written in one call, at most.
    private static let sidecarsPerCall = 4

    mutating func maintain(
        droppable: [RetiredFile], upkeep: UpkeepResult?, bootNanos: Int64
    ) -> MaintenanceReport {
        var report = MaintenanceReport()
        report.warnings = upkeep?.warnings ?? []
        if failure == nil {
            // Sidecars first: an index that must be made from the file needs the next file's
            // header to know where the groups end.
            writeSidecars(&report)
            do throws(FileError) {
                if let upkeep { try install(upkeep) }
                try drop(droppable + (upkeep?.retired ?? []), upkeep, &report)
                report.upkeep = upkeep
            } catch {
                _ = fail(error)
            }
            if failure == nil { allocateAhead(bootNanos, &report) }
        }
        report.failure = failure
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

    /// Gives segments and history their names, durably: what they replace may go after that.
    private mutating func install(_ upkeep: UpkeepResult) throws(FileError) {
        if case .failed(let error)? = upkeep.compaction?.end { throw error }
        var changed = false
        for made in upkeep.compaction?.made ?? [] {
            guard let made else { continue }
            try life.fileSystem.rename(made.partial, to: JournalName.segmentFile(made.header.id))
            changed = true
        }
        if let named = upkeep.named {
            try life.fileSystem.rename(named.partial, to: named.name)
            changed = true
        }
        if changed { try life.fileSystem.syncDirectory() }
    }

    /// Makes room for a segment by giving up one of the spares set aside.
    mutating func lendSpace() -> Bool {
        guard failure == nil, let name = spares.lend(room: room) else { return false }
        do throws(FileError) {
            try life.fileSystem.remove(name)
            return true
        } catch {
            _ = fail(error)
            return false
        }
    }

    /// Recycles or removes files. A recycled file is not written to before its new name is
    /// durable: under its old name its old content must stand.
    private mutating func drop(
        _ droppable: [RetiredFile], _ upkeep: UpkeepResult?, _ report: inout MaintenanceReport
    ) throws(FileError) {
        var recycled: [String] = []
        var removed: [String] = []
        var changed = false
        let segments = upkeep?.segments.map(JournalName.segmentFile) ?? []
        for name in orphans + (upkeep?.removals ?? []) + segments {
            try removeIfThere(name)
            removed.append(name)
            changed = true
        }
        orphans = []
        var waiting: [UInt64] = []
        for id in (obsolete + droppable.map(\.file)).sorted() {
            guard let at = closed.firstIndex(where: { $0.file == id }),
                id < replayFrom.file || obsolete.contains(id)
            else { continue }
            // Its header says where the groups of the file before it end, and what lies behind them
            // was never acknowledged: it stays until that file's own index says so.
            if at > 0, unindexed.contains(where: { $0.file == closed[at - 1].file }) {
                waiting.append(id)
                continue
            }
            let file = closed[at]
            let wanted = spares.count + recycled.count < spares.target(life.configuration)
            if wanted, file.bytes == UInt64(life.configuration.fileBytes) {
                let name = spares.newName()
                try life.fileSystem.rename(JournalName.journal(id), to: name)
                recycled.append(name)
            } else {
                try life.fileSystem.remove(JournalName.journal(id))
                removed.append(JournalName.journal(id))
            }
            try removeIfThere(JournalName.sidecar(id))
            closed.remove(at: at)
            unindexed.removeAll { $0.file == id }
            report.dropped.append(id)
            changed = true
        }
        obsolete = waiting
        guard changed else { return }
        try life.fileSystem.syncDirectory()
        report.removed = removed
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
