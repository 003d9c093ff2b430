import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct PauseTests {
    private let host = BrokerHost()
    private let topic: TopicID

    init() {
        topic = host.createTopic()
        host.subscribe()
    }

    private func pause(_ nanos: Int64? = nil) {
        let result = host.ask { .pauseSubscription($0, name: "s", forNanos: nanos) }
        #expect(result.reason == nil)
    }

    @Test func `While paused nothing is handed out; resumed, everything is`() {
        let consumer = host.open(1).id
        host.publish(topic, 0, 3)
        #expect(host.takeDeliveries().count == 3)
        pause()
        host.publish(topic, 3, 2)
        #expect(host.takeDeliveries().isEmpty)
        // What is out stays out, and its verdicts count; a release waits like all else.
        #expect(host.settle(consumer, .ack, host.tokens([0]))?.accepted == 1)
        #expect(host.settle(consumer, .release, host.tokens([1]))?.accepted == 1)
        #expect(host.state(2) != nil && host.state(1) == .pendingAgain(failed: 0))
        #expect(host.takeDeliveries().isEmpty)
        host.ask { .resumeSubscription($0, name: "s") }
        #expect(Set(host.takeDeliveries().map(\.offset)) == [1, 3, 4])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Hand-outs go on until the pause is on disk`() {
        host.open(1)
        host.send(.pauseSubscription(host.request(), name: "s", forNanos: nil))
        #expect(host.gather())
        let request = host.request()
        host.send(.publish(request, host.publishCommand(topic, 0, 1)))
        host.sync()
        host.settle()
        #expect(host.takeDeliveries().isEmpty)
    }

    @Test func `A pause with an end ends by itself, not before`() {
        host.open(1)
        host.publish(topic, 0, 1)
        #expect(host.takeDeliveries().count == 1)
        pause(10 * second)
        host.publish(topic, 1, 1)
        host.advance(10 * second - 1)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(1)
        #expect(host.takeDeliveries().map(\.offset) == [1])
    }

    @Test func `Pausing again replaces the end`() {
        host.open(1)
        pause(10 * second)
        pause(20 * second)
        host.publish(topic, 0, 1)
        host.advance(19 * second)
        #expect(host.takeDeliveries().isEmpty)
        pause(100 * second)
        host.advance(99 * second)
        #expect(host.takeDeliveries().isEmpty)
        pause(1)
        host.advance(1)
        #expect(host.takeDeliveries().count == 1)
    }

    @Test func `Retries become due and wait`() {
        let consumer = host.open(1).id
        host.publish(topic, 0, 1)
        pause()
        host.settle(consumer, .retry, host.tokens([0]), delay: second)
        #expect(host.takeDeliveries().count == 1)
        host.advance(5 * second)
        #expect(host.state(0) == .pendingAgain(failed: 1))
        #expect(host.takeDeliveries().isEmpty)
        host.ask { .resumeSubscription($0, name: "s") }
        #expect(host.takeDeliveries().map(\.handout) == [2])
    }

    @Test func `Leases run on, and what they give back waits`() {
        host.open(1)
        host.publish(topic, 0, 1)
        pause()
        host.advance(31 * second)
        #expect(host.state(0) == .pendingAgain(failed: 0))
        #expect(host.takeDeliveries().count == 1)
    }

    @Test(arguments: [false, true]) func `A pause survives a restart`(hasCheckpoint: Bool) {
        host.publish(topic, 0, 1)
        pause(100 * second)
        if hasCheckpoint {
            host.machine.beginCheckpoint()
            host.settle()
        }
        let before = host.machine.stateDigest()
        host.crash()
        #expect(host.machine.stateDigest() == before)
        host.open(1)
        host.advance(99 * second)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(second)
        #expect(host.takeDeliveries().count == 1)
    }

    @Test func `A resume survives a restart`() {
        host.publish(topic, 0, 1)
        pause()
        host.machine.beginCheckpoint()
        host.settle()
        host.ask { .resumeSubscription($0, name: "s") }
        host.crash()
        host.open(1)
        #expect(host.takeDeliveries().count == 1)
    }

    @Test func `A pause that was not on disk is gone with the crash`() {
        host.publish(topic, 0, 1)
        host.send(.pauseSubscription(host.request(), name: "s", forNanos: nil))
        host.gather()
        host.crash()
        host.open(1)
        #expect(host.takeDeliveries().count == 1)
    }

    @Test func `Claims are taken while paused, and their lengths learnt`() {
        host.publish(topic, 0, 4)
        host.open(1, messages: 2)
        #expect(host.takeDeliveries().count == 2)
        pause()
        host.crash()
        let claims = host.tokens([0, 1], epoch: 1)
        let (consumer, held) = host.open(1, messages: 3, claims: claims)
        #expect(held.reduce(0) { $0 + $1.count } == 2)
        #expect(host.takeDeliveries().isEmpty)
        host.ask { .resumeSubscription($0, name: "s") }
        host.advance(11 * second)
        #expect(host.takeDeliveries().map(\.offset) == [2])
        #expect(host.settle(consumer, .ack, claims)?.accepted == 2)
    }

    @Test func `Impossible pauses are refused`() {
        #expect(
            host.ask { .pauseSubscription($0, name: "x", forNanos: nil) }.reason
                == .unknownSubscription)
        #expect(
            host.ask { .pauseSubscription($0, name: "s", forNanos: 0) }.reason == .invalidSetting)
        #expect(
            host.ask { .pauseSubscription($0, name: "s", forNanos: .max) }.reason
                == .invalidSetting)
        #expect(
            host.ask { .resumeSubscription($0, name: "x") }.reason == .unknownSubscription)
    }
}
