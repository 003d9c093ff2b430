import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct RateLimitTests {
    private let host = BrokerHost()
    private let topic: TopicID

    init() { topic = host.createTopic() }

    private func subscribe(_ rate: UInt32) {
        var settings = SubscriptionSettings()
        settings.rateLimit = rate
        settings.leaseNanos = 86_400 * second
        host.subscribe(settings)
    }

    @Test func `So many a second go out, evenly, from an empty bucket on`() {
        subscribe(10)
        host.publish(topic, 0, 100)
        host.open(1)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(second / 10 - 1)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(1)
        #expect(host.takeDeliveries().map(\.offset) == [0])
        host.advance(second)
        #expect(host.takeDeliveries().count == 10)
        host.advance(4 * second)
        #expect(host.takeDeliveries().count == 40)
    }

    @Test func `What was saved up is at most a second's worth`() {
        subscribe(5)
        let consumer = host.open(1).id
        host.publish(topic, 0, 1)
        host.advance(second)
        #expect(host.takeDeliveries().count == 1)
        host.settle(consumer, .ack, host.tokens([0]))
        host.advance(3_600 * second)
        host.publish(topic, 1, 100)
        #expect(host.takeDeliveries().count == 5)
        host.advance(second)
        #expect(host.takeDeliveries().count == 5)
    }

    /// Whenever the timers fire, no interval sees more than the rate and a second's worth.
    @Test(arguments: [1, 3, 7, 97, 1_000] as [UInt32], [1, 2, 3] as [UInt64])
    func `No interval sees more than it may, and none is lost in the long run`(
        rate: UInt32, seed: UInt64
    ) {
        subscribe(rate)
        host.open(1, messages: 1_000_000)
        host.open(2, messages: 1_000_000)
        var random = Random(seed)
        var published: UInt64 = 0
        let start = host.now.clock
        var times: [(clock: Int64, count: UInt64)] = []
        for _ in 0..<200 {
            if random.next(3) == 0 {
                let count = 1 + random.next(400)
                host.publish(topic, published, count)
                published += UInt64(count)
            }
            // At times the timers fire late.
            if random.next(4) == 0 { host.pause(Int64(random.next(900)) * 1_000_000) }
            host.advance(Int64(random.next(300_000_000)))
            times.append((host.now.clock, UInt64(host.takeDeliveries().count)))
        }
        for from in times.indices {
            var sum: UInt64 = 0
            let begin = from == 0 ? start : times[from - 1].clock
            for to in from..<times.count {
                sum += times[to].count
                let nanos = UInt64(times[to].clock - begin)
                let most = UInt64(rate) + nanos * UInt64(rate) / 1_000_000_000
                #expect(sum <= most, "\(sum) in \(nanos) ns, may be \(most)")
                if sum > most { return }
            }
        }
    }

    @Test func `Without late timers not a token is lost`() {
        subscribe(7)
        host.publish(topic, 0, 1_000)
        host.open(1)
        host.advance(100 * second)
        #expect(host.takeDeliveries().count == 700)
    }

    @Test func `It holds for what is handed out again, and for several consumers alike`() {
        subscribe(10)
        host.publish(topic, 0, 20)
        let a = host.open(1).id
        let b = host.open(2).id
        host.advance(2 * second)
        let first = host.takeDeliveries()
        #expect(first.filter { $0.consumer == a }.count == 10)
        #expect(first.filter { $0.consumer == b }.count == 10)
        for consumer in [a, b] {
            let offsets = first.filter { $0.consumer == consumer }.map(\.offset)
            host.settle(consumer, .release, host.tokens(offsets))
        }
        #expect(host.takeDeliveries().isEmpty)
        host.advance(second)
        let again = host.takeDeliveries()
        #expect(again.count == 10 && again.allSatisfy { $0.handout == 2 })
        #expect(again.filter { $0.consumer == a }.count == 5)
    }

    @Test func `A high rate sets few timers`() {
        subscribe(1_000_000)
        for base in 0..<10 { host.publish(topic, UInt64(base * 1_000), 1_000) }
        host.open(1, messages: 100_000)
        var fired = 0
        let end = host.now.clock + second / 10
        while let at = host.machine.nextTimerNanos, at <= end {
            host.pause(at - host.now.clock)
            host.fire()
            host.settle()
            fired += 1
        }
        #expect(host.takeDeliveries().count == 10_000)
        #expect(fired <= 12)
    }

    @Test(arguments: [0, 10_000_001] as [UInt32]) func `Impossible rates are refused`(rate: UInt32)
    {
        var settings = SubscriptionSettings()
        settings.rateLimit = rate
        let result = host.ask { .createSubscription($0, name: "s", topic: "t", settings) }
        #expect(result.reason == .invalidSetting)
    }
}
