import ChaskiModel
import ChaskiSimulation
@testable import ChaskiStorage
import Synchronization
import Testing

/// The numbered recovery cases of JournalFormat.md.
@Suite struct RecoveryCaseTests {
    private let log1 = JournalName.journal(1)

    /// A journal with groups of one block each, the offsets 0..<groups, killed.
    private func written(_ groups: Int, seed: UInt64 = 1) throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem(seed: seed)
        let opened = try Opened(disk)
        for offset in 0..<groups {
            let group = Small.group([Small.batch(Offset(offset)), Small.state(1)], clock: 5)
            #expect(opened.commit(group) != nil)
        }
        disk.processKill()
        return disk
    }

    private func refusal(_ disk: SimulatedFileSystem) -> Failure? {
        let before = disk.names.map { disk.contents($0) }
        let failure = #expect(throws: Failure.self) { try Opened(disk) }
        let after = disk.names.filter { $0 != JournalName.lock }.map { disk.contents($0) }
        #expect(before == after, "a refused opening changes nothing")
        return failure
    }

    @Test("Case 1: an empty directory begins a journal") func case1() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        #expect(opened.journal.recovery.epoch == 1)
        #expect(opened.journal.recovery.lastTime == nil)
        #expect(disk.names.contains(log1))
        disk.powerCut()
        #expect(try Opened(disk).journal.recovery.epoch == 2)
    }

    @Test("Case 2: a clean end; the last group is written anew") func case2() throws {
        let disk = try written(3)
        let opened = try Opened(disk)
        #expect(opened.journal.recovery.rewroteLastGroup)
        #expect(opened.journal.recovery.cutTail == nil)
        #expect(opened.batches.map(\.baseOffset) == [0, 1, 2])
        // The copy alone keeps it: the original is destroyed.
        disk.processKill()
        disk.overwrite([UInt8](repeating: 0, count: 4096), at: 4096 * 3, in: log1)
        #expect(try Opened(disk).batches.map(\.baseOffset) == [0, 1, 2])
    }

    @Test("Case 3: nothing was added since the last opening; its file is replaced") func case3()
        throws
    {
        let disk = try written(3)
        for round in 0..<6 {
            let opened = try Opened(disk)
            opened.maintain()
            #expect(opened.batches.map(\.baseOffset) == [0, 1, 2])
            #expect(disk.names.filter { $0.hasSuffix(".log") }.count == 2, "round \(round)")
            if round % 2 == 0 { disk.powerCut() } else { disk.processKill() }
        }
    }

    @Test("Case 4: a torn group header is cut", arguments: [0, 100, 150]) func case4(
        keep: Int
    ) throws {
        let disk = try written(3)
        let torn = [UInt8](repeating: 0, count: 4096 - keep)
        disk.overwrite(torn, at: 4096 * 3 + keep, in: log1)
        let opened = try Opened(disk)
        #expect(opened.batches.map(\.baseOffset) == [0, 1])
        #expect((opened.journal.recovery.cutTail != nil) == (keep > 0))
        #expect(opened.commit(Small.group([Small.batch(2, bytes: 300)])) != nil)
        disk.powerCut()
        #expect(try Opened(disk).batches.map(\.body.count) == [100, 100, 300])
    }

    @Test("Case 5: a torn body at the end is cut") func case5() throws {
        let disk = try written(3)
        disk.flipBit(3, of: 4096 * 3 + 128 + 64 + 50, in: log1)
        let opened = try Opened(disk)
        #expect(opened.batches.map(\.baseOffset) == [0, 1])
        #expect(opened.journal.recovery.cutTail == JournalPosition(file: 1, position: 4096 * 3))
        #expect(opened.replayed.allSatisfy { $0.damage == nil })
    }

    @Test("Case 6: a bad header before a sound group refuses to open") func case6() throws {
        let disk = try written(3)
        disk.flipBit(1, of: 4096 * 2 + 20, in: log1)
        let failure = refusal(disk)
        #expect(failure?.reason == .damaged)
        #expect(failure?.message.contains("\(log1):8192") == true)
        #expect(failure?.message.contains("chaski journal verify") == true)
    }

    @Test("Case 7: a bad batch before a sound group fences its topic") func case7() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let first = try Opened(disk)
        for offset in 0..<3 as Range<Offset> {
            first.commit(
                Small.group([Small.batch(offset), Small.batch(offset, topic: Small.other)]))
        }
        disk.processKill()
        disk.flipBit(3, of: 4096 * 2 + 128 + 64 + 50, in: log1)
        let opened = try Opened(disk)
        #expect(opened.journal.recovery.damage.map(\.location.baseOffset) == [1])
        #expect(opened.replayed.filter { $0.damage != nil }.map(\.entry.topic) == [Small.topic])
        #expect(try opened.read(from: 0).map(\.baseOffset) == [0])
        let failure = #expect(throws: Failure.self) { try opened.read(from: 1) }
        #expect(failure?.reason == .damaged)
        #expect(try opened.read(from: 2).map(\.baseOffset) == [2])
        #expect(try opened.readAll(Small.other).map(\.baseOffset) == [0, 1, 2])
    }

    @Test("Case 7, unreadable: the device cannot read a batch") func case7Unreadable() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let first = try Opened(disk)
        for offset in 0..<3 as Range<Offset> {
            first.commit(Small.group([Small.state(1), Small.batch(offset, bytes: 6_000)]))
        }
        disk.processKill()
        disk.makeUnreadable((4096 * 3 + 1_000)..<(4096 * 3 + 2_000), in: log1)
        let opened = try Opened(disk)
        #expect(opened.journal.recovery.damage.map(\.location.baseOffset) == [1])
        #expect(opened.replayed.filter { $0.entry.kind == .state }.count == 3)
        #expect(try opened.read(from: 2).map(\.baseOffset) == [2])
        // The last group, which alone may be torn, must not be taken for torn when it cannot be read.
        disk.processKill()
        let newest = try #require(disk.names.last { $0.hasSuffix(".log") })
        disk.makeUnreadable(5_000..<6_000, in: newest)
        #expect(refusal(disk)?.reason == .journalFailed)
    }

    @Test("Case 8: a bad state entry before a sound group refuses to open") func case8() throws {
        let disk = try written(3)
        disk.flipBit(3, of: 4096 * 2 + 128 + 64 + 100 + 5, in: log1)
        #expect(refusal(disk)?.reason == .damaged)
    }

    @Test("Case 9: a bad file header refuses to open") func case9() throws {
        let disk = try written(3)
        disk.flipBit(3, of: 50, in: log1)
        #expect(refusal(disk)?.message.contains(log1) == true)
    }

    @Test("Case 10: a newer format refuses to open") func case10() throws {
        let disk = try written(3)
        disk.overwrite([2, 0, 2, 0], at: 12, in: log1)
        #expect(refusal(disk)?.reason == .unsupportedVersion)
    }

    @Test("Case 11: a missing file refuses to open") func case11() throws {
        let disk = try written(20)
        try disk.remove(JournalName.journal(2))
        #expect(refusal(disk)?.message.contains(JournalName.journal(2)) == true)
    }

    @Test("Case 12: a file of another journal refuses to open") func case12() throws {
        let disk = try written(20)
        var bytes = try #require(disk.contents(log1))
        bytes[30] ^= 1
        bytes.set(littleEndian: CRC32C.checksum(bytes[12..<4096]), at: 8)
        disk.overwrite(bytes, at: 0, in: log1)
        #expect(refusal(disk)?.message.contains("another journal") == true)
    }

    @Test("Case 13: stale groups of a recycled file are not seen") func case13() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let created = Mutex(0)
        disk.observe { operation in
            guard operation.kind == .create, operation.name.hasPrefix("spare-") else { return }
            created.withLock { $0 += 1 }
        }
        var opened = try Opened(disk)
        for offset in 0..<40 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset)]))
            opened.journal.index.released(Small.topic, 0..<(offset + 1))
            let cycle = UInt64(offset + 1)
            opened.commit(Small.group([Small.section(1)], begins: cycle, ends: cycle))
            opened.maintain()
            if offset % 9 == 8 {
                disk.processKill()
                opened = try Opened(disk)
                #expect(opened.batches.count <= 1)
                opened.journal.index.retainOnly([(topic: Small.topic, from: offset + 1)])
            }
        }
        // Files were used again, so that old groups lie behind the new ones.
        let files = opened.commit(Small.group([Small.state(1)]))?.file ?? 0
        #expect(created.withLock { $0 } < Int(files) * 2 / 3)
        disk.processKill()
        #expect(try Opened(disk).journal.recovery.cutTail == nil)
    }

    @Test("Case 14: a new file without groups continues the one before it") func case14() throws {
        let disk = try written(7)
        let opened = try Opened(disk)
        #expect(opened.commit(Small.group([Small.batch(7)])) != nil)
        disk.processKill()
        // File 2 holds the copy of group 7 and group 8; destroy group 8: the copy stands.
        disk.overwrite(
            [UInt8](repeating: 0, count: 4096), at: 4096 * 2, in: JournalName.journal(2))
        #expect(try Opened(disk).batches.map(\.baseOffset) == Array(0..<7))
        // Destroying the copy, which was durable before the file got its name, is damage.
        disk.processKill()
        let newest = try #require(disk.names.last { $0.hasSuffix(".log") })
        disk.overwrite([UInt8](repeating: 0, count: 4096), at: 4096, in: newest)
        #expect(refusal(disk)?.reason == .damaged)
    }

    @Test("Case 15: a file without a sidecar is read instead") func case15() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let first = try Opened(disk)
        for offset in 0..<30 as Range<Offset> { first.commit(Small.group([Small.batch(offset)])) }
        first.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        first.maintain()
        disk.processKill()
        let sidecars = disk.names.filter { $0.hasSuffix(".index") }
        #expect(sidecars.count == 4)
        disk.flipBit(0, of: 30, in: sidecars[0])
        disk.flipBit(0, of: 130, in: sidecars[1])
        try disk.remove(sidecars[2])
        let opened = try Opened(disk)
        #expect(opened.journal.recovery.scannedFiles == [1, 3])
        #expect(try opened.readAll().map(\.baseOffset) == Array(0..<30))
        opened.maintain()
        disk.processKill()
        #expect(try Opened(disk).journal.recovery.scannedFiles == [])
    }

    @Test("Case 16: the clock goes on by the boot clock, else by the wall clock") func case16()
        throws
    {
        let disk = SimulatedFileSystem(seed: 1)
        let first = try Opened(disk)
        let start = Small.clock.bootNanos + first.journal.recovery.clockOffset
        let time = Now(clock: start + 10, wall: Small.clock.wallNanos + 10)
        first.commit(JournalGroup(entries: [Small.state(1)], time: time))
        disk.processKill()
        // The same boot, the wall clock an hour on: the broker clock went 30 ns.
        var clock = Small.clock
        clock.bootNanos += 30
        clock.wallNanos += 3_600_000_000_000
        let second = try Opened(disk, clock: clock)
        #expect(clock.bootNanos + second.journal.recovery.clockOffset == start + 30)
        disk.processKill()
        // Another boot: as long as the wall clock says since the last group.
        clock = ClockReading(wallNanos: time.wall + 500, bootNanos: 3, bootID: 8)
        let third = try Opened(disk, clock: clock)
        #expect(3 + third.journal.recovery.clockOffset == time.clock + 500)
        disk.processKill()
        clock = ClockReading(wallNanos: 0, bootNanos: 4, bootID: 9)
        let fourth = try Opened(disk, clock: clock)
        #expect(4 + fourth.journal.recovery.clockOffset >= time.clock)
    }
}
