import ChaskiModel
import ChaskiSimulation
@testable import ChaskiStorage
import Testing

/// Forged fields with sound checksums in segments and history files: whatever they hold, nothing
/// traps, and nothing that was not written is served.
@Suite struct SegmentForgeryTests {
    private func written(_ seed: UInt64) throws -> (SimulatedFileSystem, JournalOracle) {
        let disk = SimulatedFileSystem(seed: seed)
        var oracle = JournalOracle()
        _ = try JournalScenario(seed: seed, groups: 20, compacts: true).run(disk, &oracle)
        disk.processKill()
        return (disk, oracle)
    }

    /// Seeds whose life leaves a file that begins with `prefix`.
    private func disks(_ prefix: String, _ count: Int) throws -> [UInt64] {
        var found: [UInt64] = []
        for seed in 1...400 as ClosedRange<UInt64> where found.count < count {
            let (disk, _) = try written(seed)
            if disk.names.contains(where: { $0.hasPrefix(prefix) }) { found.append(seed) }
        }
        return found
    }

    private func forge(_ bytes: inout [UInt8], fields: [Int], _ random: inout DiskRandom) {
        let at = fields[Int(random.below(UInt64(fields.count)))]
        let values: [UInt64] = [
            0, 1, UInt64.max, 1 << 63, 4096, 1 << 62, UInt64(UInt32.max), random.next(),
        ]
        bytes.set(littleEndian: values[Int(random.below(UInt64(values.count)))], at: at)
    }

    /// Reads, compacts, inspects: nothing of it may trap.
    private func use(_ disk: SimulatedFileSystem, _ oracle: JournalOracle) {
        _ = try? JournalInspector.inspect(disk) { _ in }
        try? HistoryReader(disk).groups { _ in true }
        guard let opened = JournalScenario.open(disk) else { return }
        for offset in 0..<oracle.nextOffset {
            for batch in (try? opened.read(from: offset)) ?? [] {
                let wanted = oracle.kept.filter {
                    $0.kind == .batch && $0.baseOffset == batch.baseOffset
                }
                #expect(wanted.contains { $0.body == batch.bytes }, "offset \(offset)")
            }
        }
        opened.journal.index.released(Small.topic, 0..<oracle.nextOffset / 2)
        opened.catchUp(isSpaceShort: true, clock: 100)
        opened.commit(Small.group([Small.batch(oracle.nextOffset)]))
        opened.catchUp()
    }

    @Test func forgedSegmentsDoNotTrap() throws {
        var random = DiskRandom(seed: 7)
        let seeds = try disks("segment-", 4)
        try #require(seeds.count == 4)
        for round in 0..<160 {
            let (disk, oracle) = try written(seeds[round % 4])
            let names = disk.names.filter { $0.hasPrefix("segment-") }
            let name = names[Int(random.below(UInt64(names.count)))]
            var bytes = try #require(disk.contents(name))
            let count = Int(bytes[...].littleEndian(UInt32.self, at: 88) ?? 0)
            let table = 128 + 32 * count
            if round % 2 == 0 {
                forge(&bytes, fields: stride(from: 32, to: 104, by: 8).map { $0 }, &random)
            } else {
                forge(&bytes, fields: stride(from: 128, to: table, by: 4).map { $0 }, &random)
                reseal(&bytes, count)
            }
            bytes.set(littleEndian: CRC32C.checksum(bytes[12..<128]), at: 8)
            // Both copies alike.
            bytes.replaceSubrange((bytes.count - 128)..., with: Array(bytes[..<128]))
            disk.overwrite(bytes, at: 0, in: name)
            use(disk, oracle)
        }
    }

    /// Makes the chain of a forged table whole again.
    private func reseal(_ bytes: inout [UInt8], _ count: Int) {
        func u64(_ at: Int) -> UInt64 { bytes[...].littleEndian(UInt64.self, at: at) ?? 0 }
        let id = SegmentID(
            topic: TopicID(rawValue: u64(32)), source: u64(48), serial: u64(40))
        var chain = SegmentTable.seed(
            id, identity: bytes[...].littleEndian(UInt128.self, at: 16) ?? 0)
        for row in 0..<count {
            let at = 128 + 32 * row
            chain = CRC32C.checksum(bytes[at..<(at + 28)], seed: chain)
            bytes.set(littleEndian: chain, at: at + 28)
        }
        bytes.set(littleEndian: chain, at: 92)
    }

    @Test func forgedHistoryDoesNotTrap() throws {
        var random = DiskRandom(seed: 8)
        let seeds = try disks("history-", 4)
        try #require(seeds.count == 4)
        for round in 0..<200 {
            let (disk, oracle) = try written(seeds[round % 4])
            let name = try #require(disk.names.first { $0.hasPrefix("history-") })
            var bytes = try #require(disk.contents(name))
            let salt = FileHeader.salt(99)
            let blocks = stride(from: 4096, to: bytes.count, by: 4096).filter {
                bytes[$0...].littleEndian(UInt32.self, at: 0) == HistoryBlock.magic
            }
            let at = blocks[Int(random.below(UInt64(blocks.count)))]
            switch round % 3 {
            case 0:
                forge(&bytes, fields: [12, 16, 24, 32, 40, 48], &random)
                bytes.set(littleEndian: CRC32C.checksum(bytes[12..<4096]), at: 8)
            case 1:
                forge(&bytes, fields: stride(from: 8, to: 112, by: 4).map { at + $0 }, &random)
            default:
                // The content itself, deflated or not.
                forge(&bytes, fields: stride(from: 128, to: 400, by: 4).map { at + $0 }, &random)
                let length = Int(bytes[at...].littleEndian(UInt32.self, at: 12) ?? 0)
                let body = bytes[(at + 128)..<min(bytes.count, at + 128 + length)]
                bytes.set(littleEndian: CRC32C.checksum(body), at: at + 20)
            }
            bytes.set(
                littleEndian: CRC32C.checksum(bytes[(at + 8)..<(at + 128)], seed: salt), at: at + 4)
            disk.overwrite(bytes, at: 0, in: name)
            use(disk, oracle)
        }
    }

    @Test func namesOfSegmentsAreTakenBack() {
        for values in [(1, 2, 3), (UInt64.max, UInt64.max, UInt64.max), (0, 0, 0)] {
            let id = SegmentID(
                topic: TopicID(rawValue: values.0), source: values.1, serial: values.2)
            #expect(JournalName(JournalName.segmentFile(id)) == .segment(id))
        }
        for name in [
            "segment-", "segment-1-2-3", "partial-", "partial-history-1", "history-zz",
            "segment-0000000000000001-0000000000000001-0000000000000001-",
            "segment-0000000000000001-0000000000000001-000000000000000G",
        ] { #expect(JournalName(name) == nil, "\(name)") }
        #expect(JournalName(JournalName.historyFile(5)) == .history(5))
        #expect(JournalName(JournalName.partialFile(5)) == .partial(5))
        #expect(JournalName(JournalName.partialHistoryFile(5)) == .partialHistory(5))
    }
}
