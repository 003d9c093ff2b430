import ChaskiModel
import ChaskiSimulation
@testable import ChaskiStorage
import Testing

/// Random damage and forged fields with sound checksums: whatever a directory holds, opening ends
/// with a journal or a failure, and never with bytes that were not written.
@Suite struct ForgeryTests {
    private func written(_ seed: UInt64) throws -> (SimulatedFileSystem, JournalOracle) {
        let disk = SimulatedFileSystem(seed: seed)
        var oracle = JournalOracle()
        let opened = try #require(try JournalScenario(seed: seed, groups: 12).run(disk, &oracle))
        opened.maintain()
        disk.processKill()
        return (disk, oracle)
    }

    private func open(_ disk: SimulatedFileSystem) -> Opened? {
        _ = try? JournalInspector.inspect(disk) { _ in }
        return JournalScenario.open(disk)
    }

    @Test func randomDamageIsNeverServed() throws {
        var random = DiskRandom(seed: 3)
        var opens = 0
        for seed in 1...150 as ClosedRange<UInt64> {
            let (disk, oracle) = try written(seed % 5 + 1)
            let names = disk.names.filter { $0 != JournalName.lock }
            for _ in 0...random.below(3) {
                let name = names[Int(random.below(UInt64(names.count)))]
                let size = disk.contents(name)?.count ?? 0
                guard size > 0 else { continue }
                let position = Int(random.below(UInt64(size)))
                disk.overwrite(random.noise(1 + Int(random.below(64))), at: position, in: name)
            }
            guard let opened = open(disk) else { continue }
            opens += 1
            for recovered in opened.replayed where recovered.damage == nil {
                #expect(oracle.kept.contains(recovered.entry), "seed \(seed)")
            }
            for offset in stride(from: 0, to: oracle.nextOffset, by: 1) {
                for batch in (try? opened.read(from: offset)) ?? [] {
                    let wanted = oracle.kept.first {
                        $0.kind == .batch && $0.baseOffset == batch.baseOffset
                    }
                    #expect(wanted?.body == batch.bytes, "seed \(seed), offset \(offset)")
                }
            }
        }
        #expect(opens > 30)
    }

    @Test func forgedFileHeadersDoNotTrap() throws {
        var random = DiskRandom(seed: 4)
        for round in 0..<300 {
            let (disk, _) = try written(UInt64(round % 4) + 1)
            let logs = disk.names.filter { $0.hasSuffix(".log") }
            let name = logs[Int(random.below(UInt64(logs.count)))]
            var header = Array(try #require(disk.contents(name)).prefix(4096))
            forge(&header, fields: stride(from: 16, to: 144, by: 8).map { $0 }, &random)
            header.set(littleEndian: CRC32C.checksum(header[12...]), at: 8)
            disk.overwrite(header, at: 0, in: name)
            use(open(disk))
        }
    }

    @Test func forgedGroupsDoNotTrap() throws {
        var random = DiskRandom(seed: 5)
        for round in 0..<300 {
            let (disk, _) = try written(UInt64(round % 4) + 1)
            let name = try #require(disk.names.last { $0.hasSuffix(".log") })
            let bytes = try #require(disk.contents(name))
            guard case .valid(let header) = FileHeader.read(bytes[...]) else { continue }
            let blocks = stride(from: 4096, to: bytes.count, by: 4096).filter {
                bytes[$0...].littleEndian(UInt32.self, at: 0) == GroupHeader.magic
            }
            let at = blocks.isEmpty ? 4096 : blocks[Int(random.below(UInt64(blocks.count)))]
            var group = Array(bytes[at..<(at + 4096)])
            let rows = [8, 12] + Array(stride(from: 16, to: 192, by: 8))
            forge(&group, fields: rows, &random)
            let entries = Int(group[...].littleEndian(UInt32.self, at: 12) ?? 0)
            let end = min(4096, max(128, 128 + min(entries, 200) * 32))
            group.set(littleEndian: CRC32C.checksum(group[8..<end], seed: header.salt), at: 4)
            disk.overwrite(group, at: at, in: name)
            use(open(disk))
        }
    }

    @Test func forgedSidecarsDoNotTrap() throws {
        var random = DiskRandom(seed: 6)
        for round in 0..<200 {
            let (disk, _) = try written(UInt64(round % 4) + 1)
            guard let name = disk.names.first(where: { $0.hasSuffix(".index") }) else { continue }
            var bytes = try #require(disk.contents(name))
            forge(&bytes, fields: Array(stride(from: 24, to: bytes.count - 8, by: 8)), &random)
            let topics = Int(bytes[...].littleEndian(UInt32.self, at: 32) ?? 0)
            let end = min(bytes.count, 64 + min(topics, 100) * 40)
            let salt = FileHeader.salt(99)
            bytes.set(littleEndian: CRC32C.checksum(bytes[end...], seed: salt), at: 40)
            bytes.set(littleEndian: CRC32C.checksum(bytes[12..<end], seed: salt), at: 8)
            disk.overwrite(bytes, at: 0, in: name)
            use(open(disk))
        }
    }

    private func forge(_ bytes: inout [UInt8], fields: [Int], _ random: inout DiskRandom) {
        let at = fields[Int(random.below(UInt64(fields.count)))]
        let values: [UInt64] = [
            0, 1, UInt64.max, 1 << 63, 4096, 8192, UInt64(UInt32.max), random.next(),
        ]
        bytes.set(littleEndian: values[Int(random.below(UInt64(values.count)))], at: at)
    }

    /// Reads, writes, maintains: nothing of it may trap.
    private func use(_ opened: Opened?) {
        guard let opened else { return }
        _ = try? opened.readAll()
        opened.commit(Small.group([Small.batch(500)]))
        opened.journal.index.released(Small.topic, 0..<100)
        opened.maintain()
        opened.commit(Small.group([Small.state(1)], begins: 1, ends: 1))
        opened.maintain()
    }
}
