import ChaskiClient
import Testing

/// A generator whose draws are known: SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

@Suite struct ReconnectBackoffTests {
    @Test func eachWaitIsInTheUpperHalfOfItsStep() {
        var random = SeededGenerator(state: 7)
        var backoff = ReconnectBackoff(minimumNanos: 10_000_000, maximumNanos: 500_000_000)
        var step: Int64 = 10_000_000
        for _ in 0..<200 {
            let wait = backoff.attemptFailed(using: &random)
            #expect(wait >= step / 2 && wait <= step)
            step = min(500_000_000, step * 2)
        }
    }

    @Test func successBeginsAtTheMinimumAgain() {
        var random = SeededGenerator(state: 1)
        var backoff = ReconnectBackoff(minimumNanos: 10_000_000, maximumNanos: 500_000_000)
        for _ in 0..<10 { _ = backoff.attemptFailed(using: &random) }
        backoff.connected()
        #expect(backoff.attemptFailed(using: &random) <= 10_000_000)
    }

    @Test func senselessBoundsAreBroughtIntoOrder() {
        var random = SeededGenerator(state: 2)
        var backoff = ReconnectBackoff(minimumNanos: -5, maximumNanos: Int64.min)
        #expect(backoff.attemptFailed(using: &random) >= 500_000)
        var huge = ReconnectBackoff(minimumNanos: Int64.max / 3, maximumNanos: Int64.max)
        for _ in 0..<100 { #expect(huge.attemptFailed(using: &random) > 0) }
    }

    @Test func waitsOfTwoClientsDiffer() {
        var random = SeededGenerator(state: 3)
        var a = ReconnectBackoff(minimumNanos: 10_000_000, maximumNanos: 500_000_000)
        var b = a
        let first = (0..<20).map { _ in a.attemptFailed(using: &random) }
        let second = (0..<20).map { _ in b.attemptFailed(using: &random) }
        #expect(zip(first, second).filter { $0 != $1 }.count >= 15)
    }
}
