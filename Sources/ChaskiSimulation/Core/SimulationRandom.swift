/// The only source of chance in a simulation: xoshiro256** (Blackman and Vigna,
/// https://prng.di.unimi.it/xoshiro256starstar.c), seeded through SplitMix64. One seed gives one
/// sequence on every machine.
package struct SimulationRandom: Sendable {
    private var a: UInt64
    private var b: UInt64
    private var c: UInt64
    private var d: UInt64

    package init(seed: UInt64) {
        var state = seed
        func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
        a = next()
        b = next()
        c = next()
        d = next()
    }

    /// 64 random bits.
    package mutating func next() -> UInt64 {
        let product = b &* 5
        let result = ((product << 7) | (product >> 57)) &* 9
        let shifted = b << 17
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= shifted
        d = (d << 45) | (d >> 19)
        return result
    }

    /// A generator of its own, so that one part's draws do not shift another's.
    package mutating func split() -> SimulationRandom { SimulationRandom(seed: next()) }

    /// A number in `0..<bound` (multiply-shift; the bias is below 2^-32 for our bounds).
    package mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "an empty range has no member")
        return Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    package mutating func integer(in range: ClosedRange<Int>) -> Int {
        range.lowerBound + below(range.upperBound - range.lowerBound + 1)
    }

    /// A duration in `range`, nanoseconds.
    package mutating func nanos(in range: ClosedRange<Int64>) -> Int64 {
        let width = UInt64(range.upperBound - range.lowerBound) + 1
        return range.lowerBound + Int64(next().multipliedFullWidth(by: width).high)
    }

    /// True with a probability of `numerator` in `denominator`.
    package mutating func chance(_ numerator: Int, in denominator: Int) -> Bool {
        below(denominator) < numerator
    }

    package mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    /// A waiting time with the mean given, mostly shorter and sometimes much longer (at most 16
    /// times): what queues and disks show.
    package mutating func skewed(mean: Int64) -> Int64 {
        let doublings = min(next().leadingZeroBitCount, 5)
        let base = max(1, mean / 2)
        return nanos(in: (base / 2)...(base &<< Int64(doublings)))
    }

    package mutating func shuffle<T>(_ array: inout [T]) {
        guard array.count > 1 else { return }
        for i in stride(from: array.count - 1, to: 0, by: -1) {
            array.swapAt(i, below(i + 1))
        }
    }
}
