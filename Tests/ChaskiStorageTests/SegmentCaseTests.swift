import ChaskiModel
import ChaskiSimulation
@testable import ChaskiStorage
import Testing

/// The cases of SegmentFormat.md, by number.
@Suite struct SegmentCaseTests {
    /// A journal of one file, with a segment of a topic that lacks its first batch: offsets 1 to 3.
    private func written(
        topics: [TopicID] = [Small.topic]
    ) throws -> (disk: SimulatedFileSystem, opened: Opened) {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<8 as Range<Offset> {
            opened.commit(
                Small.group(topics.map { Small.batch(offset, topic: $0, bytes: 1_000) }))
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        for topic in topics {
            opened.journal.index.released(topic, 0..<1)
            opened.journal.index.released(topic, 4..<8)
        }
        opened.catchUp()
        return (disk, opened)
    }

    private func segments(_ disk: SimulatedFileSystem) -> [String] {
        disk.names.filter { $0.hasPrefix("segment-") }
    }

    private func only(_ disk: SimulatedFileSystem) throws -> String {
        let names = segments(disk)
        try #require(names.count == 1)
        return names[0]
    }

    private func inspect(_ disk: SimulatedFileSystem) throws -> InspectionSummary {
        try JournalInspector.inspect(disk) { _ in }
    }

    @Test("Case 1: a batch in the journal and in a segment is one batch") func case1() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<8 as Range<Offset> {
            opened.commit(
                Small.group([
                    Small.batch(offset, bytes: 1_000),
                    Small.batch(offset, topic: Small.other, bytes: 1_000),
                ]))
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        opened.journal.index.released(Small.topic, 0..<2)
        opened.journal.index.released(Small.other, 0..<2)
        for _ in 0..<3 { opened.maintain(drops: false) }
        // Up to the effect of the compaction, and not to the end of the file.
        var report = opened.upkeep()
        while report?.upkeep?.figures.compactions == 0 { report = opened.upkeep() }
        #expect(disk.names.contains(JournalName.journal(1)))
        #expect(segments(disk).count == 2)
        // One of the two did not reach the disk.
        try disk.remove(segments(disk)[0])
        disk.processKill()
        let again = try Opened(disk)
        again.journal.index.released(Small.topic, 0..<2)
        again.journal.index.released(Small.other, 0..<2)
        #expect(try again.readAll(Small.topic, from: 2).map(\.baseOffset) == Array(2..<8))
        #expect(try again.readAll(Small.other, from: 2).map(\.baseOffset) == Array(2..<8))
        again.catchUp()
        #expect(!disk.names.contains(JournalName.journal(1)))
        #expect(try again.readAll(Small.topic, from: 2).map(\.baseOffset) == Array(2..<8))
        #expect(try again.readAll(Small.other, from: 2).map(\.baseOffset) == Array(2..<8))
    }

    @Test("Case 2: a merged segment replaces those that it was made of") func case2() throws {
        let (disk, opened) = try written()
        let old = try only(disk)
        let content = try #require(disk.contents(old))
        opened.journal.index.released(Small.topic, 1..<3)
        opened.catchUp()
        let new = try only(disk)
        #expect(new != old)
        // The old one comes back, as if its removal had not reached the disk.
        let file = try disk.create(old, allocating: content.count)
        try file.write(content.span.bytes, at: 0)
        disk.processKill()
        let again = try Opened(disk)
        #expect(again.journal.recovery.segments == 1)
        #expect(try again.readAll().map(\.baseOffset).first == 3)
        again.maintain()
        #expect(try only(disk) == new)
    }

    @Test("Case 3: a partial segment is removed, and its serial not used again") func case3() throws
    {
        let (disk, _) = try written()
        _ = try disk.create(JournalName.partialFile(77), allocating: 5_000)
        _ = try disk.create(JournalName.partialHistoryFile(78), allocating: 5_000)
        disk.processKill()
        let opened = try Opened(disk)
        opened.maintain()
        #expect(disk.names.allSatisfy { !$0.hasPrefix("partial-") })
        opened.journal.index.released(Small.topic, 0..<3)
        opened.journal.index.released(Small.topic, 4..<8)
        opened.catchUp()
        #expect(try only(disk).hasSuffix("4e"), "78 follows 77")
    }

    @Test("Case 4: one copy of the header is enough", arguments: [0, 1]) func case4(
        copy: Int
    ) throws {
        let (disk, _) = try written()
        let name = try only(disk)
        let size = try #require(disk.contents(name)).count
        disk.flipBit(2, of: copy == 0 ? 40 : size - 60, in: name)
        #expect(try inspect(disk).damage.map(\.fences) == [.topic(Small.topic)])
        disk.processKill()
        #expect(try Opened(disk).readAll(from: 1).map(\.baseOffset).prefix(3) == [1, 2, 3])
    }

    @Test("Case 4: a first copy that cannot be read") func case4Unreadable() throws {
        let (disk, _) = try written()
        disk.makeUnreadable(0..<100, in: try only(disk))
        disk.processKill()
        let opened = try Opened(disk)
        // The header is there, the table beside it is not.
        #expect(opened.journal.recovery.damagedSegments.isEmpty)
        #expect(throws: Failure.self) { try opened.read(from: 1) }
    }

    @Test("Case 5: without a header what it held cannot be read, and other topics can") func case5()
        throws
    {
        let (disk, _) = try written(topics: [Small.topic, Small.other])
        let name = try #require(segments(disk).first)
        let size = try #require(disk.contents(name)).count
        disk.flipBit(2, of: 40, in: name)
        disk.flipBit(2, of: size - 60, in: name)
        disk.processKill()
        let opened = try Opened(disk)
        #expect(opened.journal.recovery.damagedSegments.map(\.topic) == [Small.topic])
        let failure = #expect(throws: Failure.self) { try opened.read(from: 1) }
        #expect(failure?.reason == .damaged && failure?.message.contains(name) == true)
        #expect(try opened.read(from: 7).map(\.baseOffset) == [7])
        #expect(try opened.readAll(Small.other, from: 1).map(\.baseOffset).prefix(3) == [1, 2, 3])
        opened.catchUp(isSpaceShort: true)
        #expect(segments(disk).contains(name), "it is left alone")
        opened.commit(Small.group([Small.batch(8)]))
        #expect(try opened.read(from: 8).map(\.baseOffset) == [8])
        #expect(try inspect(disk).damage.map(\.fences) == [.topic(Small.topic)])
    }

    @Test("Case 6: a damaged table") func case6() throws {
        let (disk, opened) = try written(topics: [Small.topic, Small.other])
        let name = try #require(segments(disk).first)
        disk.flipBit(2, of: 128 + 40, in: name)
        let failure = #expect(throws: Failure.self) { try opened.read(from: 1) }
        #expect(failure?.reason == .damaged && failure?.message.contains(name) == true)
        #expect(try opened.readAll(Small.other, from: 1).map(\.baseOffset).prefix(3) == [1, 2, 3])
        // It is not compacted either: what is in it stays where it is.
        opened.journal.index.released(Small.topic, 1..<3)
        #expect(opened.catchUp().compactionsGivenUp == 1)
        #expect(segments(disk).contains(name))
        #expect(try inspect(disk).damage.map(\.fences) == [.topic(Small.topic)])
    }

    @Test("Case 7: a damaged body, or one cut off, fences its batch") func case7() throws {
        let (disk, opened) = try written()
        let name = try only(disk)
        disk.flipBit(2, of: 128 + 3 * 32 + 1_500, in: name)
        #expect(try opened.read(from: 1).map(\.baseOffset) == [1])
        let failure = #expect(throws: Failure.self) { try opened.read(from: 2) }
        #expect(failure?.reason == .damaged)
        #expect(failure?.message.contains("\(name):") == true)
        #expect(try opened.read(from: 3).map(\.baseOffset) == [3])
        #expect(try inspect(disk).damage.count == 1)
        // What is damaged is not copied as if it were sound.
        opened.journal.index.released(Small.topic, 0..<2)
        opened.journal.index.released(Small.topic, 3..<4)
        #expect(opened.catchUp().compactionsGivenUp == 1)
        #expect(try only(disk) == name)
        let content = try #require(disk.contents(name))
        try disk.remove(name)
        let part = Array(content.prefix(1_500))
        let short = try disk.create(name, allocating: 0)
        try short.write(part.span.bytes, at: 0)
        #expect(try opened.read(from: 1).map(\.baseOffset) == [1])
        #expect(throws: Failure.self) { try opened.read(from: 3) }
        #expect(try inspect(disk).damage.count >= 3)
    }

    @Test("Case 7: a damaged batch keeps its journal file, and only that") func case7Journal()
        throws
    {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<8 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset, bytes: 1_000)]))
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        opened.journal.index.released(Small.topic, 0..<2)
        disk.flipBit(2, of: 4096 * 3 + 128 + 32 + 500, in: JournalName.journal(1))
        let figures = opened.catchUp()
        #expect(figures.compactionsGivenUp == 1 && figures.compactions == 0)
        #expect(disk.names.contains(JournalName.journal(1)) && segments(disk).isEmpty)
        #expect(disk.names.allSatisfy { !$0.hasPrefix("partial-") })
        #expect(throws: Failure.self) { try opened.read(from: 2) }
        #expect(try opened.read(from: 3).map(\.baseOffset) == [3])
        opened.journal.index.released(Small.topic, 0..<8)
        opened.catchUp()
        #expect(!disk.names.contains(JournalName.journal(1)), "dead, it goes as any other")
    }

    @Test("Case 8: a segment that is gone leaves a gap that reads show") func case8() throws {
        let (disk, _) = try written()
        try disk.remove(try only(disk))
        disk.processKill()
        let opened = try Opened(disk)
        // The core compares offsets and stalls.
        #expect(try opened.read(from: 1).first.map { $0.baseOffset > 3 } ?? true)
    }

    @Test func aNewerFormatOrAnotherJournalRefusesToOpen() throws {
        for (at, bytes) in [(12, [2, 0, 2, 0]), (16, [9, 9])] as [(Int, [UInt8])] {
            let (disk, _) = try written()
            let name = try only(disk)
            var header = Array(try #require(disk.contents(name)).prefix(128))
            header.replaceSubrange(at..<(at + bytes.count), with: bytes)
            header.set(littleEndian: CRC32C.checksum(header[12...]), at: 8)
            disk.overwrite(header, at: 0, in: name)
            disk.processKill()
            let before = disk.names
            let failure = #expect(throws: Failure.self) { try Opened(disk) }
            #expect(failure?.message.contains(name) == true)
            #expect(disk.names == before)
        }
    }

    @Test func aFailedWriteOrSyncOfASegmentEndsTheJournal() throws {
        for kind in [DiskOperation.Kind.write, .sync, .rename, .syncDirectory] {
            let disk = SimulatedFileSystem(seed: 1)
            let opened = try Opened(disk)
            for offset in 0..<8 as Range<Offset> {
                opened.commit(Small.group([Small.batch(offset, bytes: 1_000)]))
            }
            opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
            opened.journal.index.released(Small.topic, 0..<2)
            for _ in 0..<3 { opened.maintain(drops: false) }
            disk.faults.kinds = [kind]
            disk.faults.failFrom = disk.operations
            opened.upkeep()
            disk.faults = DiskFaults()
            guard case .failed = opened.journal.commit(Small.group([Small.state(1)])) else {
                Issue.record("confirmed after a failed \(kind)")
                continue
            }
            disk.powerCut()
            let again = try Opened(disk)
            again.journal.index.released(Small.topic, 0..<2)
            #expect(try again.readAll(from: 2).map(\.baseOffset) == Array(2..<8), "\(kind)")
        }
    }
}
