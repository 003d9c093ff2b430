import ChaskiModel
import ChaskiSimulation
import ChaskiStorage
import Testing

@Suite struct JournalTests {
    @Test func committedEntriesAreReplayedAndRead() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let first = try Opened(disk)
        #expect(first.journal.recovery.epoch == 1)
        #expect(first.replayed.isEmpty)
        for offset in 0..<20 {
            let group = Small.group([Small.batch(Offset(offset)), Small.state(UInt8(offset))])
            #expect(first.commit(group) != nil)
        }
        #expect(try first.readAll().map(\.baseOffset) == Array(0..<20))
        disk.powerCut()
        let second = try Opened(disk)
        #expect(second.journal.recovery.epoch == 2)
        #expect(second.batches.map(\.baseOffset) == Array(0..<20))
        #expect(second.batches.allSatisfy { $0.body == Small.body($0.topic, $0.baseOffset) })
        #expect(
            second.replayed.filter { $0.entry.kind == .state }.map { $0.entry.body.first }
                == (0..<20).map { UInt8($0) })
        let read = try second.readAll()
        #expect(read.map(\.baseOffset) == Array(0..<20))
        #expect(read.allSatisfy { $0.bytes == Small.body($0.topic, $0.baseOffset) })
    }

    @Test func manyFilesAreReadThroughSidecars() throws {
        let disk = SimulatedFileSystem(seed: 2)
        let opened = try Opened(disk)
        for offset in 0..<100 {
            let topic = offset % 2 == 0 ? Small.topic : Small.other
            let batch = Small.batch(Offset(offset / 2), topic: topic, bytes: 3_000)
            #expect(opened.commit(Small.group([batch])) != nil)
            if offset % 10 == 9 { opened.maintain() }
        }
        #expect(disk.names.filter { $0.hasSuffix(".index") }.count > 5)
        #expect(try opened.readAll().map(\.baseOffset) == Array(0..<50))
        #expect(try opened.readAll(Small.other).map(\.baseOffset) == Array(0..<50))
        disk.processKill()
        let again = try Opened(disk)
        #expect(try again.readAll().map(\.baseOffset) == Array(0..<50))
        #expect(try again.readAll(Small.other, from: 30).map(\.baseOffset) == Array(30..<50))
    }

    @Test func aCheckpointBoundsReplayAndFreesFiles() throws {
        let disk = SimulatedFileSystem(seed: 3)
        let opened = try Opened(disk)
        for offset in 0..<40 {
            #expect(opened.commit(Small.group([Small.batch(Offset(offset), bytes: 3_000)])) != nil)
        }
        let begun = try #require(opened.commit(Small.group([Small.section(1)], begins: 1)))
        #expect(opened.commit(Small.group([Small.state(9)])) != nil)
        let receipt = try #require(opened.commit(Small.group([Small.section(2)], ends: 1)))
        #expect(receipt.replayFrom.file == begun.file)
        #expect(opened.journal.index.takeDroppableFiles().isEmpty)
        opened.journal.index.released(Small.topic, 0..<40)
        let report = opened.maintain()
        #expect(report.dropped == Array(1..<begun.file))
        disk.powerCut()
        let again = try Opened(disk)
        #expect(again.replayed.map(\.entry.kind) == [.section, .state, .section])
        #expect(disk.names.filter { $0.hasSuffix(".log") }.count <= 3)
    }
}
