import ChaskiModel
import Testing

@testable import ChaskiBroker

/// What redriven messages of ordered subscriptions wait for, and what waits for them.
@Suite struct RedrivenOrderTests {
    private func host(
        _ keys: [String], runLength: UInt32 = 2, _ afterDeath: OrderPolicy.AfterDeath = .goOn
    ) -> (BrokerHost, TopicID) {
        let host = BrokerHost()
        let topic = host.createTopic()
        var settings = SubscriptionSettings()
        settings.order = OrderPolicy(runLength: runLength, afterDeath: afterDeath)
        host.subscribe(settings)
        host.publish(topic, 0, keys: keys)
        return (host, topic)
    }

    private func offsets(_ host: BrokerHost) -> [Offset] { host.takeDeliveries().map(\.offset) }

    private func redrive(_ host: BrokerHost, _ range: Range<Offset>) {
        host.ask { .redrive($0, subscription: "s", [range], note: "") }
    }

    @Test("A held key goes on with the redriven message, or behind one that is purged")
    func hold() {
        for isPurged in [false, true] {
            let (host, _) = host(["a", "a", "a"], .hold)
            let consumer = host.open(1).id
            #expect(offsets(host) == [0, 1])
            host.settle(consumer, .fail, host.tokens([0]))
            #expect(offsets(host).isEmpty)
            let told = host.machine.explain(subscription: "s", offset: nil, now: host.now)
            let cause = told?.causes.first { $0.kind == .heldKey }
            #expect(cause?.offset == 0)
            #expect(cause?.count == 2)
            if isPurged {
                host.ask { .purge($0, subscription: "s", [0..<1]) }
                #expect(offsets(host) == [1, 2])
            } else {
                redrive(host, 0..<1)
                #expect(offsets(host) == [0, 1])
            }
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test("An update that holds no keys lets those go on that are held; another holds them again")
    func holdNoMore() {
        let (host, _) = host(["a", "a", "a", "a"], runLength: 1, .hold)
        let consumer = host.open(1).id
        #expect(offsets(host) == [0])
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(offsets(host).isEmpty)
        var change = SubscriptionChange()
        change.afterDeath = .goOn
        host.ask { .updateSubscription($0, name: "s", change) }
        #expect(offsets(host) == [1])
        host.settle(consumer, .ack, host.tokens([1]))
        #expect(offsets(host) == [2])
        change.afterDeath = .hold
        host.ask { .updateSubscription($0, name: "s", change) }
        host.settle(consumer, .ack, host.tokens([2]))
        #expect(offsets(host).isEmpty)
        host.ask { .purge($0, subscription: "s", [0..<1]) }
        #expect(offsets(host) == [3])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A redriven message takes its place at once where its key was held")
    func placeAtOnce() {
        let (host, topic) = host(["a", "b"], .hold)
        let consumer = host.open(1).id
        #expect(offsets(host) == [0, 1])
        host.settle(consumer, .fail, host.tokens([0]))
        // Its batch is still to be read when the next of its key comes.
        host.send(.redrive(host.request(), subscription: "s", [0..<1], note: ""))
        let command = host.publishCommand(topic, 2, 1, keys: ["a"])
        host.send(.publish(host.request(), command))
        host.settle()
        #expect(offsets(host) == [0, 2])
    }

    @Test("A redriven message goes before those of its key that come back meanwhile")
    func before() {
        let (host, _) = host(["a", "a", "a"])
        let consumer = host.open(1).id
        #expect(offsets(host) == [0, 1])
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(offsets(host) == [1, 2])
        redrive(host, 0..<1)
        #expect(offsets(host).isEmpty)
        host.settle(consumer, .release, host.tokens([1], handout: 2))
        #expect(offsets(host) == [0, 1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A redriven message keeps its key across a restart, though all around it was settled")
    func restart() {
        let (host, topic) = host(["a", "a"], runLength: 1)
        let consumer = host.open(1).id
        #expect(offsets(host) == [0])
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(offsets(host) == [1])
        host.settle(consumer, .ack, host.tokens([1]))
        redrive(host, 0..<1)
        #expect(offsets(host) == [0])
        host.publish(topic, 2, keys: ["a"])
        #expect(offsets(host).isEmpty)
        host.crash()
        host.advance(11 * second)
        let next = host.open(2).id
        let handed = host.takeDeliveries()
        #expect(handed.map(\.offset) == [0])
        host.settle(next, .ack, host.tokens([0], handout: handed.first?.handout ?? 0))
        #expect(offsets(host) == [2])
    }

    @Test("A suspect waits while an earlier, redriven message of its key is out")
    func suspect() {
        let (host, _) = host(["a", "a"], runLength: 3)
        let consumer = host.open(1).id
        #expect(offsets(host) == [0, 1])
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(offsets(host) == [1])
        host.send(.disconnected(consumer))
        host.advance(60 * second)
        redrive(host, 0..<1)
        let other = host.open(2, messages: 1).id
        host.open(3)
        let handed = host.takeDeliveries()
        #expect(handed.count == 1)
        let holder = handed.first?.consumer ?? other
        host.settle(
            holder, .ack,
            host.tokens([handed.first?.offset ?? 0], handout: handed.first?.handout ?? 0))
        #expect(host.takeDeliveries().count == 1)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A redriven message waits for the verdict of an atomic request, which may be refused")
    func atomic() {
        let (host, _) = host(["a", "a"])
        let consumer = host.open(1).id
        #expect(offsets(host) == [0, 1])
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(offsets(host) == [1])
        let settlement = AtomicSettlement(
            subscription: "s", session: SessionID(rawValue: 1), verb: .ack,
            ranges: host.tokens([1], handout: 2))
        redrive(host, 0..<1)
        #expect(offsets(host).isEmpty)
        let request = host.request()
        host.send(
            .atomic(
                request,
                AtomicCommand(
                    transaction: TransactionID(rawValue: 7), settlements: [settlement])))
        #expect(offsets(host).isEmpty)
        host.settle()
        #expect(offsets(host) == [0])
    }
}
