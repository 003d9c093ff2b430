import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct StallTests {
    private let damage = Failure(.dataLoss, .damaged, "the disk is no good")

    @Test func `Consumers are told once that messages cannot be read, and that they can again`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        host.publish(topic, 0, 3)
        host.answersReads = false
        let first = host.open(1).id
        host.failReads(damage)
        #expect(host.stalls.map(\.consumers) == [[first]])
        #expect(host.stalls.map(\.failure) == [damage])
        #expect(host.machine.subscription(named: "s")?.blockedBy == damage)
        let later = host.open(2).id
        #expect(host.stalls.map(\.consumers) == [[first], [later]], "a new one is told too")
        #expect(host.reads.isEmpty, "a disk that failed is not asked at once")
        host.advance(second)
        #expect(host.reads.count == 1)
        host.failReads(damage)
        #expect(host.stalls.count == 2, "what is known is not told again")
        host.advance(second)
        host.answerReads()
        #expect(host.stalls.last?.failure == nil)
        #expect(host.stalls.last?.consumers == [first, later])
        #expect(host.stalls.count == 3)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1, 2])
        #expect(host.machine.subscription(named: "s")?.blockedBy == nil)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `New messages flow while one that came back cannot be read`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let consumer = host.open(1).id
        host.publish(topic, 0, 1)
        host.publish(topic, 1, 1)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1])
        host.answersReads = false
        #expect(host.settle(consumer, .release, host.tokens([0]))?.accepted == 1)
        host.failReads(damage)
        #expect(host.stalls.map(\.failure) == [damage])
        for sequence in 2..<6 as Range<UInt64> {
            host.publish(topic, sequence, 1)
            #expect(host.takeDeliveries().map(\.offset) == [Offset(sequence)])
            host.advance(second)
            host.failReads(damage)
        }
        #expect(host.stalls.count == 1, "it stays stalled all the time")
        host.advance(second)
        host.answerReads()
        #expect(host.takeDeliveries().map(\.offset) == [0])
        #expect(host.stalls.map(\.failure) == [damage, nil])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A stall ends with its subscription`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let consumer = host.open(1).id
        host.publish(topic, 0, 2)
        host.answersReads = false
        let token = host.tokens([0])
        #expect(host.settle(consumer, .release, token)?.accepted == 1)
        host.failReads(damage)
        #expect(host.stalls.count == 1)
        host.send(.deleteSubscription(host.request(), name: "s"))
        host.settle()
        host.subscribe()
        host.open(2)
        #expect(host.stalls.count == 1, "another subscription is not stalled by it")
        #expect(host.machine.checkInvariants() == nil)
    }
}
