import ChaskiModel
import Testing

@testable import ChaskiBroker

/// What is done about messages whose holders vanish: one of them may be what kills them.
@Suite struct SuspicionTests {
    /// Publishes messages and hands them out; whoever gets the poison vanishes, and another comes.
    /// Everything else is acked. Answers how often each message was handed out.
    private func run(
        _ host: BrokerHost, poison: Offset?, consumers: Int, messages: UInt32, rounds: Int
    ) -> [Offset: Int] {
        var handouts: [Offset: Int] = [:]
        var nextSession: UInt128 = 100
        var open: [ConsumerID] = []
        for _ in 0..<rounds {
            while open.count < consumers {
                open.append(host.open(nextSession, messages: messages).id)
                nextSession += 1
            }
            let handed = host.takeDeliveries()
            for item in handed { handouts[item.offset, default: 0] += 1 }
            for consumer in Set(handed.map(\.consumer)).sorted(by: { $0.rawValue < $1.rawValue }) {
                let own = handed.filter { $0.consumer == consumer }
                if let poison, own.contains(where: { $0.offset == poison }) {
                    host.send(.disconnected(consumer))
                    open.removeAll { $0 == consumer }
                    continue
                }
                for item in own {
                    host.settle(
                        consumer, .ack, host.tokens([item.offset], handout: item.handout))
                }
            }
            #expect(host.machine.checkInvariants() == nil)
            if handed.isEmpty { host.advance(second) }
        }
        return handouts
    }

    private func host(_ count: Int) -> BrokerHost {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        host.publish(topic, 0, count)
        return host
    }

    @Test("A message that kills whoever handles it dies after three times alone, no other does")
    func poison() {
        let host = host(1_000)
        let handouts = run(host, poison: 500, consumers: 4, messages: 200, rounds: 120)
        guard case .dead(let letter)? = host.state(500) else {
            Issue.record("the poison is \(String(describing: host.state(500)))")
            return
        }
        #expect(letter.cause == .abandoned)
        #expect(letter.failed == 0)
        #expect(handouts[500] == 5)
        for offset in 0..<Offset(1_000) where offset != 500 {
            #expect(host.state(offset) == .acked)
            #expect(handouts[offset, default: 0] <= 3)
        }
    }

    @Test("One consumer is enough: it gets suspects between the others")
    func oneConsumer() {
        let host = host(300)
        let handouts = run(host, poison: 7, consumers: 1, messages: 100, rounds: 120)
        guard case .dead? = host.state(7) else {
            Issue.record("the poison is \(String(describing: host.state(7)))")
            return
        }
        #expect(handouts.values.max() == 5)
        #expect((0..<300).allSatisfy { $0 == 7 || host.state($0) == .acked })
    }

    @Test("A session that vanishes once costs nothing but another hand-out")
    func vanishedOnce() {
        let host = host(40)
        let first = host.open(1, messages: 40)
        host.send(.disconnected(first.id))
        _ = host.takeDeliveries()
        host.advance(11 * second)
        let handouts = run(host, poison: nil, consumers: 2, messages: 40, rounds: 60)
        #expect((0..<40).allSatisfy { host.state($0) == .acked && handouts[$0] == 1 })
    }

    @Test("Whoever is reserved for a suspect that waits for its key gets messages again")
    func suspectBehindRedriven() {
        let host = BrokerHost()
        let topic = host.createTopic()
        var settings = SubscriptionSettings()
        settings.order = OrderPolicy(runLength: 1)
        host.subscribe(settings)
        host.publish(topic, 0, keys: ["a", "a"])
        let first = host.open(1, messages: 1).id
        host.settle(first, .fail, host.tokens([0]))
        let reserved = host.open(2, messages: 1).id
        let busy = host.open(3, messages: 3).id
        host.publish(topic, 2, keys: ["b", "c", "d"])
        #expect(host.takeDeliveries().map(\.consumer) == [first, first, reserved, busy, busy])
        host.send(.disconnected(first))
        host.advance(11 * second)
        #expect(host.takeDeliveries().isEmpty, "1 is a suspect and waits for an idle session")
        // The redriven message comes before it, and is nobody's suspect.
        host.ask { .redrive($0, subscription: "s", [0..<1], note: "") }
        #expect(host.takeDeliveries().map(\.consumer) == [busy])
        #expect(host.settle(reserved, .ack, host.tokens([2]))?.accepted == 1)
        host.publish(topic, 5, keys: ["e"])
        #expect(host.takeDeliveries().map(\.consumer) == [reserved])
        host.settle(busy, .ack, host.tokens([0], handout: 2))
        #expect(host.takeDeliveries().isEmpty)
        host.settle(reserved, .ack, host.tokens([5]))
        #expect(host.takeDeliveries().map(\.offset) == [1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("Suspicion and abandonment survive a restart, with and without a checkpoint")
    func restart() {
        for isCheckpointed in [false, true] {
            let host = host(1)
            for session in 1...2 {
                let consumer = host.open(UInt128(session), messages: 10)
                #expect(host.takeDeliveries().map(\.offset) == [0])
                host.send(.disconnected(consumer.id))
                host.advance(11 * second)
            }
            if isCheckpointed {
                host.machine.beginCheckpoint()
                host.settle()
            }
            let before = host.machine.stateLines()
            host.crash()
            #expect(host.machine.stateLines() == before)
            host.advance(11 * second)
            let last = host.open(3, messages: 10)
            #expect(host.takeDeliveries().map(\.offset) == [0])
            host.send(.disconnected(last.id))
            host.advance(11 * second)
            guard case .dead(let letter)? = host.state(0) else {
                Issue.record("it is \(String(describing: host.state(0)))")
                return
            }
            #expect(letter.cause == .abandoned)
        }
    }

    @Test("A restart, a release, a clean end and an unclaimed delivery abandon nothing")
    func harmless() {
        let host = host(1)
        for session in 1...4 {
            let consumer = host.open(UInt128(session), messages: 10)
            #expect(host.takeDeliveries().map(\.offset) == [0])
            if session == 1 {
                host.settle(consumer.id, .release, host.tokens([0], handout: 1))
                _ = host.takeDeliveries()
                _ = host.ask { .closeConsumer($0, consumer.id) }
            } else if session == 2 {
                _ = host.ask { .closeConsumer($0, consumer.id) }
            } else if session == 3 {
                host.crash()
                host.advance(11 * second)
            } else {
                host.send(.disconnected(consumer.id))
                host.open(UInt128(session), messages: 10)
                #expect(host.takeDeliveries().map(\.offset) == [0])
            }
        }
        guard case .leased(_, _, failed: 0, _)? = host.state(0) else {
            Issue.record("it is \(String(describing: host.state(0)))")
            return
        }
    }

    @Test("A suspect that fails its handler is suspected no more, and its abandonment is kept")
    func failedSuspect() {
        let host = host(1)
        let first = host.open(1)
        _ = host.takeDeliveries()
        host.send(.disconnected(first.id))
        host.advance(11 * second)
        let other = host.open(2)
        let handed = host.takeDeliveries()
        #expect(handed.map(\.handout) == [2])
        host.settle(other.id, .retry, host.tokens([0], handout: 2), delay: 0)
        host.advance(second)
        #expect(host.takeDeliveries().map(\.handout) == [3])
        host.send(.disconnected(other.id))
        host.advance(11 * second)
        let third = host.open(3)
        #expect(host.takeDeliveries().map(\.handout) == [4])
        host.send(.disconnected(third.id))
        host.advance(11 * second)
        guard case .dead(let letter)? = host.state(0) else {
            Issue.record("it is \(String(describing: host.state(0)))")
            return
        }
        #expect(letter.cause == .abandoned)
        #expect(letter.failed == 1)
    }
}
