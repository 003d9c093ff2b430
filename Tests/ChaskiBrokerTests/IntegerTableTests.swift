import Testing

@testable import ChaskiBroker

@Suite struct IntegerTableTests {
    @Test("It says what a dictionary says, whatever is put in and taken out")
    func likeDictionary() {
        var random = SplitMix64(seed: 11)
        // Few keys that come again, many that grow it, and neighbours.
        for (keys, steps) in [(40, 4_000), (3_000, 60_000), (1 << 40, 5_000)] {
            let table = IntegerTable<UInt32>()
            var known: [UInt64: UInt32] = [:]
            for step in 0..<steps {
                // More come at first, more go in the end.
                let key = random.next() % UInt64(keys)
                if random.next() % UInt64(steps) > UInt64(step) * 2 / 3 {
                    let value = UInt32(truncatingIfNeeded: step)
                    #expect(table.insert(value, for: key) == known.updateValue(value, forKey: key))
                } else {
                    #expect(table.remove(key) == known.removeValue(forKey: key))
                }
                #expect(table.count == known.count)
            }
            #expect(known.allSatisfy { table[$0.key] == $0.value })
            #expect((0..<2_000).allSatisfy { table[$0] == known[$0] })
            let all = Dictionary(uniqueKeysWithValues: table.all.map { ($0.key, $0.value) })
            #expect(all == known)
            for key in known.keys { #expect(table.remove(key) == known[key]) }
            #expect(table.count == 0 && Array(table.all).isEmpty)
        }
    }

    @Test("One that was never used is empty")
    func empty() {
        let table = IntegerTable<UInt64>()
        #expect(table[0] == nil && table.remove(0) == nil && Array(table.all).isEmpty)
    }
}
