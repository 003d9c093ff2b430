import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct ProducerTests {
    @Test func `Resent batches answer the original offset, in flight and stored`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        let first = host.request()
        let again = host.request()
        host.send(.publish(first, host.publishCommand(topic, 0, 5)))
        host.send(.publish(again, host.publishCommand(topic, 0, 5)))
        #expect(host.reply(again) == nil)
        host.settle()
        #expect(host.reply(first).published?.duplicate == false)
        #expect(host.reply(again).published?.duplicate == true)
        #expect(host.publish(topic, 0, 5).published?.offset == 0)
        #expect(host.publish(topic, 1, 2).published?.offset == 1)
        host.crash()
        #expect(host.publish(topic, 0, 5).published?.duplicate == true)
        #expect(host.machine.topic(named: "t")?.nextOffset == 5)
    }

    @Test func `Gaps, overlaps, old epochs and forgotten sequences are refused`() {
        var configuration = BrokerConfiguration(seed: 1)
        configuration.sequenceRanges = 2
        let host = BrokerHost(configuration)
        let topic = host.createTopic()
        #expect(host.publish(topic, 3, 1).reason == .sequenceGap)
        host.publish(topic, 0, 2)
        #expect(host.publish(topic, 1, 2).reason == .sequenceOverlap)
        for base in stride(from: 2, to: 10, by: 2) {
            host.advance(second)
            host.publish(topic, UInt64(base), 2)
        }
        #expect(host.publish(topic, 0, 2).reason == .sequenceExpired)
        #expect(host.publish(topic, 10, 1, epoch: 3).published?.offset == 10)
        #expect(host.publish(topic, 11, 1, epoch: 2).reason == .fenced)
        host.crash()
        #expect(host.publish(topic, 11, 1, epoch: 2).reason == .fenced)
    }

    @Test func `After a refusal nothing overtakes until resent or skipped`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        let full = Failure(.resourceExhausted, .diskFull, "full")
        let request = host.request()
        host.send(.publish(request, host.publishCommand(topic, 0, 2)))
        host.gather()
        let queued = host.request()
        host.send(.publish(queued, host.publishCommand(topic, 2, 2)))
        host.refuse(full)
        #expect(host.reply(request).reason == .diskFull)
        #expect(host.reply(queued).reason == .diskFull)
        #expect(host.publish(topic, 4, 1).reason == .afterRefused)
        #expect(host.publish(topic, 0, 2).published?.offset == 0)
        let id = ProducerID(rawValue: 1)
        host.machine.setPublishing(.refused(full))
        #expect(host.publish(topic, 2, 2).reason == .diskFull)
        host.machine.setPublishing(.allowed)
        #expect(host.publish(topic, 4, 1).reason == .afterRefused)
        let skipped = host.ask { .skipSequences($0, topic: topic, id, epoch: 0, next: 4) }
        guard case .success(.done)? = skipped else {
            Issue.record("the skip was refused: \(String(describing: skipped))")
            return
        }
        #expect(host.publish(topic, 4, 1).published?.offset == 2)
    }

    @Test func `An opening is answered behind all that the producer sent before the answer`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        let id = ProducerID(rawValue: 1)
        host.maximumGroupBytes = 1
        host.publish(topic, 0, 1)
        host.send(.publish(host.request(), host.publishCommand(topic, 1, 1)))
        let opening = host.request()
        host.send(.openProducer(opening, topic: topic, id, epoch: 0))
        // The old connection's: each of these takes a group of its own.
        for base in 2..<6 {
            host.send(.publish(host.request(), host.publishCommand(topic, UInt64(base), 1)))
        }
        var groups = 0
        while host.reply(opening) == nil, groups < 100 {
            host.gather()
            host.sync()
            groups += 1
        }
        guard case .success(.producerOpened(let next))? = host.reply(opening) else {
            Issue.record("the opening was not answered")
            return
        }
        #expect(next == 6)
        #expect(host.machine.topic(named: "t")?.nextOffset == 6)
    }

    @Test func `A full topic names who pins it`() {
        let host = BrokerHost()
        let topic = host.createTopic("t", TopicSettings(maximumBytes: 3_000))
        host.subscribe()
        #expect(host.publish(topic, 0, 10, bytes: 100).published != nil)
        let refused = host.publish(topic, 10, 20, bytes: 100)
        #expect(refused.reason == .topicFull)
        let consumer = host.open(1).id
        host.settle(consumer, .ack, host.tokens(Array(0..<10)))
        #expect(host.publish(topic, 10, 10, bytes: 100).published?.offset == 10)
    }
}
