import ChaskiModel
import ChaskiSimulation
import Testing

@testable import ChaskiStorage

/// What lies behind the acknowledged groups of a file, and is written anew in the next one.
@Suite struct UnacknowledgedTailTests {
    @Test("A file whose predecessor has no index of its own stays until it has")
    func headerIsNeeded() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try Opened(disk)
        for offset in 0..<70 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset, bytes: 1_000)]))
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        let files = disk.names.filter { $0.hasSuffix(".log") }
        #expect(files.count > 9)
        // All of the eighth file, and of no other: each has seven.
        opened.journal.index.released(Small.topic, 49..<56)
        let report = opened.maintain()
        #expect(report.indexed == [1, 2, 3, 4] && report.dropped.isEmpty)
        var dropped: [UInt64] = []
        for _ in 0..<3 { dropped += opened.maintain(drops: false).dropped }
        #expect(dropped == [8])
        #expect(!disk.names.contains(JournalName.journal(8)))
    }

    @Test("A segment counts before the tail of an earlier file that claims its offsets")
    func segmentBeforeTail() {
        let id = SegmentID(topic: Small.topic, source: 91, serial: 1)
        let run = TopicState.Run(file: 91, segment: id, first: 211, end: 212, bytes: 100)
        var state = TopicState()
        state.extend(file: 89, first: 200, end: 210, bytes: 1_000)
        state.extend(file: 90, first: 210, end: 213, bytes: 300)
        state.extend(file: 93, first: 213, end: 220, bytes: 700)
        #expect(state.insert(run, isReadable: true) == run)
        #expect(state.runs.map(\.file) == [89, 90, 91, 93])
        #expect(state.runs.map(\.first) == [200, 210, 211, 213])
        #expect(state.runs.map(\.end) == [210, 211, 212, 220])
        var covered = TopicState()
        covered.extend(file: 90, first: 211, end: 213, bytes: 300)
        #expect(covered.insert(run, isReadable: true) == run)
        #expect(covered.runs == [run])
    }

    @Test("A segment that cannot be read takes no offsets from others")
    func unreadable() {
        let id = SegmentID(topic: Small.topic, source: 91, serial: 1)
        var state = TopicState()
        state.extend(file: 90, first: 210, end: 213, bytes: 300)
        let run = TopicState.Run(file: 91, segment: id, first: 0, end: .max, bytes: 0)
        #expect(state.insert(run, isReadable: false)?.first == 213)
        #expect(state.runs.first?.end == 213)
    }
}
