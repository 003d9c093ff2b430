/// A rolling hash of everything that happens in a run: two runs of one seed are the same history
/// exactly when the hashes are equal. Not for anything that an adversary chooses.
package struct HistoryHash: Sendable, Hashable {
    package private(set) var value: UInt64 = 0x6368_6173_6b69_2131

    package init() {}

    @inline(__always)
    package mutating func mix(_ word: UInt64) {
        var z = value ^ word
        z = (z ^ (z >> 32)) &* 0x9fb2_1c65_1e98_df25
        value = (z ^ (z >> 28)) &+ 0x9e37_79b9_7f4a_7c15
    }

    package mutating func mix(_ word: Int64) { mix(UInt64(bitPattern: word)) }

    package mutating func mix(_ text: String) {
        for byte in text.utf8 { mix(UInt64(byte)) }
    }

    package mutating func mix(_ word: UInt128) {
        mix(UInt64(truncatingIfNeeded: word))
        mix(UInt64(truncatingIfNeeded: word >> 64))
    }
}
