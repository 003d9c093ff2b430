import ChaskiModel
import ChaskiSimulation
import ChaskiStorage
import Testing

/// Recovery cases 17 to 20 of JournalFormat.md: files that were cut off, and the newest file gone.
@Suite struct LostFileTests {
    /// Groups of one block each, seven to a file, then a kill.
    private func written(_ groups: Int, maintain: Bool = false) throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<groups {
            #expect(opened.commit(Small.group([Small.batch(Offset(offset))])) != nil)
        }
        if maintain { opened.maintain() }
        disk.processKill()
        return disk
    }

    /// What `truncate -s` does.
    private func truncate(_ name: String, to bytes: Int, on disk: SimulatedFileSystem) throws {
        let kept = Array(try #require(disk.contents(name)).prefix(bytes))
        try disk.remove(name)
        let file = try disk.create(name, allocating: bytes)
        try file.write(kept.span.bytes, at: 0)
        try file.sync()
        try disk.syncDirectory()
    }

    /// Opening refuses with data loss that names `name`, `verify` tells of damage in it, and
    /// neither changes anything.
    private func expectRefused(
        _ disk: SimulatedFileSystem, naming name: String
    ) throws -> Failure? {
        func contents() -> [String: [UInt8]?] {
            let names = disk.names.filter { $0 != JournalName.lock }
            return Dictionary(uniqueKeysWithValues: names.map { ($0, disk.contents($0)) })
        }
        let before = contents()
        let summary = try JournalInspector.inspect(disk) { _ in }
        #expect(
            summary.damage.contains {
                $0.fences == .journal && $0.place.description.hasPrefix("\(name):")
            }, "\(summary.damage)")
        let failure = #expect(throws: Failure.self) { try Opened(disk) }
        #expect(failure?.code == .dataLoss && failure?.reason == .damaged)
        #expect(failure?.message.contains(name) == true, "\(failure?.message ?? "")")
        #expect(failure?.message.contains("chaski journal verify") == true)
        #expect(contents() == before)
        return failure
    }

    @Test(
        "Case 17: a file that was cut off refuses to open",
        arguments: [1, 2, 3], [4096, 5_000, 8192, 20_000, 28_672, 32_767])
    func case17(file: UInt64, bytes: Int) throws {
        let disk = try written(16, maintain: file == 2)
        let name = JournalName.journal(file)
        try truncate(name, to: bytes, on: disk)
        let failure = try expectRefused(disk, naming: name)
        #expect(failure?.message.contains("truncate -s 32768 simulated/\(name)") == true)
    }

    @Test("Case 17: a file that lost its header, or all, refuses to open", arguments: [0, 100])
    func case17Header(bytes: Int) throws {
        let disk = try written(16)
        try truncate(JournalName.journal(3), to: bytes, on: disk)
        _ = try expectRefused(disk, naming: JournalName.journal(3))
    }

    @Test("Case 17, the way out: lengthened again, what is left is opened") func case17WayOut()
        throws
    {
        let disk = try written(16)
        let name = JournalName.journal(3)
        try truncate(name, to: 8_250, on: disk)
        let file = try disk.open(name)
        let zeros = [UInt8](repeating: 0, count: 32_768 - 8_250)
        try file.write(zeros.span.bytes, at: 8_250)
        #expect(try Opened(disk).batches.map(\.baseOffset) == Array(0..<15))
    }

    @Test("Case 18: the newest file gone refuses to open", arguments: [1, 8, 15], [false, true])
    func case18(groups: Int, maintain: Bool) throws {
        let disk = try written(groups, maintain: maintain)
        let newest = try #require(disk.names.last { $0.hasSuffix(".log") })
        #expect(disk.names.contains { $0.hasPrefix("spare-") })
        try disk.remove(newest)
        let failure = try expectRefused(disk, naming: newest)
        let mark = try #require(disk.names.first { $0.hasPrefix("newest-") })
        #expect(failure?.message.contains("remove simulated/\(mark)") == true)
        // The way out: the loss is accepted.
        try disk.remove(mark)
        #expect(try Opened(disk).batches.count == (groups - 1) / 7 * 7)
    }

    @Test("Case 18: all journal files gone refuses to open") func case18All() throws {
        let disk = try written(16)
        for name in disk.names where name.hasSuffix(".log") { try disk.remove(name) }
        _ = try expectRefused(disk, naming: JournalName.journal(3))
    }

    @Test("Case 18: a file put in place of the newest does not hide the loss") func case18Renamed()
        throws
    {
        let disk = try written(16)
        try disk.rename(JournalName.journal(2), to: JournalName.journal(3))
        _ = try expectRefused(disk, naming: JournalName.journal(3))
    }

    /// Once a group is confirmed no power cut hides the loss of its file.
    @Test func theLossShowsAfterAnyPowerCut() throws {
        for seed in 1...60 as ClosedRange<UInt64> {
            for reopen in [false, true] {
                let disk = SimulatedFileSystem(seed: seed)
                var opened = try Opened(disk)
                for offset in 0..<(seed % 17) {
                    opened.commit(Small.group([Small.batch(offset)]))
                }
                if reopen {
                    disk.powerCut()
                    opened = try Opened(disk)
                }
                #expect(opened.commit(Small.group([Small.batch(seed % 17)])) != nil)
                disk.powerCut()
                let newest = try #require(disk.names.last { $0.hasSuffix(".log") })
                try disk.remove(newest)
                let failure = #expect(throws: Failure.self) { try Opened(disk) }
                #expect(failure?.message.contains(newest) == true, "seed \(seed)")
            }
        }
    }

    @Test("Case 19: a mark behind the newest file, or none, is what a crash leaves")
    func case19() throws {
        for mark in [1, 2, nil] as [UInt64?] {
            let disk = try written(16)
            let name = JournalName.mark(3)
            #expect(disk.names.contains(name))
            if let mark {
                try disk.rename(name, to: JournalName.mark(mark))
            } else {
                try disk.remove(name)
            }
            #expect(try JournalInspector.inspect(disk) { _ in }.damage.isEmpty)
            let opened = try Opened(disk)
            #expect(opened.batches.count == 16)
            #expect(disk.names.filter { $0.hasPrefix("newest-") } == [JournalName.mark(4)])
        }
    }

    @Test("Case 19: of several marks the highest counts, and one stays") func case19Several() throws
    {
        let disk = try written(16)
        _ = try disk.create(JournalName.mark(1), allocating: 0)
        _ = try disk.create(JournalName.mark(0), allocating: 0)
        _ = try Opened(disk)
        #expect(disk.names.filter { $0.hasPrefix("newest-") } == [JournalName.mark(4)])
        disk.processKill()
        _ = try disk.create(JournalName.mark(UInt64.max), allocating: 0)
        _ = try expectRefused(disk, naming: JournalName.journal(UInt64.max))
    }

    @Test("Case 20: spares without a journal file or a mark: a first opening that was cut off")
    func case20() throws {
        let disk = SimulatedFileSystem(seed: 1)
        disk.faults.kinds = [.rename]
        disk.faults.failAt = 1
        disk.faults.failFrom = 1
        #expect(throws: Failure.self) { try Opened(disk) }
        disk.faults = DiskFaults()
        disk.processKill()
        #expect(disk.names.contains { $0.hasPrefix("spare-") })
        #expect(try JournalInspector.inspect(disk) { _ in }.damage.isEmpty)
        #expect(try Opened(disk).journal.recovery.epoch == 1)
    }

    /// A spare that a crash left short is not used, and is no damage.
    @Test func aShortSpareIsNoDamage() throws {
        let disk = try written(3)
        let spare = try #require(disk.names.first { $0.hasPrefix("spare-") })
        try truncate(spare, to: 1_000, on: disk)
        #expect(try JournalInspector.inspect(disk) { _ in }.damage.isEmpty)
        let opened = try Opened(disk)
        #expect(opened.batches.count == 3)
        opened.maintain()
        #expect(!disk.names.contains(spare))
    }

    /// Beginning a file takes one sync of the file and two of the directory; a group takes one.
    @Test func whatAFileCosts() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<7 as Range<Offset> { opened.commit(Small.group([Small.batch(offset)])) }
        func costs(_ offset: Offset) -> [Int] {
            let before = (disk.operations(.sync), disk.operations(.syncDirectory))
            #expect(opened.commit(Small.group([Small.batch(offset)])) != nil)
            return [
                disk.operations(.sync) - before.0, disk.operations(.syncDirectory) - before.1,
            ]
        }
        #expect(costs(7) == [2, 2])
        #expect(costs(8) == [1, 0])
    }
}
