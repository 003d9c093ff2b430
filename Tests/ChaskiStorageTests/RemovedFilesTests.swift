import ChaskiModel
import ChaskiSimulation
@testable import ChaskiStorage
import Synchronization
import Testing

/// Giving back the space of files that nobody needs.
@Suite struct RemovedFilesTests {
    /// The calls that a removal is made of, in their order.
    private final class Calls: Sendable {
        let all = Mutex<[DiskOperation]>([])

        func watch(_ disk: SimulatedFileSystem) {
            disk.observe { operation in
                guard [.remove, .shrink, .syncDirectory].contains(operation.kind) else { return }
                self.all.withLock { $0.append(operation) }
            }
        }
    }

    /// Ten files of 32 KiB, all of whose batches are acked.
    private func dead(_ disk: SimulatedFileSystem) throws -> Opened {
        let opened = try Opened(disk)
        for offset in 0..<70 as Range<Offset> {
            opened.commit(Small.group([Small.batch(offset, bytes: 4_000)]))
        }
        opened.commit(Small.group([Small.section(1)], begins: 1, ends: 1))
        opened.journal.index.released(Small.topic, 0..<70)
        return opened
    }

    @Test func whatIsRemovedIsFreedInSlicesAfterwards() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try dead(disk)
        let calls = Calls()
        calls.watch(disk)
        opened.catchUp(sliceBytes: 1_024)
        var removed: [String: Bool] = [:]
        var slices: [String: Int] = [:]
        for call in calls.all.withLock({ $0 }) {
            switch call.kind {
            case .remove: removed[call.name] = false
            case .syncDirectory: for name in removed.keys { removed[name] = true }
            default:
                #expect(removed[call.name] == true, "\(call.name) is durably gone")
                slices[call.name, default: 0] += 1
            }
        }
        let logs = removed.keys.filter { $0.hasSuffix(".log") }
        #expect(logs.count >= 8)
        // 16 times what may be read in a slice of 1,024 bytes; sidecars are small and have none.
        #expect(slices == Dictionary(uniqueKeysWithValues: logs.map { ($0, 2) }))
        disk.powerCut()
        #expect(try Opened(disk).readAll(from: 70).isEmpty)
    }

    @Test func aCommitWaitsForFewRemovals() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try dead(disk)
        for _ in 0..<20 { opened.maintain(drops: false) }
        while true {
            let calls = Calls()
            calls.watch(disk)
            guard let report = opened.upkeep() else { break }
            #expect(report.dropped.count <= 4)
            let logs = calls.all.withLock { $0 }
                .filter { $0.kind == .remove && $0.name.hasSuffix(".log") }
            #expect(logs.count <= 4)
        }
        #expect(disk.names.filter { $0.hasSuffix(".log") }.count <= 2)
    }

    @Test func whatCannotBeShrunkHoldsNothingUp() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let opened = try dead(disk)
        disk.faults.failFrom = 1
        disk.faults.kinds = [.shrink]
        opened.catchUp()
        #expect(opened.journal.spaceState == .available)
        #expect(disk.names.filter { $0.hasSuffix(".log") }.count <= 2)
    }
}
