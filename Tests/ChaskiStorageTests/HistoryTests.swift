import ChaskiModel
import ChaskiSimulation
@testable import ChaskiStorage
import Testing

/// What stays of journal files when they go.
@Suite struct HistoryTests {
    private func groups(
        _ disk: SimulatedFileSystem, in times: ClosedRange<Int64> = Int64.min...Int64.max
    ) throws -> [HistoryGroup] {
        var found: [HistoryGroup] = []
        try HistoryReader(disk).groups(in: times) {
            found.append($0)
            return true
        }
        return found
    }

    private func value(_ group: HistoryGroup) -> [UInt8] { group.entries.compactMap(\.first) }

    /// Batches with a state entry each, of which nothing is needed; a checkpoint every ten.
    private func write(
        _ opened: Opened, _ range: Range<Offset>, clock: (Offset) -> Int64 = { Int64($0) }
    ) {
        for offset in range {
            opened.commit(
                Small.group(
                    [
                        Small.batch(offset, bytes: 1_000),
                        Small.state(UInt8(truncatingIfNeeded: offset)),
                    ], clock: clock(offset)))
            opened.journal.index.released(Small.topic, offset..<offset + 1)
            if offset % 10 == 9 {
                opened.commit(
                    Small.group(
                        [Small.section(1)], clock: clock(offset), begins: offset + 1,
                        ends: offset + 1))
            }
        }
    }

    @Test func stateEntriesOutliveTheirFile() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        write(opened, 0..<60)
        let figures = opened.catchUp(clock: 60)
        let found = try groups(disk)
        #expect(found.count > 40 && figures.historyEntries == UInt64(found.count))
        #expect(found.map { Int(value($0)[0]) } == Array(0..<found.count))
        #expect(found.map(\.time.clock) == (0..<found.count).map { Int64($0) })
        #expect(figures.historyBytes < 40_000, "batches are not history")
        // By time, and to the first that is enough.
        #expect(try groups(disk, in: 1_010...1_014).map { value($0)[0] } == [10, 11, 12, 13, 14])
        var first: HistoryGroup?
        try HistoryReader(disk).groups {
            first = $0
            return false
        }
        #expect(first.map(value) == [0])
        let inspection = try JournalInspector.inspect(disk) { _ in }
        #expect(inspection.damage.isEmpty && inspection.historyFiles == 1)
        #expect(inspection.historyEntries == UInt64(found.count))
    }

    @Test func historyGoesOnAfterARestart() throws {
        let disk = SimulatedFileSystem(seed: 1)
        var opened = try Opened(disk)
        for life in 0..<5 as Range<Offset> {
            write(opened, life * 40..<(life + 1) * 40)
            opened.catchUp(clock: Int64(life * 40 + 40))
            if life % 2 == 0 { disk.powerCut() } else { disk.processKill() }
            opened = try Opened(disk)
            opened.journal.index.retainOnly([(topic: Small.topic, from: (life + 1) * 40)])
        }
        opened.catchUp()
        let found = try groups(disk)
        #expect(found.map { value($0)[0] } == (0..<found.count).map { UInt8($0 % 256) })
        #expect(found.count > 180)
        #expect(disk.names.allSatisfy { !$0.hasPrefix("partial-") })
    }

    @Test func whatIsMovedTwiceIsReadOnce() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        write(opened, 0..<40)
        let plan = try #require(opened.journal.index.nextUpkeep(isSpaceShort: false, clock: 0))
        opened.journal.begin(plan)
        guard case .finished(let result) = run(opened) else { return }
        // The history file gets its name, and then the process dies before the files go.
        let named = try #require(result.named)
        try disk.rename(named.partial, to: named.name)
        disk.processKill()
        let again = try Opened(disk)
        again.journal.index.retainOnly([])
        again.catchUp()
        let found = try groups(disk)
        #expect(found.map { Int(value($0)[0]) } == Array(0..<found.count))
        #expect(disk.names.filter { $0.hasPrefix("history-") }.count == 2)
    }

    private func run(_ opened: Opened) -> UpkeepStep {
        while true {
            let step = opened.journal.stepUpkeep(
                maximumBytes: 1 << 20, now: Now(clock: 0, wall: 0))
            if case .finished = step { return step }
        }
    }

    @Test func oldHistoryGoesFirst() throws {
        let disk = SimulatedFileSystem(seed: 1)
        var configuration = Small.configuration
        configuration.historyNanos = 1_400
        let opened = try Opened(disk, configuration: configuration)
        for part in 0..<40 as Range<Offset> {
            write(opened, part * 10..<(part + 1) * 10) { Int64($0) * 10 }
            opened.catchUp(clock: Int64(part + 1) * 100)
        }
        #expect(disk.names.filter { $0.hasPrefix("history-") }.count > 5)
        opened.catchUp(clock: 60_000_000_000)
        // All but the newest file is past the limit at last.
        opened.catchUp(clock: 200_000_000_000)
        #expect(disk.names.filter { $0.hasPrefix("history-") }.count == 1)
    }

    @Test func historyHasALimitInBytes() throws {
        let disk = SimulatedFileSystem(seed: 1)
        var configuration = Small.configuration
        configuration.historyNanos = 1_400
        configuration.historyBytes = 40_000
        let opened = try Opened(disk, configuration: configuration)
        for part in 0..<100 as Range<Offset> {
            write(opened, part * 10..<(part + 1) * 10) { Int64($0) }
            opened.catchUp(clock: Int64(part + 1) * 10)
        }
        let names = disk.names.filter { $0.hasPrefix("history-") }
        let bytes = names.reduce(0) { $0 + (disk.contents($1)?.count ?? 0) }
        #expect(bytes <= 60_000 && names.count > 1, "\(bytes) bytes in \(names)")
        let found = try groups(disk)
        #expect(found.last.map { $0.sequence > 900 } == true)
    }

    @Test func withoutALimitInTimeNoneIsKept() throws {
        let disk = SimulatedFileSystem(seed: 1)
        var configuration = Small.configuration
        configuration.historyNanos = 0
        let opened = try Opened(disk, configuration: configuration)
        write(opened, 0..<40)
        opened.catchUp()
        #expect(disk.names.allSatisfy { !$0.contains("history") })
        #expect(disk.names.filter { $0.hasSuffix(".log") }.count < 3)
    }

    @Test func historyThatCannotBeWrittenHoldsNothingUp() throws {
        for kind in [DiskOperation.Kind.create, .write, .sync] {
            let disk = SimulatedFileSystem(seed: 1)
            let opened = try Opened(disk)
            write(opened, 0..<40)
            for _ in 0..<4 { opened.maintain(drops: false) }
            let plan = try #require(opened.journal.index.nextUpkeep(isSpaceShort: false, clock: 0))
            disk.faults.kinds = [kind]
            disk.faults.failFrom = disk.operations
            opened.journal.begin(plan)
            guard case .finished(let result) = run(opened) else { return }
            disk.faults = DiskFaults()
            #expect(result.figures.historyFailures > 0 && !result.warnings.isEmpty, "\(kind)")
            let report = opened.journal.maintain(upkeep: result, bootNanos: 0)
            #expect(report.dropped.count > 3)
            opened.journal.index.apply(report)
            // The next file's history is kept again.
            write(opened, 40..<80)
            let figures = opened.catchUp()
            #expect(figures.historyEntries > 20 && figures.historyFailures == 0)
            #expect(try groups(disk).last.map { $0.sequence > 50 } == true)
            #expect(try JournalInspector.inspect(disk) { _ in }.damage.isEmpty)
            #expect(disk.names.allSatisfy { !$0.hasPrefix("partial-") })
        }
    }

    @Test func damageIsToldAndPassedOver() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for part in 0..<6 as Range<Offset> {
            write(opened, part * 20..<(part + 1) * 20)
            opened.catchUp(clock: Int64(part))
        }
        let all = try groups(disk).count
        let name = try #require(disk.names.first { $0.hasPrefix("history-") })
        // The body of the first block, and the header of the third.
        disk.flipBit(1, of: 4096 + 140, in: name)
        disk.flipBit(1, of: 4096 * 3 + 50, in: name)
        let inspection = try JournalInspector.inspect(disk) { _ in }
        #expect(inspection.damage.map(\.fences) == [.history, .history])
        let left = try groups(disk)
        #expect(left.count < all && left.count > all / 2)
        // The end is no damage: it may have been cut off.
        let size = try #require(disk.contents(name)).count
        disk.overwrite([UInt8](repeating: 0, count: 4096), at: size - 4096, in: name)
        #expect(try JournalInspector.inspect(disk) { _ in }.damage.count == 2)
        disk.flipBit(0, of: 20, in: name)
        #expect(try groups(disk).isEmpty)
        #expect(try JournalInspector.inspect(disk) { _ in }.damage.count == 1)
        // Nothing of it keeps the journal from opening.
        disk.processKill()
        #expect(try Opened(disk).batches.count < 20)
    }

    @Test func largeGroupsComeInPieces() throws {
        let disk = SimulatedFileSystem(seed: 1)
        var configuration = Small.configuration
        configuration.fileBytes = 2 << 20
        let opened = try Opened(disk, configuration: configuration)
        let entries = (0..<10 as Range<UInt8>).map { Small.state($0, bytes: 100_000) }
        opened.commit(Small.group(entries))
        for offset in 0..<200 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset, bytes: 15_000)]))
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        opened.journal.index.released(Small.topic, 0..<200)
        opened.catchUp()
        let found = try groups(disk)
        #expect(found.count > 2 && Set(found.map(\.sequence)) == [1])
        #expect(found.flatMap { value($0) } == Array(0..<10))
        #expect(found.map { Int($0.firstEntry) }.sorted() == found.map { Int($0.firstEntry) })
        #expect(found.flatMap(\.entries).allSatisfy { $0.count == 100_000 })
    }
}
