import ChaskiSimulation
import Testing

struct SimulationRandomTests {
    /// The first outputs of xoshiro256** seeded by SplitMix64 from 0, as the authors' code gives
    /// them (https://prng.di.unimi.it).
    @Test func givesTheReferenceSequence() {
        var random = SimulationRandom(seed: 0)
        let expected: [UInt64] = [
            0x99ec_5f36_cb75_f2b4, 0xbf6e_1f78_4956_452a, 0x1a5f_849d_4933_e6e0,
        ]
        for value in expected { #expect(random.next() == value) }
    }

    @Test func staysInItsRanges() {
        var random = SimulationRandom(seed: 7)
        var seen: Set<Int> = []
        for _ in 0..<1_000 {
            let value = random.integer(in: -3...4)
            #expect((-3...4).contains(value))
            seen.insert(value)
            #expect((1...1_600).contains(random.skewed(mean: 100)))
        }
        #expect(seen.count == 8)
    }

    @Test func partsDoNotShiftEachOther() {
        var one = SimulationRandom(seed: 5)
        var two = SimulationRandom(seed: 5)
        var part = one.split()
        _ = two.split()
        for _ in 0..<10 { _ = part.next() }
        #expect(one.next() == two.next())
    }
}
