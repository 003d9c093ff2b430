import ChaskiModel
import ChaskiSimulation
@testable import ChaskiStorage
import Testing

@Suite struct JournalIndexTests {
    @Test func releasedOffsetsMergeAndAnswer() {
        var released = ReleasedOffsets()
        var model = Set<Offset>()
        var random = DiskRandom(seed: 1)
        for _ in 0..<2_000 {
            let start = random.below(400)
            let range = start..<(start + random.below(6))
            released.insert(range)
            model.formUnion(range)
            let from = random.below(400)
            let asked = from..<(from + 1 + random.below(8))
            #expect(released.contains(asked) == asked.allSatisfy(model.contains))
        }
    }

    @Test func releasedOffsetsAreBounded() {
        var released = ReleasedOffsets()
        for index in 0..<5_000 as Range<Offset> {
            released.insert((10 + index * 2)..<(11 + index * 2))
        }
        // Some were forgotten, which is safe; none was made up.
        let known = (0..<5_000 as Range<Offset>).filter {
            released.contains((10 + $0 * 2)..<(11 + $0 * 2))
        }
        #expect(known.count == 1_024)
        #expect(!released.contains(0..<1))
        released.insert(0..<Offset.max)
        #expect(released.contains(77..<1_000_000))
    }

    @Test func theTailIsReadFromMemoryAndTheRestFromDisk() throws {
        let disk = SimulatedFileSystem(seed: 1)
        var configuration = Small.configuration
        configuration.cacheBytes = 5 * (100 + 128)
        let opened = try Opened(disk, configuration: configuration)
        for offset in 0..<20 as Range<Offset> { opened.commit(Small.group([Small.batch(offset)])) }
        let index = opened.journal.index
        guard case .ready(let tail) = index.read(Small.topic, from: 15, maximumBytes: 250) else {
            Issue.record("the tail is not in memory")
            return
        }
        #expect(tail.map(\.baseOffset) == [15, 16])
        guard case .load(let plan) = index.read(Small.topic, from: 14, maximumBytes: 250) else {
            Issue.record("what is not in memory was found there")
            return
        }
        guard case .ready(let read) = index.finish(plan.execute(disk)) else {
            Issue.record("the disk was not read")
            return
        }
        #expect(read.map(\.baseOffset) == [14, 15])
        guard case .end = index.read(Small.topic, from: 20, maximumBytes: 1) else {
            Issue.record("there is something behind the end")
            return
        }
    }

    @Test func aBatchIsFoundByAnyOfItsOffsets() throws {
        let opened = try Opened(SimulatedFileSystem(seed: 1))
        opened.commit(Small.group([Small.batch(0, count: 10), Small.batch(10, count: 5)]))
        #expect(try opened.read(from: 9).map(\.baseOffset) == [0])
        #expect(try opened.read(from: 10).map(\.baseOffset) == [10])
        #expect(try opened.read(from: 14).map(\.baseOffset) == [10])
        #expect(try opened.read(from: 15).isEmpty)
        #expect(opened.journal.index.storedBytes(Small.topic) == 200)
    }

    /// Fills some files and checkpoints, so that all but the newest could be dropped.
    private func manyFiles(_ disk: SimulatedFileSystem) throws -> Opened {
        let opened = try Opened(disk)
        for offset in 0..<30 as Range<Offset> { opened.commit(Small.group([Small.batch(offset)])) }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        opened.maintain()
        return opened
    }

    @Test func onlyDeadFilesAreDropped() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try manyFiles(disk)
        #expect(opened.maintain().dropped.isEmpty)
        opened.journal.index.released(Small.topic, 0..<6)
        #expect(opened.maintain().dropped.isEmpty, "offset 6 is the last of the first file")
        opened.journal.index.released(Small.topic, 7..<14)
        #expect(opened.maintain().dropped == [2])
        #expect(try opened.readAll().map(\.baseOffset) == Array(0..<7) + Array(14..<30))
        opened.journal.index.topicRemoved(Small.topic)
        #expect(opened.maintain().dropped == [1, 3, 4])
        #expect(try opened.readAll().isEmpty)
    }

    @Test func afterARestartTheHostSaysWhatIsNeeded() throws {
        let disk = SimulatedFileSystem(seed: 1)
        _ = try manyFiles(disk)
        disk.powerCut()
        let opened = try Opened(disk)
        opened.journal.index.retainOnly([(topic: Small.topic, from: 20)])
        #expect(Set(opened.maintain().dropped).isSuperset(of: [1, 2]))
        #expect(try opened.readAll(from: 20).map(\.baseOffset) == Array(20..<30))
        disk.processKill()
        let again = try Opened(disk)
        again.journal.index.retainOnly([])
        again.maintain()
        #expect(try again.readAll().isEmpty)
    }

    @Test func aReadOfAFileThatWentAwayIsNotBelieved() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try manyFiles(disk)
        guard
            case .load(let plan) = opened.journal.index.read(Small.topic, from: 3, maximumBytes: 1)
        else {
            Issue.record("nothing to load")
            return
        }
        opened.journal.index.released(Small.topic, 0..<7)
        #expect(opened.maintain().dropped == [1])
        // Whatever the late read brings, the answer is the next batch that exists.
        guard case .load(let next) = opened.journal.index.finish(plan.execute(disk)),
            case .ready(let batches) = opened.journal.index.finish(next.execute(disk))
        else {
            Issue.record("the read does not go on")
            return
        }
        #expect(batches.map(\.baseOffset) == [7])
    }

    @Test func anUnreadableSectorIsAnErrorOfItsTopic() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try manyFiles(disk)
        disk.makeUnreadable(4096..<5000, in: JournalName.journal(1))
        #expect(throws: Failure.self) { try opened.read(from: 0) }
        #expect(try opened.read(from: 1).map(\.baseOffset) == [1])
        #expect(opened.commit(Small.group([Small.batch(30)])) != nil)
    }
}
