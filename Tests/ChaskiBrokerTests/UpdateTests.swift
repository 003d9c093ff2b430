import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct UpdateTests {
    private func change(_ make: (inout SubscriptionChange) -> Void) -> SubscriptionChange {
        var change = SubscriptionChange()
        make(&change)
        return change
    }

    private func host(
        _ settings: SubscriptionSettings = SubscriptionSettings()
    ) -> (BrokerHost, TopicID) {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe(settings)
        return (host, topic)
    }

    @Test func `Only what is named changes, and survives checkpoint and restart`() {
        let (host, _) = host()
        let first = host.ask {
            .updateSubscription($0, name: "s", change { $0.maximumFailures = 3 })
        }
        #expect(first.failure == nil)
        host.ask { .updateSubscription($0, name: "s", change { $0.leaseNanos = 5 * second }) }
        let expected = SubscriptionSettings(
            retry: RetryPolicy(maximumFailures: 3), leaseNanos: 5 * second)
        #expect(host.machine.subscription(named: "s")?.settings == expected)
        for checkpoints in [false, true] {
            if checkpoints {
                host.machine.beginCheckpoint()
                host.settle()
            }
            let digest = host.machine.stateDigest()
            host.crash()
            #expect(host.machine.subscription(named: "s")?.settings == expected)
            #expect(host.machine.stateDigest() == digest)
        }
    }

    @Test func `Updates under way add up`() {
        let (host, _) = host()
        let one = host.request()
        let two = host.request()
        host.send(.updateSubscription(one, name: "s", change { $0.minimumBackoffNanos = 0 }))
        host.send(.updateSubscription(two, name: "s", change { $0.maximumUnsettled = 7 }))
        #expect(host.machine.subscription(named: "s")?.settings == SubscriptionSettings())
        host.settle()
        #expect(host.reply(two).failure == nil)
        let settings = host.machine.subscription(named: "s")?.settings
        #expect(settings?.retry.minimumBackoffNanos == 0)
        #expect(settings?.maximumUnsettled == 7)
    }

    @Test func `What a new subscription could not have is refused, and the start`() {
        let (host, _) = host()
        let refused = [
            change { $0.maximumFailures = 0 }, change { $0.maximumBackoffNanos = second / 2 },
            change { $0.leaseNanos = 1 }, change { $0.maximumUnsettled = 0 },
            change { $0.start = .latest },
        ]
        for change in refused {
            let result = host.ask { .updateSubscription($0, name: "s", change) }
            #expect(result.reason == .invalidSetting, "\(change)")
        }
        let start = host.ask { .updateSubscription($0, name: "s", refused[4]) }
        #expect(start.failure?.message.contains("\"s\"") == true)
        #expect(start.failure?.message.contains("create it again") == true)
        let same = host.ask { .updateSubscription($0, name: "s", change { $0.start = .earliest }) }
        #expect(same.failure == nil)
        let unknown = host.ask { .updateSubscription($0, name: "x", SubscriptionChange()) }
        #expect(unknown.failure == .unknownSubscription("x"))
        #expect(host.machine.subscription(named: "s")?.settings == SubscriptionSettings())
    }

    @Test func `A lowered window stops the cursor, a raised one lets it go on`() {
        let (host, topic) = host()
        host.publish(topic, 0, 100)
        let consumer = host.open(1, messages: 30).id
        #expect(host.takeDeliveries().count == 30)
        host.ask { .updateSubscription($0, name: "s", change { $0.maximumUnsettled = 10 }) }
        host.send(.setLimit(consumer, ConsumerLimit(messages: 100, bytes: 1 << 30)))
        host.settle()
        #expect(host.takeDeliveries().isEmpty)
        #expect(host.machine.subscription(named: "s")?.isWindowFull == true)
        host.settle(consumer, .ack, host.tokens(Array(0..<25)))
        #expect(host.takeDeliveries().count == 5)
        host.ask { .updateSubscription($0, name: "s", change { $0.maximumUnsettled = 50 }) }
        #expect(host.takeDeliveries().count == 40)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Consumers keep a longer lease that they were told`() {
        let (host, topic) = host()
        host.open(1)
        host.ask { .updateSubscription($0, name: "s", change { $0.leaseNanos = second }) }
        host.publish(topic, 0, 1)
        #expect(host.takeDeliveries().count == 1)
        host.advance(29 * second)
        guard case .leased(_, 1, 0, _)? = host.state(0) else {
            Issue.record("it lapsed before the consumer could know")
            return
        }
        // The first falls silent; the second was told the new lease.
        host.open(2)
        host.advance(second)
        #expect(host.takeDeliveries().map(\.handout) == [2])
        host.advance(second + second / 10)
        guard case .leased(_, 3, 0, _)? = host.state(0) else {
            Issue.record("the new lease does not count: \(String(describing: host.state(0)))")
            return
        }
    }

    @Test func `A longer lease counts at once`() {
        let (host, topic) = host(SubscriptionSettings(leaseNanos: second))
        host.open(1)
        host.ask { .updateSubscription($0, name: "s", change { $0.leaseNanos = 10 * second }) }
        host.publish(topic, 0, 1)
        host.advance(9 * second)
        guard case .leased(_, 1, 0, _)? = host.state(0) else {
            Issue.record("it lapsed after the old lease")
            return
        }
    }

    @Test func `Failures are judged by the policy of their moment`() {
        let (host, topic) = host()
        host.publish(topic, 0, 1)
        let consumer = host.open(1).id
        host.settle(consumer, .retry, host.tokens([0]), delay: 0)
        host.ask { .updateSubscription($0, name: "s", change { $0.maximumFailures = 2 }) }
        host.advance(second)
        host.settle(consumer, .retry, host.tokens([0], handout: 2), delay: 0)
        guard case .dead(let letter)? = host.state(0) else {
            Issue.record("it should be dead")
            return
        }
        #expect(letter.failed == 2)
        host.crash(fromStart: true)
        guard case .dead(letter)? = host.state(0) else {
            Issue.record("replay judges by another policy")
            return
        }
    }
}
