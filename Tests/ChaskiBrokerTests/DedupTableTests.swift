import ChaskiModel
import Testing

@testable import ChaskiBroker

@Suite struct DedupTableTests {
    private func entry(_ number: Int, offset: Offset? = nil, clock: Int64) -> DedupEntry {
        DedupEntry(
            key: SipHash128.hash(Array("id \(number)".utf8)[...]),
            offset: offset ?? Offset(number), clock: clock, checksum: UInt32(number))
    }

    @Test func `The hash is SipHash-2-4 with 128 bits`() {
        // From the reference code's vectors: the key's bytes are 0 to 15, the input's 0 to n - 1.
        let vectors: [(Int, UInt64, UInt64)] = [
            (0, 0xE6A8_25BA_047F_81A3, 0x9302_55C7_1472_F66D),
            (1, 0x44AF_996B_D8C1_87DA, 0x45FC_229B_1159_7634),
        ]
        for (length, low, high) in vectors {
            let bytes = (0..<length).map { UInt8($0) }
            #expect(SipHash128.hash(bytes[...]) == DedupKey(high: high, low: low))
        }
        let long = SipHash128.hash([UInt8](repeating: 7, count: 128)[...])
        #expect(long != SipHash128.hash([UInt8](repeating: 7, count: 127)[...]))
    }

    @Test func `Ids come and go through growth, collisions and many windows`() {
        let table = DedupTable(window: 1_000)
        var known: [Int: Int64] = [:]
        var clock: Int64 = 0
        var live = 0
        for number in 0..<20_000 {
            clock += Int64(number % 3)
            table.insert(entry(number, clock: clock))
            known[number] = clock
            live += 1
            if number % 17 == 0 { live -= table.purge(at: clock) }
            if number % 501 == 0 {
                for (number, at) in known {
                    let found = table.find(entry(number, clock: 0).key, at: clock)
                    #expect(found?.offset == (at + 1_000 > clock ? Offset(number) : nil))
                }
                known = known.filter { $0.value + 1_000 > clock }
            }
            #expect(table.liveCount == live)
        }
        live -= table.purge(at: clock + 1_000)
        #expect(live == 0 && table.isEmpty)
        table.insert(entry(1, clock: clock))
        #expect(table.find(entry(1, clock: 0).key, at: clock)?.offset == 1)
    }

    @Test func `A later message with an id supersedes the earlier, in any order of restoring`() {
        let old = entry(1, offset: 5, clock: 0)
        let new = entry(1, offset: 90, clock: 2_000)
        for order in [[old, new], [new, old]] {
            let table = DedupTable(window: 1_000)
            table.restore(entry(2, offset: 40, clock: 1_500))
            for entry in order { table.restore(entry) }
            table.arrange()
            _ = table.purge(at: 2_100)
            #expect(table.find(new.key, at: 2_100)?.offset == 90)
            #expect(table.find(entry(2, clock: 0).key, at: 2_400)?.offset == 40)
            #expect(table.find(entry(2, clock: 0).key, at: 2_500) == nil)
            let offsets = table.entries(in: table.head..<table.end).map(\.offset)
            #expect(offsets == offsets.sorted())
        }
    }
}
