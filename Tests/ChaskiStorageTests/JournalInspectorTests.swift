import ChaskiModel
import ChaskiSimulation
import ChaskiStorage
import Testing

@Suite struct JournalInspectorTests {
    private func written() throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<10 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset), Small.state(1)]))
        }
        disk.processKill()
        return disk
    }

    private func inspect(
        _ disk: SimulatedFileSystem
    ) throws -> (summary: InspectionSummary, offsets: [Offset]) {
        var offsets: [Offset] = []
        let before = disk.operations(.write)
        let summary = try JournalInspector.inspect(disk) { item in
            if case .entry(let entry, _, true) = item, entry.kind == .batch {
                offsets.append(entry.baseOffset)
            }
        }
        #expect(disk.operations(.write) == before)
        return (summary, offsets)
    }

    @Test func aSoundJournalIsListed() throws {
        let (summary, offsets) = try inspect(written())
        #expect(offsets == Array(0..<10))
        #expect(summary.files == 2 && summary.groups == 10 && summary.entries == 20)
        #expect(summary.damage.isEmpty && summary.unfinished == nil)
        #expect(summary.epoch == 1)
    }

    @Test func damageIsNamedAndTheRestListed() throws {
        let disk = try written()
        let name = JournalName.journal(1)
        disk.flipBit(0, of: 4096 * 2 + 128 + 64 + 20, in: name)
        disk.flipBit(0, of: 4096 * 4 + 30, in: name)
        disk.flipBit(0, of: 4096 * 5 + 128 + 64 + 105, in: name)
        let (summary, offsets) = try inspect(disk)
        #expect(offsets == [0, 2, 4, 5, 6, 7, 8, 9])
        #expect(summary.damage.map(\.fences) == [.topic(Small.topic), .journal, .journal])
        #expect(summary.damage[1].place == FilePlace(name: name, position: 4096 * 4))
    }

    @Test func anUnfinishedEndIsNoDamage() throws {
        let disk = try written()
        disk.flipBit(0, of: 4096 * 3 + 128 + 64 + 20, in: JournalName.journal(2))
        let (summary, offsets) = try inspect(disk)
        #expect(summary.damage.isEmpty)
        #expect(summary.unfinished == JournalPosition(file: 2, position: 4096 * 3))
        #expect(offsets == Array(0..<9))
    }

    /// Replay begins where the last group says, not where the newest file's header does.
    @Test func filesDroppedAfterACheckpointAreNoDamage() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<16 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset)]))
        }
        opened.journal.index.released(Small.topic, 0..<14)
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        #expect(opened.maintain().dropped == [1, 2])
        disk.processKill()
        #expect(try inspect(disk).summary.damage.isEmpty)
        #expect(throws: Never.self) { try Opened(disk) }
    }

    @Test func whatCannotBeOpenedCanBeInspected() throws {
        let disk = try written()
        disk.flipBit(0, of: 30, in: JournalName.journal(1))
        disk.overwrite([9, 0, 9, 0], at: 12, in: JournalName.journal(2))
        let (summary, _) = try inspect(disk)
        #expect(summary.newerFiles == 1)
        #expect(summary.damageCount == 2)
    }
}
