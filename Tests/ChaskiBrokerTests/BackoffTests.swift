import ChaskiModel
import Testing

@testable import ChaskiBroker

@Suite struct BackoffTests {
    @Test(
        arguments: [
            (2_000, [1, 2, 4, 8, 16, 20, 20]), (1_000, [1, 1, 1, 1]),
            (1_500, [1_000, 1_500, 2_250, 3_375]),
            (100_000, [3, 300, 30_000, 3_000_000]),
        ] as [(UInt32, [Int64])])
    func `The bound grows by the multiplier`(_ multiplier: UInt32, _ bounds: [Int64]) {
        let policy = RetryPolicy(
            minimumBackoffNanos: bounds[0], maximumBackoffNanos: bounds.max() ?? 0,
            multiplierThousandths: multiplier)
        for (place, bound) in bounds.enumerated() {
            #expect(policy.bound(afterFailure: UInt32(place + 1)) == bound)
        }
    }

    @Test func `The smallest growth and the most failures end at the maximum`() {
        let policy = RetryPolicy(
            minimumBackoffNanos: 1, maximumBackoffNanos: .max, multiplierThousandths: 1_001)
        #expect(policy.bound(afterFailure: .max) == .max)
        #expect(policy.bound(afterFailure: 1) == 1)
        #expect(
            RetryPolicy(minimumBackoffNanos: 0, maximumBackoffNanos: 0)
                .delay(afterFailure: 9, seed: 1, offset: 1) == 0)
    }

    @Test func `Delays spread over all of the range`() {
        let policy = RetryPolicy(minimumBackoffNanos: 1_000, maximumBackoffNanos: 1_000)
        let delays = (0..<2_000).map {
            policy.delay(afterFailure: 1, seed: 5, offset: Offset($0))
        }
        #expect(delays.allSatisfy { (0...1_000).contains($0) })
        #expect(delays.count { $0 < 250 } > 400)
        #expect(delays.count { $0 > 750 } > 400)
    }
}
