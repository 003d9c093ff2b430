import ChaskiBroker
import ChaskiModel
import Testing

/// Rates and breakers that change while they are in use, and across restarts.
@Suite struct FlowUpdateTests {
    private let host = BrokerHost()
    private let topic: TopicID

    init() { topic = host.createTopic() }

    private func update(_ change: (inout SubscriptionChange) -> Void) {
        var named = SubscriptionChange()
        change(&named)
        #expect(host.ask { .updateSubscription($0, name: "s", named) }.reason == nil)
    }

    private var long: SubscriptionSettings { SubscriptionSettings(leaseNanos: 86_400 * second) }

    @Test func `Another rate holds at once, and none lets everything go`() {
        host.subscribe(long)
        host.open(1)
        update { $0.rateLimit = 2 }
        host.publish(topic, 0, 300)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(10 * second)
        #expect(host.takeDeliveries().count == 20)
        update { $0.rateLimit = 50 }
        host.advance(2 * second)
        #expect(host.takeDeliveries().count == 100)
        update { $0.rateLimit = 1 }
        host.advance(5 * second)
        #expect(host.takeDeliveries().count == 5)
        update { $0.rateLimit = 0 }
        #expect(host.takeDeliveries().count == 175)
        #expect(host.machine.subscription(named: "s")?.settings.rateLimit == nil)
    }

    @Test func `A lower rate keeps no burst of the higher`() {
        host.subscribe(long)
        update { $0.rateLimit = 100 }
        host.publish(topic, 0, 1)
        let consumer = host.open(1).id
        host.advance(second)
        #expect(host.takeDeliveries().count == 1)
        host.settle(consumer, .ack, host.tokens([0]))
        host.advance(20 * second)
        update { $0.rateLimit = 3 }
        host.publish(topic, 1, 50)
        #expect(host.takeDeliveries().count == 3)
    }

    @Test func `A restart gives no second burst`() {
        host.subscribe(long)
        update { $0.rateLimit = 10 }
        host.publish(topic, 0, 100)
        host.open(1)
        host.advance(2 * second)
        #expect(host.takeDeliveries().count == 20)
        host.crash()
        host.open(2, messages: 1_000)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(2 * second)
        #expect(host.takeDeliveries().count == 20)
    }

    @Test(arguments: [false, true]) func `Settings survive a restart`(hasCheckpoint: Bool) {
        var settings = long
        settings.rateLimit = 7
        settings.breaker = BreakerPolicy(
            failureThousandths: 123, windowNanos: 9 * second, minimumVerdicts: 77,
            openNanos: 3 * second)
        host.subscribe(settings)
        update {
            var change = BreakerChange()
            change.minimumVerdicts = 88
            $0.breaker = change
        }
        settings.breaker?.minimumVerdicts = 88
        if hasCheckpoint {
            host.machine.beginCheckpoint()
            host.settle()
        }
        let before = host.machine.stateDigest()
        host.crash()
        #expect(host.machine.stateDigest() == before)
        #expect(host.machine.subscription(named: "s")?.settings == settings)
    }

    @Test func `Without its breaker an open subscription goes on, and forgets the switch`() {
        var settings = long
        settings.breaker = BreakerPolicy()
        host.subscribe(settings)
        host.ask { .setBreaker($0, name: "s", .open) }
        host.publish(topic, 0, 3)
        host.open(1)
        #expect(host.takeDeliveries().isEmpty)
        update { $0.breaker = .removal }
        #expect(host.takeDeliveries().count == 3)
        update { $0.breaker = BreakerChange() }
        host.publish(topic, 3, 1)
        #expect(host.takeDeliveries().count == 1)
        let before = host.machine.stateDigest()
        host.crash(fromStart: true)
        #expect(host.machine.stateDigest() == before)
    }

    @Test func `A breaker is set by hand where the updates on their way leave one`() {
        var settings = long
        settings.breaker = BreakerPolicy()
        host.subscribe(settings)
        var removal = SubscriptionChange()
        removal.breaker = .removal
        host.send(.updateSubscription(host.request(), name: "s", removal))
        let late = host.request()
        host.send(.setBreaker(late, name: "s", .open))
        #expect(host.reply(late).failure?.message.contains("has no breaker to set") == true)
        host.settle()
        var addition = SubscriptionChange()
        addition.breaker = BreakerChange()
        host.send(.updateSubscription(host.request(), name: "s", addition))
        let early = host.request()
        host.send(.setBreaker(early, name: "s", .closed))
        host.settle()
        #expect(host.reply(early).failure == nil)
        host.publish(topic, 0, 1)
        host.open(1)
        #expect(host.takeDeliveries().count == 1)
        let before = host.machine.stateDigest()
        host.crash(fromStart: true)
        #expect(host.machine.stateDigest() == before)
    }

    @Test func `A probe on its way when the breaker changes spends nothing all the same`() {
        var settings = long
        settings.breaker = BreakerPolicy(
            failureThousandths: 500, windowNanos: second, minimumVerdicts: 1, openNanos: second)
        host.subscribe(settings)
        let consumer = host.open(1, messages: 1).id
        host.publish(topic, 0, 5)
        host.settle(consumer, .retry, host.tokens([0]), delay: 100 * second)
        host.advance(second)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1])
        let verdict = host.request()
        host.send(
            .settle(
                verdict, SettleCommand(consumer: consumer, verb: .retry, ranges: host.tokens([1]))))
        host.send(.setBreaker(host.request(), name: "s", .closed))
        host.settle()
        #expect(host.state(1) == .waiting(failed: 0, dueNanos: host.now.clock + second))
        #expect(host.takeDeliveries().map(\.offset) == [2])
        #expect(host.machine.checkInvariants() == nil)
    }
}
