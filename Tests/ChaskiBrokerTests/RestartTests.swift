import ChaskiBroker
import ChaskiModel
import Testing

/// What a restart must know of what was there before, and is not any more.
@Suite struct RestartTests {
    @Test func `A topic deleted while a checkpoint is written is not forgotten`() {
        var configuration = BrokerConfiguration(seed: 1)
        configuration.checkpointSliceBytes = 1
        let host = BrokerHost(configuration)
        host.createTopic("first")
        host.createTopic("passing")
        host.machine.beginCheckpoint()
        host.gather()
        host.sync()
        host.ask { .deleteTopic($0, name: "passing") }
        host.settle()
        #expect(host.replayFrom > 0, "the checkpoint is complete")
        host.crash()
        host.createTopic("passing")
        #expect(host.machine.topic(named: "passing")?.incarnation == 2)
    }

    @Test func `Of an acked message the hand-out is known, wherever a checkpoint was`() {
        for groups in 0..<8 {
            var configuration = BrokerConfiguration(seed: 1)
            configuration.checkpointSliceBytes = 1
            let host = BrokerHost(configuration)
            let topic = host.createTopic()
            host.subscribe()
            host.publish(topic, 0, 2)
            let consumer = host.open(1).id
            host.settle(consumer, .retry, host.tokens([0]), delay: 0)
            host.advance(1_000_000_000)
            host.machine.beginCheckpoint()
            for _ in 0..<groups {
                host.gather()
                host.sync()
            }
            #expect(host.settle(consumer, .ack, host.tokens([0], handout: 2))?.accepted == 1)
            host.settle()
            host.crash()
            let back = host.open(1).id
            let old = host.settle(back, .ack, host.tokens([0], epoch: 1))
            #expect(old?.accepted == 0, "\(groups)")
        }
    }

    @Test func `A checkpoint leaves room in its groups for acks and publishes`() {
        var configuration = BrokerConfiguration(seed: 1)
        configuration.checkpointSliceBytes = 2_048
        let host = BrokerHost(configuration)
        let topic = host.createTopic()
        for number in 0..<100 { host.subscribe(name: "s\(number)") }
        host.publish(topic, 0, 4)
        let consumer = host.open(1, "s0").id
        host.maximumGroupBytes = 2_048
        host.machine.beginCheckpoint()
        for sequence in 4..<8 as Range<UInt64> {
            let (ack, publish) = (host.request(), host.request())
            let settle = SettleCommand(
                consumer: consumer, verb: .ack, ranges: host.tokens([sequence - 4]),
                delayNanos: nil, reason: "", code: "")
            host.send(.settle(ack, settle))
            host.send(.publish(publish, host.publishCommand(topic, sequence, 1)))
            host.gather()
            host.sync()
            #expect(host.reply(ack) != nil && host.reply(ack).reason == nil)
            #expect(host.reply(publish) != nil && host.reply(publish).reason == nil)
        }
        #expect(host.replayFrom == 0, "the checkpoint is not complete")
    }

    @Test func `A subscription from the earliest begins where messages still are`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe(name: "s")
        host.subscribe(name: "slow")
        host.publish(topic, 0, 40)
        let fast = host.open(1, "s").id
        let slow = host.open(2, "slow").id
        host.settle(fast, .fail, host.tokens([11]), reason: "bad")
        host.settle(fast, .ack, host.tokens(Array(0..<11) + Array(12..<40)))
        host.settle(slow, .ack, host.tokens(Array(0..<8)))
        host.ask { .deleteSubscription($0, name: "slow") }
        host.crash()
        host.subscribe(name: "new")
        guard let givenUp = host.machine.topic(named: "t")?.firstOffset,
            let start = host.machine.subscription(named: "new")?.startOffset
        else {
            Issue.record("the topic or the subscription is gone")
            return
        }
        #expect(givenUp == 11, "the dead letter is kept")
        #expect(start >= givenUp)
    }

    @Test func `What was given up stays so when both subscriptions go in one group`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe(name: "s")
        host.subscribe(name: "slow")
        host.publish(topic, 0, 40)
        let fast = host.open(1, "s").id
        host.settle(fast, .ack, host.tokens(Array(0..<40)))
        host.send(.deleteSubscription(host.request(), name: "slow"))
        host.send(.deleteSubscription(host.request(), name: "s"))
        host.settle()
        let before = host.machine.topic(named: "t")?.firstOffset
        #expect(before == 40)
        host.crash()
        #expect(host.machine.topic(named: "t")?.firstOffset == before)
        host.subscribe(name: "new")
        #expect(host.machine.subscription(named: "new")?.startOffset == 40)
    }

    @Test func `Claims of a deleted subscription do not hold in another of its name`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        let deleted = host.subscribe()
        host.open(1)
        host.publish(topic, 0, 4)
        let old = host.tokens([0, 1, 2, 3])
        host.ask { .deleteSubscription($0, name: "s") }
        host.subscribe()
        host.open(2)
        #expect(Set(host.takeDeliveries().map(\.handout)) == [1], "the same tokens as before")
        host.crash()
        #expect(host.open(1, claims: old, of: deleted).held.isEmpty)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A producer that comes back goes on behind all of the group that answers it`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.publish(topic, 0, 2)
        let opening = host.request()
        let producer = ProducerID(rawValue: 1)
        host.send(.openProducer(opening, topic: topic, producer, epoch: 1))
        let late = host.publishCommand(topic, 2, 3, epoch: 1)
        host.send(.publish(host.request(), late))
        host.settle()
        guard case .success(.producerOpened(let next))? = host.reply(opening) else {
            Issue.record("answered with \(String(describing: host.reply(opening)))")
            return
        }
        #expect(next == 5)
    }
}
