import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct BreakerTests {
    private let host = BrokerHost()
    private let topic: TopicID

    init() {
        topic = host.createTopic()
        var settings = SubscriptionSettings()
        settings.retry.maximumFailures = 3
        settings.retry.minimumBackoffNanos = 1
        settings.retry.maximumBackoffNanos = 1
        settings.breaker = BreakerPolicy(
            failureThousandths: 500, windowNanos: 10 * second, minimumVerdicts: 4,
            openNanos: 5 * second)
        host.subscribe(settings)
    }

    private func switchTo(_ position: BreakerSwitch) {
        #expect(host.ask { .setBreaker($0, name: "s", position) }.reason == nil)
    }

    /// Two acks and two failures: it opens. With room for six, 4 to 7 are out.
    private func trip(_ consumer: ConsumerID) {
        host.publish(topic, 0, 30)
        host.settle(consumer, .ack, host.tokens([0, 1]))
        host.settle(consumer, .retry, host.tokens([2, 3]), delay: 100 * second)
        _ = host.takeDeliveries()
    }

    @Test func `It opens at the threshold, and single probes go out after a while`() {
        let consumer = host.open(1, messages: 6).id
        trip(consumer)
        host.settle(consumer, .ack, host.tokens([4]))
        #expect(host.takeDeliveries().isEmpty)
        host.advance(5 * second - 1)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(1)
        #expect(host.takeDeliveries().count == 1)
        host.publish(topic, 30, 1)
        host.advance(3 * second)
        #expect(host.takeDeliveries().isEmpty)
    }

    @Test func `Below the threshold, or with too few verdicts, it stays closed`() {
        let consumer = host.open(1, messages: 100).id
        host.publish(topic, 0, 20)
        host.settle(consumer, .retry, host.tokens([0, 1, 2]), delay: 100 * second)
        host.settle(consumer, .ack, host.tokens([3, 4, 5, 6]))
        host.settle(consumer, .release, host.tokens([7, 8, 9, 10]))
        host.settle(consumer, .extend, host.tokens([11, 12]))
        _ = host.takeDeliveries()
        host.publish(topic, 20, 1)
        #expect(host.takeDeliveries().map(\.offset) == [20])
    }

    @Test func `What lies before the window does not count`() {
        let consumer = host.open(1, messages: 100).id
        host.publish(topic, 0, 20)
        host.settle(consumer, .retry, host.tokens([0, 1, 2]), delay: 100 * second)
        host.advance(10 * second)
        host.send(.heartbeat(SessionID(rawValue: 1)))
        host.settle(consumer, .ack, host.tokens([3, 4]))
        host.settle(consumer, .retry, host.tokens([5]), delay: 100 * second)
        _ = host.takeDeliveries()
        host.publish(topic, 20, 1)
        #expect(host.takeDeliveries().map(\.offset) == [20])
    }

    @Test func `A lapse says nothing of the handlers`() {
        host.open(1, messages: 100)
        host.publish(topic, 0, 20)
        host.advance(31 * second)
        #expect(host.takeDeliveries().count > 20)
    }

    @Test func `A probe that is acked closes it, with an empty window`() {
        let consumer = host.open(1, messages: 6).id
        trip(consumer)
        host.advance(5 * second)
        let probe = host.takeDeliveries()
        #expect(probe.count == 1)
        host.settle(consumer, .ack, host.tokens(probe.map(\.offset)))
        let rest = host.takeDeliveries()
        #expect(rest.map(\.offset) == [9, 10])
        // Two failures of two verdicts are too few again.
        host.settle(consumer, .retry, host.tokens([9, 10]), delay: 100 * second)
        #expect(host.takeDeliveries().map(\.offset) == [11, 12])
    }

    @Test func `A probe that fails opens it again and spends no attempt, however often`() {
        let consumer = host.open(1, messages: 1).id
        host.publish(topic, 0, 20)
        for offset in 0..<4 as Range<UInt64> {
            host.settle(consumer, .retry, host.tokens([offset]), delay: 1_000 * second)
        }
        _ = host.takeDeliveries()
        for round in 0..<20 {
            host.advance(5 * second)
            let probe = host.takeDeliveries()
            #expect(probe.count == 1, "round \(round)")
            guard let probe = probe.first else { return }
            #expect(probe.failed == 0)
            #expect(
                host.settle(
                    consumer, .retry, host.tokens([probe.offset], handout: probe.handout)
                )?.accepted == 1)
            #expect(
                host.state(probe.offset)
                    == .waiting(failed: 0, dueNanos: host.now.clock + 5 * second))
        }
        #expect(host.machine.subscription(named: "s")?.failed == 4)
        #expect(host.machine.subscription(named: "s")?.dead == 0)
        let before = host.machine.stateDigest()
        host.crash(fromStart: true)
        #expect(host.machine.stateDigest() == before)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A probe beside others in one verdict is told apart`() {
        let consumer = host.open(1, messages: 6).id
        trip(consumer)
        host.advance(5 * second)
        let probe = host.takeDeliveries()
        #expect(probe.map(\.offset) == [8])
        // 4 and 5 were handed out before it opened: they spend an attempt.
        let result = host.settle(consumer, .retry, host.tokens([4, 5, 8]), delay: 1_000 * second)
        #expect(result?.accepted == 3)
        #expect(host.state(4) == .waiting(failed: 1, dueNanos: host.now.clock + 1_000 * second))
        #expect(host.state(8) == .waiting(failed: 0, dueNanos: host.now.clock + 5 * second))
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `What was handed out before it opened neither closes nor opens it`() {
        let consumer = host.open(1, messages: 6).id
        trip(consumer)
        host.advance(5 * second)
        #expect(host.takeDeliveries().map(\.offset) == [8])
        host.settle(consumer, .ack, host.tokens([4]))
        host.settle(consumer, .retry, host.tokens([5]), delay: 1_000 * second)
        #expect(host.takeDeliveries().isEmpty)
        host.settle(consumer, .ack, host.tokens([8]))
        #expect(host.takeDeliveries().map(\.offset) == [9, 10, 11, 12])
    }

    @Test func `A probe that is released, or lapses, makes room for the next`() {
        let consumer = host.open(1, messages: 6).id
        trip(consumer)
        host.advance(5 * second)
        #expect(host.takeDeliveries().map(\.offset) == [8])
        host.settle(consumer, .release, host.tokens([8]))
        #expect(host.takeDeliveries().map(\.handout) == [2])
        host.advance(29 * second)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(second)
        #expect(host.takeDeliveries().count == 1)
    }

    @Test func `Failing a probe on purpose is final, and opens it again`() {
        let consumer = host.open(1, messages: 6).id
        trip(consumer)
        host.advance(5 * second)
        #expect(host.takeDeliveries().map(\.offset) == [8])
        host.settle(consumer, .fail, host.tokens([8]))
        guard case .dead? = host.state(8) else {
            Issue.record("8 is not dead")
            return
        }
        host.advance(4 * second)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(second)
        #expect(host.takeDeliveries().count == 1)
    }

    @Test func `After a restart it is closed`() {
        let consumer = host.open(1, messages: 6).id
        trip(consumer)
        host.crash()
        host.advance(11 * second)
        host.open(2)
        #expect(!host.takeDeliveries().isEmpty)
    }

    @Test(arguments: [false, true]) func `Set open by hand it stays open, also after a restart`(
        hasCheckpoint: Bool
    ) {
        host.publish(topic, 0, 3)
        switchTo(.open)
        if hasCheckpoint {
            host.machine.beginCheckpoint()
            host.settle()
        }
        let before = host.machine.stateDigest()
        host.crash()
        #expect(host.machine.stateDigest() == before)
        host.open(1)
        host.advance(1_000 * second)
        #expect(host.takeDeliveries().isEmpty)
        switchTo(.auto)
        #expect(host.takeDeliveries().count == 3)
    }

    @Test func `Set closed by hand it never opens`() {
        let consumer = host.open(1, messages: 100).id
        switchTo(.closed)
        trip(consumer)
        host.settle(consumer, .retry, host.tokens([4, 5, 6, 7]), delay: 1_000 * second)
        host.publish(topic, 30, 3)
        #expect(host.takeDeliveries().map(\.offset) == [30, 31, 32])
        // Back to the verdicts, it begins anew.
        switchTo(.auto)
        host.settle(consumer, .ack, host.tokens([30]))
        host.publish(topic, 33, 1)
        #expect(host.takeDeliveries().map(\.offset) == [33])
    }

    @Test func `Without a breaker there is none to set`() {
        host.subscribe(name: "plain")
        let result = host.ask { .setBreaker($0, name: "plain", .open) }
        #expect(result.reason == .invalidSetting)
        #expect(
            host.ask { .setBreaker($0, name: "x", .open) }.reason == .unknownSubscription)
    }

    @Test func `Impossible policies are refused`() {
        let policies = [
            BreakerPolicy(failureThousandths: 0), BreakerPolicy(failureThousandths: 1_001),
            BreakerPolicy(windowNanos: 0), BreakerPolicy(windowNanos: .max),
            BreakerPolicy(minimumVerdicts: 0), BreakerPolicy(openNanos: 0),
            BreakerPolicy(openNanos: .max),
        ]
        for policy in policies {
            var settings = SubscriptionSettings()
            settings.breaker = policy
            let result = host.ask { .createSubscription($0, name: "p", topic: "t", settings) }
            #expect(result.reason == .invalidSetting, "\(policy)")
        }
    }
}
