import ChaskiModel
import ChaskiSimulation
@testable import ChaskiStorage
import Testing

/// Moving what is alive out of files that hold little of it.
@Suite struct CompactionTests {
    private func segments(_ disk: SimulatedFileSystem) -> [String] {
        disk.names.filter { $0.hasPrefix("segment-") }
    }
    private func logs(_ disk: SimulatedFileSystem) -> [String] {
        disk.names.filter { $0.hasSuffix(".log") }
    }

    /// `count` batches in files of seven, and a checkpoint behind them.
    private func filled(
        _ disk: SimulatedFileSystem, count: Offset = 40, topic: TopicID = Small.topic
    ) throws -> Opened {
        let opened = try Opened(disk)
        for offset in 0..<count {
            opened.commit(
                Small.group(
                    [
                        Small.batch(offset, topic: topic, bytes: 1_000),
                        Small.state(UInt8(truncatingIfNeeded: offset)),
                    ], clock: Int64(offset)))
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        return opened
    }

    @Test func oneOldMessagePinsNoFile() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try filled(disk)
        opened.journal.index.released(Small.topic, 0..<3)
        opened.journal.index.released(Small.topic, 4..<40)
        let figures = opened.catchUp()
        #expect(figures.compactions == 1 && figures.segmentsMade == 1)
        #expect(figures.bytesCopied == 1_000)
        #expect(logs(disk) == [JournalName.journal(6)])
        #expect(segments(disk).count == 1)
        #expect(try opened.readAll(from: 3).map(\.baseOffset).first == 3)
        #expect(disk.usedBytes < 32 << 10 * 5)
        // The same after a power cut.
        disk.powerCut()
        let again = try Opened(disk)
        #expect(again.journal.recovery.segments == 1)
        again.journal.index.retainOnly([(topic: Small.topic, from: 3)])
        again.journal.index.released(Small.topic, 4..<40)
        let batch = try #require(try again.read(from: 3).first)
        #expect(batch.baseOffset == 3 && batch.bytes == Small.body(Small.topic, 3, bytes: 1_000))
        // Once it is not needed either, nothing is left of it.
        again.journal.index.released(Small.topic, 3..<4)
        again.catchUp()
        #expect(segments(disk).isEmpty)
        #expect(try again.readAll(from: 0).allSatisfy { $0.baseOffset > 3 })
    }

    @Test func onlyFilesBelowHalfAliveAreCompacted() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        // Seven batches of 3,000 bytes are more than half of 32 KiB, five are less.
        for offset in 0..<28 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset, bytes: 3_000)]))
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        #expect(opened.catchUp().compactions == 0)
        opened.journal.index.released(Small.topic, 0..<1)
        #expect(opened.catchUp().compactions == 0, "six of seven are alive")
        opened.journal.index.released(Small.topic, 1..<2)
        #expect(opened.catchUp().compactions == 1, "five of seven are alive")
        #expect(try opened.readAll(from: 2).map(\.baseOffset) == Array(2..<28))
        #expect(opened.catchUp(isSpaceShort: true).compactions == 3, "on a full disk each counts")
        #expect(try opened.readAll(from: 2).map(\.baseOffset) == Array(2..<28))
        #expect(opened.catchUp(isSpaceShort: true) == UpkeepFigures(), "and then it ends")
    }

    @Test func filesThatRecoveryNeedsStay() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<28 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset, bytes: 1_000)]))
        }
        opened.journal.index.released(Small.topic, 1..<28)
        #expect(opened.catchUp(isSpaceShort: true).compactions == 0, "no checkpoint covers them")
        #expect(logs(disk).count == 4)
    }

    @Test func eachTopicGetsASegment() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        var next: [TopicID: Offset] = [:]
        for round in 0..<400 as Range<UInt64> {
            let topic = TopicID(rawValue: round % 100 + 1)
            let offset = next[topic, default: 0]
            opened.commit(Small.group([Small.batch(offset, topic: topic, bytes: 500)]))
            next[topic] = offset + 1
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        for topic in next.keys { opened.journal.index.released(topic, 1..<3) }
        opened.catchUp()
        for topic in next.keys {
            #expect(try opened.read(topic, from: 0).map(\.baseOffset) == [0])
            #expect(try opened.read(topic, from: 3).map(\.baseOffset) == [3])
        }
        disk.powerCut()
        let again = try Opened(disk)
        #expect(again.journal.recovery.segments == segments(disk).count)
        for topic in next.keys {
            #expect(try again.read(topic, from: 0).map(\.baseOffset) == [0])
            #expect(try again.read(topic, from: 3).map(\.baseOffset) == [3])
        }
    }

    @Test func smallSegmentsAreMerged() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        var cycle: UInt64 = 0
        for offset in 0..<280 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset, bytes: 1_000)]))
            if offset % 7 == 6 {
                cycle += 1
                opened.commit(Small.group([Small.section(1)], begins: cycle, ends: cycle))
            }
            // One of each ten stays.
            if offset % 10 != 0 { opened.journal.index.released(Small.topic, offset..<offset + 1) }
            if offset % 7 == 6 { opened.catchUp() }
        }
        opened.catchUp()
        let kept = try opened.readAll().map(\.baseOffset).filter { $0 % 10 == 0 }
        #expect(kept == Array(stride(from: 0, to: 280, by: 10)))
        #expect(segments(disk).count <= 6, "forty files had something alive")
        #expect(logs(disk).count <= 3)
        disk.powerCut()
        let again = try Opened(disk)
        let after = try again.readAll().map(\.baseOffset).filter { $0 % 10 == 0 }
        #expect(after == kept)
    }

    @Test func segmentsAreCompactedAgain() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try filled(disk, count: 20)
        opened.journal.index.released(Small.topic, 7..<20)
        opened.catchUp()
        #expect(segments(disk).count == 1)
        let before = try #require(disk.contents(segments(disk)[0])).count
        opened.journal.index.released(Small.topic, 0..<3)
        #expect(opened.catchUp().compactions == 0, "more than half is alive")
        opened.journal.index.released(Small.topic, 3..<6)
        #expect(opened.catchUp().compactions == 1)
        #expect(segments(disk).count == 1)
        #expect(try #require(disk.contents(segments(disk)[0])).count < before / 4)
        #expect(try opened.read(from: 6).map(\.baseOffset) == [6])
    }

    @Test func aTopicThatGoesAwayTakesItsSegmentsAlong() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try filled(disk)
        opened.journal.index.released(Small.topic, 1..<40)
        opened.maintain(drops: false)
        // It goes between the plan and its effect.
        let plan = try #require(opened.journal.index.nextUpkeep(isSpaceShort: false, clock: 0))
        guard case .retire = plan else {
            Issue.record("files without anything alive go first")
            return
        }
        opened.journal.begin(plan)
        guard
            case .finished(let first) = opened.journal.stepUpkeep(
                maximumBytes: 1 << 20, now: Now(clock: 0, wall: 0))
        else { return }
        opened.journal.index.apply(opened.journal.maintain(upkeep: first, bootNanos: 0))
        opened.catchUp()
        #expect(segments(disk).count == 1)
        opened.journal.index.topicRemoved(Small.topic)
        opened.catchUp()
        #expect(segments(disk).isEmpty)
        #expect(logs(disk).count == 1)
    }

    @Test func aCompactionOfATopicThatGoesAwayMeanwhileLeavesNothing() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try filled(disk, count: 12)
        opened.journal.index.released(Small.topic, 1..<7)
        for _ in 0..<3 { opened.maintain(drops: false) }
        let plan = try #require(opened.journal.index.nextUpkeep(isSpaceShort: false, clock: 0))
        guard case .compact = plan else {
            Issue.record("not compacted: \(plan)")
            return
        }
        let second = opened.journal.index.nextUpkeep(isSpaceShort: false, clock: 0)
        #expect(second.map { _ in 1 } == nil, "one at a time")
        opened.journal.begin(plan)
        opened.journal.index.topicRemoved(Small.topic)
        while true {
            let now = Now(clock: 0, wall: 0)
            guard case .finished(let result) = opened.journal.stepUpkeep(maximumBytes: 1, now: now)
            else { continue }
            opened.journal.index.apply(opened.journal.maintain(upkeep: result, bootNanos: 0))
            break
        }
        opened.catchUp()
        #expect(segments(disk).isEmpty && logs(disk).count == 1)
        #expect(disk.names.allSatisfy { !$0.hasPrefix("partial-") })
    }

    @Test func aReadUnderWayOutlivesTheFile() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try filled(disk)
        guard
            case .load(let plan) = opened.journal.index.read(
                Small.topic, from: 3, maximumBytes: 1)
        else {
            Issue.record("not read from disk")
            return
        }
        opened.journal.index.released(Small.topic, 0..<3)
        opened.journal.index.released(Small.topic, 4..<40)
        opened.catchUp()
        guard case .load(let next) = opened.journal.index.finish(plan.execute(disk)),
            case .ready(let batches) = opened.journal.index.finish(next.execute(disk))
        else {
            Issue.record("not read again from the segment")
            return
        }
        #expect(batches.map(\.baseOffset) == [3])
    }

    @Test func theReserveServesCompaction() throws {
        let disk = SimulatedFileSystem(seed: 1, capacityBytes: 7 * (32 << 10))
        let opened = try Opened(disk)
        var offset: Offset = 0
        while opened.commit(Small.group([Small.batch(offset, bytes: 3_000)])) != nil { offset += 1 }
        for _ in 0..<3 { opened.maintain(bootNanos: 1) }
        // Two of three go, everywhere; only state entries and checkpoints get through.
        for at in 0..<offset where at % 3 != 0 {
            opened.journal.index.released(Small.topic, at..<at + 1)
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        #expect(opened.journal.spaceState == .reserveOnly)
        let figures = opened.catchUp(isSpaceShort: true, clock: 1)
        #expect(figures.compactions > 1 && figures.compactionsGivenUp == 0)
        #expect(opened.journal.spaceState == .available)
        #expect(opened.commit(Small.group([Small.batch(offset, bytes: 3_000)])) != nil)
        let wanted = Array(stride(from: 0, to: offset, by: 3))
        let found = try opened.readAll().map(\.baseOffset).filter { $0 % 3 == 0 && $0 < offset }
        #expect(found == wanted)
    }
}
