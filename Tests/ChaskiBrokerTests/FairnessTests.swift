import ChaskiBroker
import ChaskiModel
import Testing

/// Consumers with different limits share a subscription: each gets its turn, none more than it
/// takes, in messages and in bytes, also across reconnects and restarts.
@Suite struct FairnessTests {
    private let host = BrokerHost()
    private let topic: TopicID

    init() {
        topic = host.createTopic()
        host.subscribe(SubscriptionSettings(leaseNanos: 86_400 * second))
    }

    private func held(_ handed: [Handed], by consumer: ConsumerID) -> Int {
        handed.filter { $0.consumer == consumer }.count
    }

    @Test func `Small and large limits are filled in turn`() {
        let limits: [UInt32] = [2, 50, 400]
        let consumers = limits.enumerated().map {
            host.open(UInt128($0.offset + 1), messages: $0.element).id
        }
        for base in 0..<20 { host.publish(topic, UInt64(base * 20), 20) }
        let handed = host.takeDeliveries()
        #expect(held(handed, by: consumers[0]) == 2)
        #expect(held(handed, by: consumers[1]) == 50)
        #expect(held(handed, by: consumers[2]) == 348)
        // Each ack makes room for one, and it goes to whoever has the room.
        for (place, consumer) in consumers.enumerated() {
            let offset = handed.first { $0.consumer == consumer }?.offset ?? 0
            host.settle(consumer, .ack, host.tokens([offset]))
            host.publish(topic, UInt64(400 + place), 1)
        }
        #expect(Set(host.takeDeliveries().map(\.consumer)).isSubset(of: Set(consumers)))
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Where all have room nobody gets twice another's share`() {
        let consumers = (1...4).map { host.open(UInt128($0), messages: 10_000).id }
        for base in 0..<100 { host.publish(topic, UInt64(base * 37), 37) }
        let handed = host.takeDeliveries()
        let shares = consumers.map { held(handed, by: $0) }
        #expect(shares.reduce(0, +) == 3_700)
        #expect((shares.max() ?? 0) <= 2 * (shares.min() ?? 0), "\(shares)")
    }

    @Test func `A consumer without room in bytes lets others go on, and waits for none`() {
        let narrow = host.open(1, bytes: 100).id
        let wide = host.open(2, bytes: 10_000).id
        host.publish(topic, 0, 40, bytes: 60)
        let handed = host.takeDeliveries()
        #expect(held(handed, by: narrow) == 1)
        #expect(held(handed, by: wide) == 39)
        let offset = handed.first { $0.consumer == narrow }?.offset ?? 0
        host.settle(narrow, .ack, host.tokens([offset]))
        for base in 40..<44 as Range<UInt64> { host.publish(topic, base, 1, bytes: 60) }
        let more = host.takeDeliveries()
        #expect(held(more, by: narrow) == 1)
        #expect(held(more, by: wide) == 3)
    }

    @Test(arguments: [false, true]) func `Limits hold across reconnects and restarts`(
        isRestart: Bool
    ) {
        host.publish(topic, 0, 50, bytes: 10)
        let first = host.open(1, messages: 6, bytes: 45)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1, 2, 3])
        if isRestart { host.crash() } else { host.send(.disconnected(first.id)) }
        let claims = host.tokens([0, 1, 2, 3], epoch: 1)
        // It comes back and takes less than it holds: nothing more comes.
        let (consumer, held) = host.open(1, messages: 3, bytes: 45, claims: claims)
        #expect(held.reduce(0) { $0 + $1.count } == 4)
        // What else may have been handed out before a restart waits for its grace.
        host.advance(11 * second)
        #expect(host.takeDeliveries().isEmpty)
        host.settle(consumer, .ack, host.tokens([0]))
        #expect(host.takeDeliveries().isEmpty)
        host.settle(consumer, .ack, host.tokens([1]))
        #expect(host.takeDeliveries().map(\.offset) == [4])
        host.send(.setLimit(consumer, ConsumerLimit(messages: 100, bytes: 45)))
        #expect(host.takeDeliveries().map(\.offset) == [5])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Lengths of claimed messages are learnt whatever else waits`() {
        host.publish(topic, 0, 3, bytes: 10)
        let a = host.open(1, messages: 1)
        let b = host.open(2, messages: 1)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1])
        host.crash()
        // The one that holds 0 gives it back and goes; the other holds 1 and has room for one more.
        let back = host.open(1, messages: 1, claims: host.tokens([0], epoch: 1)).id
        host.settle(back, .release, host.tokens([0]))
        host.ask { .closeConsumer($0, back) }
        _ = host.takeDeliveries()
        host.open(2, messages: 2, claims: host.tokens([1], epoch: 1))
        #expect(host.takeDeliveries().map(\.offset) == [0])
        #expect(a.held.isEmpty && b.held.isEmpty)
    }
}
