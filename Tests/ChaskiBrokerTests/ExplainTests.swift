import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct ExplainTests {
    private let host = BrokerHost()
    private let topic: TopicID

    init() { topic = host.createTopic() }

    private func explain(_ offset: Offset? = nil) -> Explanation? {
        host.machine.explain(subscription: "s", offset: offset, now: host.now)
    }

    private func first(_ offset: Offset? = nil) -> Explanation.Cause? {
        explain(offset)?.causes.first
    }

    @Test func `Nothing pending, nobody there, all handed out`() {
        host.subscribe()
        #expect(first()?.kind == .caughtUp)
        #expect(host.machine.explain(subscription: "x", offset: nil, now: host.now) == nil)
        host.publish(topic, 0, 3)
        #expect(first()?.kind == .noConsumer)
        host.open(7)
        let leased = first()
        #expect(leased?.kind == .leased)
        #expect(leased?.count == 3)
        #expect(leased?.session == SessionID(rawValue: 7))
        #expect(leased?.untilNanos == host.now.clock + 30 * second)
        #expect(leased?.text.contains("00000000000000000000000000000007 holds 3 messages") == true)
    }

    @Test func `A consumer's credit, in messages and in bytes`() {
        host.subscribe()
        host.open(1, messages: 2)
        host.publish(topic, 0, 3)
        #expect(first()?.kind == .credit)
        #expect(first()?.count == 2 && first()?.limit == 2)
        host.subscribe(name: "b")
        host.open(2, "b", messages: 10, bytes: 25)
        let cause = host.machine.explain(subscription: "b", offset: 2, now: host.now)?.causes.first
        #expect(cause?.kind == .credit)
        #expect(cause?.bytes == 20 && cause?.byteLimit == 25)
        #expect(cause?.text.contains("holds 20 of 25 bytes, and the next message has 10") == true)
    }

    @Test func `A paused subscription, and a message of it`() {
        host.subscribe()
        host.open(1)
        host.publish(topic, 0, 1)
        host.ask { .pauseSubscription($0, name: "s", forNanos: 10 * second) }
        host.publish(topic, 1, 5)
        #expect(first()?.kind == .paused)
        #expect(first()?.untilNanos == host.now.clock + 10 * second)
        #expect(first(0)?.kind == .leased)
        #expect(explain(3)?.causes.map(\.kind) == [.paused, .behind])
        #expect(explain(3)?.causes.last?.count == 2)
        #expect(explain()?.flow.pause?.untilWallNanos == host.now.wall + 10 * second)
    }

    @Test func `Messages in every state`() {
        var settings = SubscriptionSettings(start: .offset(2))
        settings.retry.maximumFailures = 2
        host.subscribe(settings)
        host.publish(topic, 0, 10)
        let consumer = host.open(1, messages: 5).id
        host.settle(consumer, .ack, host.tokens([2]))
        host.settle(consumer, .fail, host.tokens([3]), reason: "no such order")
        host.settle(consumer, .retry, host.tokens([4]), delay: 9 * second)
        #expect(first(1)?.kind == .beforeStart)
        #expect(first(2)?.kind == .acked)
        #expect(first(3)?.kind == .dead)
        #expect(first(3)?.text.contains("no such order") == true)
        #expect(first(4)?.kind == .backoff)
        #expect(first(4)?.untilNanos == host.now.clock + 9 * second)
        #expect(first(5)?.kind == .leased)
        #expect(first(10)?.kind == .notPublished)
        host.send(
            .settle(
                host.request(),
                SettleCommand(consumer: consumer, verb: .ack, ranges: host.tokens([5]))))
        #expect(first(5)?.kind == .verdict)
        host.settle()
        host.crash()
        #expect(first(6)?.kind == .awaitingResume)
        #expect(first(6)?.untilNanos == host.now.clock + 10 * second)
    }

    @Test func `A full window and a ceiling on its way`() {
        host.subscribe(SubscriptionSettings(maximumUnsettled: 2))
        host.open(1)
        host.publish(topic, 0, 5)
        #expect(first()?.kind == .windowFull)
        #expect(first()?.count == 2 && first()?.limit == 2)
        host.subscribe(name: "r")
        let id = host.newConsumer()
        host.send(
            .openConsumer(
                host.request(), id, session: SessionID(rawValue: 9), subscription: "r",
                ConsumerLimit(messages: 10, bytes: 1_000), claims: .none))
        let told = host.machine.explain(subscription: "r", offset: nil, now: host.now)
        #expect(told?.has(.ceiling) == true)
        host.settle()
        #expect(
            host.machine.explain(subscription: "r", offset: nil, now: host.now)?.causes.first?.kind
                == .leased)
    }

    @Test func `A rate limit, with when the next message goes`() {
        var settings = SubscriptionSettings()
        settings.rateLimit = 4
        host.subscribe(settings)
        host.open(1)
        host.publish(topic, 0, 5)
        #expect(first()?.kind == .rateLimit)
        #expect(first()?.limit == 4)
        #expect(first()?.untilNanos == host.now.clock + second / 4)
        host.advance(second / 4)
        #expect(host.takeDeliveries().count == 1)
        #expect(explain()?.flow.tokens == 0)
    }

    @Test func `A breaker: open, half-open, by hand`() {
        var settings = SubscriptionSettings()
        settings.breaker = BreakerPolicy(
            failureThousandths: 600, windowNanos: second, minimumVerdicts: 3, openNanos: second)
        host.subscribe(settings)
        let consumer = host.open(1, messages: 3).id
        host.publish(topic, 0, 9)
        host.settle(consumer, .ack, host.tokens([0]))
        host.settle(consumer, .retry, host.tokens([1]), delay: 50 * second)
        #expect(explain()?.flow.breaker?.state == .closed)
        #expect(explain()?.flow.breaker?.failureThousandths == 500)
        host.settle(consumer, .retry, host.tokens([2]), delay: 50 * second)
        #expect(first()?.kind == .breaker)
        #expect(first()?.text.contains("2 of 3 verdicts were failures (66.6 %") == true)
        #expect(first()?.untilNanos == host.now.clock + second)
        #expect(explain()?.flow.breaker?.state == .open)
        #expect(explain()?.flow.breaker?.probeWallNanos == host.now.wall + second)
        host.advance(second)
        #expect(first()?.kind == .breaker)
        #expect(first()?.offset == 5)
        #expect(explain()?.flow.breaker?.probe == 5)
        host.settle(consumer, .retry, host.tokens([5]))
        #expect(first()?.text.contains("a probe failed") == true)
        host.ask { .setBreaker($0, name: "s", .open) }
        #expect(first()?.text.contains("by hand") == true)
        #expect(explain()?.flow.breaker?.position == .open)
        host.ask { .setBreaker($0, name: "s", .closed) }
        #expect(explain()?.has(.breaker) == false)
    }

    @Test func `Messages that cannot be read`() {
        host.answersReads = false
        host.subscribe()
        host.publish(topic, 0, 5)
        host.open(1)
        #expect(first()?.kind == .reading)
        host.failReads(Failure(.dataLoss, .damaged, "block 7 is damaged"))
        #expect(first()?.kind == .stalled)
        #expect(first()?.text.contains("block 7 is damaged") == true)
        #expect(first()?.untilNanos == host.now.clock + second)
    }

    @Test func `A message behind others of its key, however many`() {
        var settings = SubscriptionSettings()
        settings.order = OrderPolicy(runLength: 1)
        host.subscribe(settings)
        host.publish(topic, 0, keys: ["b"] + (0..<400).map { $0 % 3 == 0 ? "a" : "c\($0)" })
        host.open(1)
        for offset: Offset in [4, 7, 400] {
            let cause = explain(offset)?.causes.first
            #expect(cause?.kind == .busyKey && cause?.offset == 1, "\(offset)")
            #expect(cause?.count == 134)
        }
        #expect(explain(5)?.causes.map(\.kind) == [.leased])
    }

    @Test func `Keys that dead messages hold are not told as busy besides`() {
        var settings = SubscriptionSettings()
        settings.order = OrderPolicy(runLength: 1, afterDeath: .hold)
        host.subscribe(settings)
        host.publish(topic, 0, keys: ["a", "a", "a", "b", "b"])
        let consumer = host.open(1).id
        host.settle(consumer, .fail, host.tokens([0]))
        for offset in [nil, 1, 2] as [Offset?] {
            let causes = explain(offset)?.causes ?? []
            #expect(causes.first { $0.kind == .heldKey }?.count == 2, "\(offset as Any)")
            let busy = causes.filter { $0.kind == .busyKey }
            // It waits behind 1 too.
            #expect(busy.map(\.count) == (offset == 2 ? [2] : []), "\(offset as Any)")
        }
    }

    @Test func `A key that a session keeps by what it claimed before its turn`() {
        var settings = SubscriptionSettings()
        settings.order = OrderPolicy(runLength: 2)
        host.subscribe(settings)
        host.publish(topic, 0, keys: ["a", "a", "a"])
        host.open(1)
        host.crash()
        host.answersReads = false
        host.open(1, claims: host.tokens([1], epoch: 1))
        host.answersReads = true
        host.answerReads()
        host.open(2)
        host.advance(11 * second)
        for offset in [nil, 2] as [Offset?] {
            let cause = explain(offset)?.causes.first { $0.text.contains("later ones") }
            #expect(cause?.kind == .busyKey && cause?.offset == 1 && cause?.count == 2)
        }
    }

    @Test func `A silent consumer is passed over`() {
        host.subscribe(SubscriptionSettings(leaseNanos: 5 * second))
        host.open(1, messages: 100)
        host.publish(topic, 0, 2)
        host.open(2, messages: 1)
        for _ in 0..<6 {
            host.advance(second)
            host.send(.heartbeat(SessionID(rawValue: 2)))
        }
        host.publish(topic, 2, 5)
        let told = explain()
        #expect(told?.causes.first { $0.kind == .silent }?.session == SessionID(rawValue: 1))
        #expect(told?.tellsWhatHoldsBack == true)
    }

    @Test func `A journal that failed`() {
        host.subscribe()
        host.publish(topic, 0, 1)
        host.gather()
        var effects: [Effect] = []
        host.machine.failed(
            Failure(.unavailable, .journalFailed, "the sync failed"), effects: &effects)
        #expect(first()?.kind == .journal)
        #expect(first()?.text.contains("the sync failed") == true)
    }

    @Test func `A full store of dead letters`() {
        var configuration = BrokerConfiguration(seed: 1)
        configuration.maximumDeadLetters = 1
        let host = BrokerHost(configuration)
        let topic = host.createTopic()
        host.subscribe()
        host.publish(topic, 0, 2)
        let consumer = host.open(1).id
        host.settle(consumer, .fail, host.tokens([0]))
        host.settle(consumer, .fail, host.tokens([1]))
        let told = host.machine.explain(subscription: "s", offset: nil, now: host.now)
        #expect(told?.has(.deadStoreFull) == true)
        #expect(told?.has(.backoff) == true)
    }
}
