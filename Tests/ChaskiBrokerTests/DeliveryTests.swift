import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct DeliveryTests {
    @Test("Verdicts, however many, do not keep publishes from the journal")
    func publishesBesideVerdicts() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let consumer = host.open(1).id
        host.publish(topic, 0, 100)
        host.maximumGroupBytes = 256
        for round in 0..<4 as Range<UInt64> {
            let request = host.request()
            // Larger than a group, so that none with a verdict has room for it.
            let command = host.publishCommand(topic, 100 + 10 * round, 10, bytes: 100)
            host.send(.publish(request, command))
            for offset in 4 * round..<4 * round + 4 {
                let ack = SettleCommand(
                    consumer: consumer, verb: .ack, ranges: host.tokens([offset]),
                    delayNanos: nil, reason: "", code: "")
                host.send(.settle(host.request(), ack))
                host.gather()
                host.sync()
            }
            #expect(host.reply(request).published?.offset == 100 + 10 * round)
        }
        host.settle()
        #expect(host.machine.subscription(named: "s")?.settledBelow == 16)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A durable message is delivered, acked once, and released`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let consumer = host.open(1).id
        let request = host.request()
        host.send(.publish(request, host.publishCommand(topic, 0, 3)))
        #expect(host.gather())
        #expect(host.reply(request) == nil, "nothing is said before it is durable")
        #expect(host.takeDeliveries().isEmpty)
        host.sync()
        #expect(host.reply(request).published?.offset == 0)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1, 2])
        let verdict = host.settle(consumer, .ack, host.tokens([0, 1, 2]))
        #expect(verdict?.accepted == 3)
        #expect(host.released.map(\.1) == [0..<3])
        #expect(host.reads.isEmpty, "the tail is handed on without a read")
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A backlog is read and handed out within the limits in messages`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        for base in stride(from: 0, to: 50, by: 5) { host.publish(topic, UInt64(base), 5) }
        let consumer = host.open(1, messages: 7).id
        #expect(host.takeDeliveries().map(\.offset) == Array(0..<7))
        host.settle(consumer, .ack, host.tokens([3]))
        #expect(host.takeDeliveries().map(\.offset) == [7])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `The limit in bytes holds, but one message always goes`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let consumer = host.open(1, bytes: 250).id
        host.publish(topic, 0, 4, bytes: 100)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1])
        host.settle(consumer, .ack, host.tokens([0]))
        #expect(host.takeDeliveries().map(\.offset) == [2])
        host.publish(topic, 4, 1, bytes: 1_000)
        host.settle(consumer, .ack, host.tokens([1, 2]))
        #expect(host.takeDeliveries().map(\.offset) == [3])
        host.settle(consumer, .ack, host.tokens([3]))
        #expect(host.takeDeliveries().map(\.offset) == [4])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Consumers take turns`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let ids = (1...3).map { host.open(UInt128($0)).id }
        for base in 0..<30 { host.publish(topic, UInt64(base * 10), 10) }
        let handed = host.takeDeliveries()
        #expect(handed.count == 300)
        for id in ids { #expect(handed.count { $0.consumer == id } == 100) }
    }

    @Test func `A message is out with one consumer at a time`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let a = host.open(1).id
        host.publish(topic, 0, 5)
        let b = host.open(2).id
        #expect(Set(host.takeDeliveries().map(\.consumer)) == [a])
        #expect(host.settle(b, .ack, host.tokens([2]))?.rejected.map(\.reason) == [.stale])
        #expect(host.settle(a, .release, host.tokens([2]))?.accepted == 1)
        let again = host.takeDeliveries()
        #expect(again.map(\.offset) == [2])
        #expect(again.map(\.handout) == [2])
        #expect(again.map(\.failed) == [0])
    }

    @Test func `The cursor stops at the window's bound, and retries go on`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe(SubscriptionSettings(maximumUnsettled: 10))
        let consumer = host.open(1).id
        host.publish(topic, 0, 50)
        #expect(host.takeDeliveries().map(\.offset) == Array(0..<10))
        #expect(host.machine.subscription(named: "s")?.isWindowFull == true)
        host.settle(consumer, .retry, host.tokens([4]), delay: 0)
        #expect(host.takeDeliveries().map(\.offset) == [])
        host.advance(1)
        #expect(host.takeDeliveries().map(\.offset) == [4])
        host.settle(consumer, .ack, host.tokens(Array(0..<4)))
        #expect(host.takeDeliveries().map(\.offset) == Array(10..<14))
        #expect(host.machine.checkInvariants() == nil)
    }
}
