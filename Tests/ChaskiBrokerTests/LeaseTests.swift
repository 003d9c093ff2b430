import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct LeaseTests {
    private func host(
        _ settings: SubscriptionSettings = SubscriptionSettings()
    ) -> (
        BrokerHost, ConsumerID
    ) {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe(settings)
        let consumer = host.open(1).id
        host.publish(topic, 0, 4)
        _ = host.takeDeliveries()
        return (host, consumer)
    }

    @Test func `A lease lapses without spending an attempt, a heartbeat keeps it`() {
        let (host, consumer) = host()
        host.advance(20 * second)
        host.send(.heartbeat(SessionID(rawValue: 1)))
        host.advance(20 * second)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(11 * second)
        let again = host.takeDeliveries()
        #expect(again.map(\.offset) == [0], "one alone: each of them may be what froze the holder")
        #expect(again.allSatisfy { $0.handout == 2 && $0.failed == 0 })
        #expect(host.settle(consumer, .ack, host.tokens([0]))?.rejected.map(\.reason) == [.stale])
    }

    @Test func `A consumer that is silent for a lease gets nothing while there is another`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let frozen = host.open(1).id
        host.publish(topic, 0, 4)
        #expect(host.takeDeliveries().map(\.consumer) == Array(repeating: frozen, count: 4))
        let other = host.open(2).id
        for _ in 0..<4 {
            host.advance(10 * second)
            host.send(.heartbeat(SessionID(rawValue: 2)))
        }
        for offset in 0..<4 as Range<Offset> {
            let again = host.takeDeliveries()
            #expect(again.map(\.offset) == [offset])
            #expect(again.allSatisfy { $0.consumer == other && $0.handout == 2 })
            host.settle(other, .ack, host.tokens([offset], handout: 2))
        }
        for sequence in 4..<8 as Range<UInt64> { host.publish(topic, sequence, 1) }
        #expect(host.takeDeliveries().map(\.consumer) == Array(repeating: other, count: 4))
        host.send(.heartbeat(SessionID(rawValue: 1)))
        for sequence in 8..<12 as Range<UInt64> { host.publish(topic, sequence, 1) }
        #expect(Set(host.takeDeliveries().map(\.consumer)) == [frozen, other])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A verdict, or a limit above 0, is a sign of life`() {
        for sign in 0..<3 {
            let host = BrokerHost()
            let topic = host.createTopic()
            host.subscribe()
            let quiet = host.open(1).id
            host.publish(topic, 0, 1)
            _ = host.takeDeliveries()
            host.open(2)
            host.advance(20 * second)
            host.send(.heartbeat(SessionID(rawValue: 2)))
            host.advance(20 * second)
            _ = host.takeDeliveries()
            switch sign {
            case 0: host.settle(quiet, .ack, host.tokens([0]))
            case 1: host.send(.setLimit(quiet, ConsumerLimit(messages: 10, bytes: 1 << 20)))
            default: host.send(.setLimit(quiet, ConsumerLimit(messages: 0, bytes: 0)))
            }
            for sequence in 1..<5 as Range<UInt64> { host.publish(topic, sequence, 1) }
            let isServed = host.takeDeliveries().contains { $0.consumer == quiet }
            #expect(isServed == (sign < 2))
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test func `A consumer that acks but never beats its heart is not silent`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let busy = host.open(1).id
        host.publish(topic, 0, 4)
        _ = host.takeDeliveries()
        host.open(2)
        for offset in 0..<3 as Range<Offset> {
            host.advance(9 * second)
            host.send(.heartbeat(SessionID(rawValue: 2)))
            #expect(host.settle(busy, .ack, host.tokens([offset]))?.accepted == 1)
        }
        host.advance(9 * second)
        let lapsed = host.takeDeliveries()
        #expect(lapsed.map(\.offset) == [3], "the lease of the last ran out")
        for sequence in 4..<8 as Range<UInt64> { host.publish(topic, sequence, 1) }
        #expect((lapsed + host.takeDeliveries()).contains { $0.consumer == busy })
    }

    @Test func `Where all consumers are silent all are served`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let only = host.open(1).id
        host.publish(topic, 0, 1)
        #expect(host.takeDeliveries().count == 1)
        host.advance(31 * second)
        let again = host.takeDeliveries()
        #expect(again.map(\.consumer) == [only])
        #expect(again.map(\.handout) == [2])
        let later = host.open(2).id
        host.publish(topic, 1, 1)
        #expect(host.takeDeliveries().map(\.consumer) == [later])
        host.send(.disconnected(later))
        host.publish(topic, 2, 1)
        #expect(host.takeDeliveries().isEmpty, "the silent one holds a suspect, and nothing else")
        host.settle(only, .ack, host.tokens([0], handout: 2))
        #expect(host.takeDeliveries().map(\.consumer) == [only])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `After a pause heartbeats that waited count before leases lapse`() {
        let (host, _) = host()
        host.pause(60 * second)
        host.fire()
        host.settle()
        host.send(.heartbeat(SessionID(rawValue: 1)))
        host.advance(20 * second)
        #expect(host.takeDeliveries().isEmpty)
        #expect(host.machine.subscription(named: "s")?.leased == 4)
    }

    @Test func `A disconnected session keeps what it claims within the grace`() {
        let (host, consumer) = host()
        host.send(.disconnected(consumer))
        host.advance(9 * second)
        let back = host.open(1, claims: host.tokens([1, 3]))
        #expect(back.held.map(\.first) == [1, 3])
        #expect(host.takeDeliveries().map(\.offset) == [0, 2], "what it did not claim comes again")
        #expect(host.settle(back.id, .ack, host.tokens([1, 3]))?.accepted == 2)
        host.send(.disconnected(back.id))
        host.advance(11 * second)
        let late = host.open(1, claims: host.tokens([0], handout: 2))
        #expect(late.held.isEmpty)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `After a restart claims hold, and the rest waits for the grace`() {
        let (host, consumer) = host()
        host.settle(consumer, .extend, host.tokens([1]), delay: 300 * second)
        let old = host.tokens([1, 2])
        host.crash()
        let other = host.open(2)
        host.advance(5 * second)
        #expect(host.takeDeliveries().isEmpty)
        let back = host.open(1, claims: old)
        #expect(back.held.map(\.first) == [1])
        #expect(back.held.map(\.count) == [2])
        host.advance(6 * second)
        #expect(Set(host.takeDeliveries().map(\.offset)) == [0, 3])
        host.advance(60 * second)
        if case .leased(let session, 1, 0, _)? = host.state(1) {
            #expect(session.rawValue == 1, "the confirmed extension holds")
        } else {
            Issue.record("offset 1 is \(String(describing: host.state(1)))")
        }
        #expect(host.settle(other.id, .ack, host.tokens([1]))?.accepted == 0)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `The winning ack may be repeated by its session, also after a restart`() {
        let (host, consumer) = host()
        #expect(host.settle(consumer, .ack, host.tokens([2]))?.accepted == 1)
        #expect(host.settle(consumer, .ack, host.tokens([2]))?.accepted == 1)
        let other = host.open(2).id
        let refused = host.settle(other, .ack, host.tokens([2]))
        #expect(refused?.rejected.map(\.reason) == [.alreadySettled])
        let old = host.tokens([2])
        host.crash()
        let back = host.open(1, claims: old)
        #expect(back.held.isEmpty)
        #expect(host.settle(back.id, .ack, old)?.accepted == 1)
        host.advance(700 * second)
        let late = host.open(1).id
        #expect(host.settle(late, .ack, old)?.accepted == 0)
    }

    @Test func `Failures wait for their backoff, then kill`() {
        let policy = RetryPolicy(
            minimumBackoffNanos: second, maximumBackoffNanos: 4 * second, maximumFailures: 2)
        let (host, consumer) = host(SubscriptionSettings(retry: policy))
        host.settle(consumer, .retry, host.tokens([1]), delay: 100 * second, reason: "later")
        host.settle(consumer, .fail, host.tokens([2]), reason: "never")
        host.crash()
        let back = host.open(1).id
        host.advance(20 * second)
        host.settle(back, .ack, host.tokens([0, 3], handout: 2))
        _ = host.takeDeliveries()
        host.advance(79 * second)
        #expect(host.takeDeliveries().isEmpty, "due times survive a restart")
        host.send(.heartbeat(SessionID(rawValue: 1)))
        host.advance(2 * second)
        #expect(host.takeDeliveries().map(\.failed) == [1])
        host.settle(back, .retry, host.tokens([1], handout: 2), reason: "again")
        let dead = host.machine.deadLetters(subscription: "s", from: 0, limit: 10) ?? []
        #expect(dead.map(\.offset) == [1, 2])
        #expect(dead.map(\.reason) == ["again", "never"])
        #expect(dead.map(\.cause) == [.maximumFailures, .failedOnPurpose])
        #expect(!host.released.contains { $0.1.contains(1) }, "the dead pin their topic")
    }
}
