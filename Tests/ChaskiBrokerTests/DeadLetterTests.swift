import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct DeadLetterTests {
    /// A host with messages handed out to one consumer.
    private func host(
        _ count: Int = 4, _ settings: SubscriptionSettings = SubscriptionSettings(),
        _ configuration: BrokerConfiguration = BrokerConfiguration(seed: 7)
    ) -> (host: BrokerHost, topic: TopicID, consumer: ConsumerID) {
        let host = BrokerHost(configuration)
        let topic = host.createTopic()
        host.subscribe(settings)
        host.publish(topic, 0, count)
        let consumer = host.open(1).id
        #expect(host.takeDeliveries().count == count)
        return (host, topic, consumer)
    }

    private func redrive(
        _ host: BrokerHost, _ ranges: [Range<Offset>], note: String = ""
    ) -> UInt64? {
        let result = host.ask { .redrive($0, subscription: "s", ranges, note: note) }
        guard case .success(.lettersTaken(let count, _))? = result else { return nil }
        return count
    }

    private func letters(_ host: BrokerHost) -> [DeadLetter] {
        host.machine.deadLetters(subscription: "s", from: 0, limit: 1_000) ?? []
    }

    @Test func `Every attempt is kept with its reason, through checkpoint and restart`() {
        let policy = RetryPolicy(minimumBackoffNanos: 0, maximumFailures: 3)
        let (host, _, consumer) = host(1, SubscriptionSettings(retry: policy))
        for number in 1...3 as ClosedRange<UInt32> {
            host.advance(second)
            let command = SettleCommand(
                consumer: consumer, verb: .retry, ranges: host.tokens([0], handout: number),
                delayNanos: number == 2 ? 5 * second : nil, reason: "attempt \(number)",
                code: "E\(number)")
            host.ask { .settle($0, command) }
            host.machine.beginCheckpoint()
            host.settle()
            if number == 1 { host.advance(0) }
            if number == 2 { host.advance(5 * second) }
        }
        let past = host.machine.past(of: 0, subscription: "s")
        #expect(past?.attempts == 3)
        #expect(past?.listed.map(\.reason) == ["attempt 1", "attempt 2", "attempt 3"])
        #expect(past?.listed.map(\.code) == ["E1", "E2", "E3"])
        #expect(past?.listed.map(\.handout) == [1, 2, 3])
        #expect(past?.listed[1].delayNanos == 5 * second)
        #expect(past?.listed[2].delayNanos == nil)
        #expect(past?.listed.allSatisfy { $0.session.rawValue == 1 } == true)
        let letter = letters(host).first
        #expect(letter?.code == "E3")
        #expect(letter?.cause == .maximumFailures)
        for fromStart in [false, true] {
            host.crash(fromStart: fromStart)
            #expect(host.machine.past(of: 0, subscription: "s") == past)
            #expect(letters(host).first == letter)
        }
    }

    @Test func `The first and the latest 31 attempts are kept, and all are counted`() {
        let policy = RetryPolicy(minimumBackoffNanos: 0, maximumFailures: 100)
        let (host, _, consumer) = host(1, SubscriptionSettings(retry: policy))
        let long = String(repeating: "é", count: 700)
        for number in 1...50 as ClosedRange<UInt32> {
            let ranges = host.tokens([0], handout: number)
            host.settle(consumer, .retry, ranges, delay: 0, reason: "\(number) " + long)
            host.advance(second)
        }
        let past = host.machine.past(of: 0, subscription: "s")
        #expect(past?.attempts == 50)
        #expect(past?.listed.map(\.handout) == [1] + Array(20...50))
        #expect(past?.listed.first?.reason.utf8.count == 1_024)
        #expect(past?.listed.last?.reason.utf8.count == 1_023)
        #expect(past?.listed[5].reason.utf8.count ?? 0 <= 256)
        let digest = host.machine.stateDigest()
        let old = host.tokens([0], handout: 51)
        host.crash()
        #expect(host.machine.stateDigest() == digest)
        let back = host.open(1, claims: old).id
        #expect(host.settle(back, .ack, host.tokens([0], handout: 51))?.accepted == 1)
        #expect(host.machine.past(of: 0, subscription: "s")?.listed.isEmpty == true)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A message that fails long after its first failure is dead`() {
        let policy = RetryPolicy(
            minimumBackoffNanos: 0, maximumFailures: 100, maximumAgeNanos: 60 * second)
        let (host, _, consumer) = host(1, SubscriptionSettings(retry: policy))
        host.advance(20 * second)
        // The time before the first failure does not count.
        host.settle(consumer, .retry, host.tokens([0]), delay: 59 * second)
        host.advance(59 * second)
        host.settle(consumer, .retry, host.tokens([0], handout: 2), delay: second)
        #expect(host.machine.subscription(named: "s")?.waitingRetry == 1)
        host.advance(second)
        host.settle(consumer, .retry, host.tokens([0], handout: 3), delay: second)
        #expect(letters(host).map(\.cause) == [.maximumAge])
        #expect(letters(host).map(\.failed) == [3])
        // Redriven, it has all its time again.
        #expect(redrive(host, [0..<1]) == 1)
        host.settle(consumer, .retry, host.tokens([0], handout: 4), delay: second)
        #expect(letters(host).isEmpty)
    }

    @Test func `A delay that a consumer gives has no range`() {
        let policy = RetryPolicy(maximumBackoffNanos: 2 * second)
        let (host, _, consumer) = host(2, SubscriptionSettings(retry: policy))
        host.settle(consumer, .retry, host.tokens([0]), delay: .max)
        host.settle(consumer, .retry, host.tokens([1]), delay: 4_000 * 86_400 * second)
        host.advance(3_000 * 86_400 * second)
        host.crash()
        host.open(1)
        host.advance(20 * second)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(1_000 * 86_400 * second)
        #expect(host.takeDeliveries().map(\.offset) == [1])
    }

    @Test func `A redriven message comes again as if it had never failed`() {
        let (host, topic, consumer) = host(600)
        host.settle(consumer, .fail, host.tokens([3, 300, 599]), reason: "broken")
        let others = (0..<600).filter { ![3, 300, 599].contains($0) }.map { Offset($0) }
        host.settle(consumer, .ack, host.tokens(others))
        #expect(host.machine.subscription(named: "s")?.settledBelow == 600)
        #expect(redrive(host, [0..<301], note: "fixed") == 2)
        #expect(host.machine.subscription(named: "s")?.settledBelow == 3)
        let again = host.takeDeliveries()
        #expect(again.map(\.offset) == [3, 300])
        #expect(again.allSatisfy { $0.handout == 2 && $0.failed == 0 })
        // A token from before its death is stale.
        let stale = host.settle(consumer, .ack, host.tokens([3]))
        #expect(stale?.rejected.map(\.reason) == [.stale])
        #expect(host.settle(consumer, .retry, host.tokens([3], handout: 2))?.accepted == 1)
        #expect(host.settle(consumer, .ack, host.tokens([300], handout: 2))?.accepted == 1)
        #expect(host.settle(consumer, .ack, host.tokens([300], handout: 2))?.accepted == 1)
        let past = host.machine.past(of: 3, subscription: "s")
        #expect(past?.listed.map(\.end) == [.fail, .redriven, .retry])
        #expect(past?.listed[1].reason == "fixed")
        #expect(past?.redriven == 1)
        #expect(letters(host).map(\.offset) == [599])
        #expect(host.machine.subscription(named: "s")?.redriven == 2)
        #expect(!host.released.contains { $0.1.contains(3) })
        #expect(host.machine.checkInvariants() == nil)
        host.publish(topic, 600, 1)
        host.advance(2 * second)
        #expect(Set(host.takeDeliveries().map(\.offset)) == [3, 600])
    }

    @Test func `A redriven message survives restarts below everything that is settled`() {
        var configuration = BrokerConfiguration(seed: 7)
        configuration.repeatChunks = 0
        let (host, _, consumer) = host(1_000, SubscriptionSettings(), configuration)
        host.settle(consumer, .fail, host.tokens([5]))
        let others = (0..<1_000).filter { $0 != 5 }.map { Offset($0) }
        host.settle(consumer, .ack, host.tokens(others))
        #expect(redrive(host, [0..<1_000]) == 1)
        host.machine.beginCheckpoint()
        host.settle()
        let digest = host.machine.stateDigest()
        let old = host.tokens([5], handout: 2)
        host.crash()
        #expect(host.machine.stateDigest() == digest)
        #expect(host.machine.checkInvariants() == nil)
        let back = host.open(1, claims: old)
        #expect(back.held.map(\.first) == [5])
        #expect(host.settle(back.id, .fail, host.tokens([5], handout: 2))?.accepted == 1)
        #expect(letters(host).map(\.handedOut) == [2])
        #expect(redrive(host, [5..<6]) == 1)
        #expect(host.settle(back.id, .ack, host.tokens([5], handout: 3))?.accepted == 1)
        #expect(host.machine.subscription(named: "s")?.settledBelow == 1_000)
        #expect(host.machine.checkInvariants() == nil)
        #expect(host.released.contains { $0.1.contains(5) }, "nobody needs it any more")
        host.crash(fromStart: true)
        #expect(host.machine.checkInvariants() == nil)
        #expect(host.machine.subscription(named: "s")?.backlog == 0)
    }

    @Test func `A message that dies while a checkpoint is under way is dead after a restart`() {
        var configuration = BrokerConfiguration(seed: 7)
        configuration.checkpointSliceBytes = 1
        let policy = RetryPolicy(minimumBackoffNanos: 0, maximumFailures: 2)
        for groups in 0..<8 {
            let (host, _, consumer) = host(3, SubscriptionSettings(retry: policy), configuration)
            host.settle(consumer, .retry, host.tokens([0]), delay: 0)
            host.advance(second)
            host.machine.beginCheckpoint()
            for _ in 0..<groups where host.gather() { host.sync() }
            host.settle(consumer, .retry, host.tokens([0], handout: 2), delay: 0)
            #expect(host.replayFrom > 0, "the checkpoint is complete")
            let digest = host.machine.stateDigest()
            host.crash()
            #expect(host.machine.stateDigest() == digest, "after \(groups) groups")
            #expect(letters(host).map(\.offset) == [0])
            #expect(host.machine.subscription(named: "s")?.backlog == 2)
        }
    }

    @Test func `A purge frees what the dead pinned, and counts it`() {
        let (host, _, consumer) = host(600)
        host.settle(consumer, .fail, host.tokens([3, 4, 400]))
        let others = (0..<600).filter { ![3, 4, 400].contains($0) }.map { Offset($0) }
        host.settle(consumer, .ack, host.tokens(others))
        #expect(!host.released.contains { $0.1.contains(0) })
        let result = host.ask { .purge($0, subscription: "s", [0..<5, 7..<9]) }
        guard case .success(.lettersTaken(2, nil))? = result else {
            Issue.record("purged \(String(describing: result))")
            return
        }
        #expect(host.released.contains { $0.1.contains(3) })
        #expect(!host.released.contains { $0.1.contains(400) })
        #expect(host.machine.subscription(named: "s")?.purged == 2)
        #expect(letters(host).map(\.offset) == [400])
        #expect(host.machine.checkInvariants() == nil)
        host.crash()
        #expect(letters(host).map(\.offset) == [400])
        let unknown = host.ask { .purge($0, subscription: "x", []) }
        #expect(unknown.failure == .unknownSubscription("x"))
    }

    @Test func `A letter is taken once, by whoever asks first`() {
        let (host, _, consumer) = host()
        host.settle(consumer, .fail, host.tokens([1, 2]))
        let redrive = host.request()
        let purge = host.request()
        host.send(.redrive(redrive, subscription: "s", [0..<2], note: ""))
        host.send(.purge(purge, subscription: "s", [0..<9]))
        host.settle()
        guard case .success(.lettersTaken(1, nil))? = host.reply(redrive),
            case .success(.lettersTaken(1, nil))? = host.reply(purge)
        else {
            Issue.record("taken twice")
            return
        }
        #expect(host.takeDeliveries().map(\.offset) == [1])
        #expect(letters(host).isEmpty)
    }

    @Test func `Dead letters are removed when they were kept for long enough`() {
        var settings = SubscriptionSettings()
        settings.deadLetters.retentionNanos = 100 * second
        let (host, _, consumer) = host(4, settings)
        host.settle(consumer, .fail, host.tokens([1]))
        host.advance(20 * second)
        host.settle(consumer, .fail, host.tokens([0]))
        host.settle(consumer, .ack, host.tokens([2, 3]))
        host.advance(79 * second)
        #expect(letters(host).map(\.offset) == [0, 1])
        host.crash()
        host.advance(2 * second)
        #expect(letters(host).map(\.offset) == [0])
        #expect(host.machine.subscription(named: "s")?.expired == 1)
        var change = SubscriptionChange()
        change.deadLetterRetentionNanos = 1_000 * second
        host.ask { .updateSubscription($0, name: "s", change) }
        host.advance(100 * second)
        #expect(letters(host).map(\.offset) == [0])
        change.deadLetterRetentionNanos = second
        host.ask { .updateSubscription($0, name: "s", change) }
        host.advance(second)
        #expect(letters(host).isEmpty)
        #expect(host.machine.subscription(named: "s")?.expired == 2)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Where the store is full, what should die waits and loses nothing`() {
        var settings = SubscriptionSettings(
            retry: RetryPolicy(
                minimumBackoffNanos: second, maximumBackoffNanos: 50 * second, maximumFailures: 1))
        settings.deadLetters.maximum = 2
        let (host, _, consumer) = host(4, settings)
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(host.machine.subscription(named: "s")?.isDeadStoreFull == false)
        host.settle(consumer, .retry, host.tokens([1]))
        #expect(host.machine.subscription(named: "s")?.isDeadStoreFull == true)
        host.settle(consumer, .fail, host.tokens([2]))
        host.settle(consumer, .retry, host.tokens([3]))
        #expect(letters(host).map(\.offset) == [0, 1])
        #expect(host.machine.subscription(named: "s")?.waitingRetry == 2)
        host.advance(49 * second)
        #expect(host.takeDeliveries().isEmpty)
        host.advance(second)
        #expect(host.takeDeliveries().map(\.offset) == [2, 3])
        #expect(host.held == [.deadStoreFull])
        host.ask { .purge($0, subscription: "s", [0..<2]) }
        host.advance(second)
        #expect(host.held == [.deadStoreFull, nil])
        host.settle(consumer, .fail, host.tokens([2, 3], handout: 2))
        #expect(letters(host).map(\.offset) == [2, 3])
        #expect(host.machine.past(of: 2, subscription: "s")?.attempts == 2)
        host.crash(fromStart: true)
        #expect(letters(host).map(\.offset) == [2, 3])
    }

    @Test func `Subscriptions share the namespace's bound`() {
        var configuration = BrokerConfiguration(seed: 7)
        configuration.maximumDeadLetters = 3
        let (host, _, consumer) = host(4, SubscriptionSettings(), configuration)
        host.subscribe(
            SubscriptionSettings(retry: RetryPolicy(maximumBackoffNanos: second)), name: "u")
        let other = host.open(2, "u").id
        host.settle(consumer, .fail, host.tokens([0, 1]))
        host.settle(other, .fail, host.tokens([0, 1]))
        #expect(host.machine.deadLetters(subscription: "u", from: 0, limit: 9)?.isEmpty == true)
        host.settle(consumer, .fail, host.tokens([2]))
        #expect(letters(host).count == 3)
        host.ask { .deleteSubscription($0, name: "s") }
        host.advance(second)
        host.settle(other, .fail, host.tokens([0, 1], handout: 2))
        #expect(host.machine.deadLetters(subscription: "u", from: 0, limit: 9)?.count == 2)
    }

    @Test func `Filters find what they name`() {
        let (host, _, consumer) = host(10)
        for offset in 0..<6 as Range<Offset> {
            host.advance(second)
            let command = SettleCommand(
                consumer: consumer, verb: .fail, ranges: host.tokens([offset]),
                reason: "error \(offset) of many", code: offset % 2 == 0 ? "even" : "odd")
            host.ask { .settle($0, command) }
        }
        func found(_ change: (inout DeadLetterFilter) -> Void) -> [Offset]? {
            var filter = DeadLetterFilter()
            change(&filter)
            return host.machine.deadLetters(
                subscription: "s", matching: filter, from: 0, limit: 100
            )?.letters.map(\.offset)
        }
        let third = letters(host)[3].wallNanos
        #expect(found { _ in } == [0, 1, 2, 3, 4, 5])
        #expect(found { $0.code = "odd" } == [1, 3, 5])
        #expect(found { $0.reason = "4 of" } == [4])
        #expect(found { $0.ranges = [1..<2, 4..<9] } == [1, 4, 5])
        #expect(found { $0.diedFromNanos = third } == [3, 4, 5])
        #expect(found { $0.diedBeforeNanos = third } == [0, 1, 2])
        #expect(found { $0.cause = .maximumFailures } == [])
        let page = host.machine.deadLetters(
            subscription: "s", matching: DeadLetterFilter(), from: 2, limit: 2)
        #expect(page?.letters.map(\.offset) == [2, 3])
        #expect(page?.next == 4)
    }
}
