import ChaskiModel
import Testing

@testable import ChaskiBroker

/// What a session may hold of a key across a restart, where it is not the first of its key.
@Suite struct OrderRestartTests {
    private let host = BrokerHost()

    private func prepare(
        _ keys: [String], runLength: UInt32 = 3, maximumAbandoned: UInt32? = nil
    ) -> TopicID {
        let topic = host.createTopic()
        var settings = SubscriptionSettings()
        settings.order = OrderPolicy(runLength: runLength)
        if let maximumAbandoned { settings.maximumAbandoned = maximumAbandoned }
        host.subscribe(settings)
        host.publish(topic, 0, keys: keys)
        return topic
    }

    private func offsets() -> [Offset] { host.takeDeliveries().map(\.offset) }

    /// The session of some messages of a key retries the first; the broker ends before those behind
    /// it have come back. The session claims the second.
    private func claimBehindRetry(
        messages: Int = 3, maximumAbandoned: UInt32? = nil
    ) -> (id: ConsumerID, held: [TokenRange]) {
        _ = prepare(
            Array(repeating: "a", count: messages), maximumAbandoned: maximumAbandoned)
        let before = host.open(1)
        #expect(offsets() == Array(0..<Offset(messages)))
        host.advance(2 * second)
        // The retry is durable, the return of those behind it is not.
        host.maximumGroupBytes = 1
        let retry = SettleCommand(
            consumer: before.id, verb: .retry, ranges: host.tokens([0]), delayNanos: 5 * second,
            reason: "", code: "")
        host.send(.settle(host.request(), retry))
        host.gather()
        host.sync()
        host.crash()
        host.maximumGroupBytes = 1 << 20
        return host.open(1, claims: host.tokens([1], epoch: 1))
    }

    @Test("One that dies where it waits behind an earlier one does not hold up its key")
    func diesInBacklog() {
        for others in [[0], [0, 2]] as [[Offset]] {
            let suite = OrderRestartTests()
            suite.diesInBacklog(beside: others)
        }
    }

    private func diesInBacklog(beside others: [Offset]) {
        let back = claimBehindRetry(messages: others.count + 1, maximumAbandoned: 1)
        #expect(back.held.map(\.first) == [1])
        host.send(.disconnected(back.id))
        host.advance(11 * second)
        #expect(host.machine.subscription(named: "s")?.dead == 1)
        let other = host.open(2).id
        host.advance(second)
        let handed = host.takeDeliveries()
        #expect(handed.map(\.offset) == others)
        for message in handed {
            host.settle(other, .ack, host.tokens([message.offset], handout: message.handout))
        }
        #expect(host.machine.checkInvariants() == nil)
        redrive(1)
        #expect(offsets() == [1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("What a session holds before the restart it keeps behind several that were redriven")
    func severalRedrivenBehindClaim() {
        _ = prepare(["a", "a", "a"])
        let before = host.open(1)
        host.settle(before.id, .fail, host.tokens([0]))
        host.settle(before.id, .fail, host.tokens([1], handout: 2))
        redrive(0)
        redrive(1)
        host.crash()
        _ = host.takeDeliveries()
        let back = host.open(1, claims: host.tokens([2], handout: 3, epoch: 1))
        host.open(2)
        #expect(back.held.map(\.first) == [2])
        host.advance(11 * second)
        #expect(offsets() == [])
        #expect(host.settle(back.id, .ack, host.tokens([2], handout: 3))?.accepted == 1)
        #expect(offsets() == [0, 1])
        #expect(host.machine.checkInvariants() == nil)
    }

    private func redrive(_ offset: Offset) {
        host.ask { .redrive($0, subscription: "s", [offset..<offset + 1], note: "") }
    }

    @Test("What a session holds before the restart it keeps, though an earlier one was redriven")
    func redrivenBehindClaim() {
        for first in ["a", "b"] {
            let host = BrokerHost()
            let topic = host.createTopic()
            var settings = SubscriptionSettings()
            settings.order = OrderPolicy(runLength: 3)
            host.subscribe(settings)
            // With another key first the redriven one lies among the unsettled, else below them.
            host.publish(topic, 0, keys: [first, "a", "a"])
            let dead: Offset = first == "a" ? 0 : 1
            let before = host.open(1)
            host.settle(before.id, .fail, host.tokens([dead]))
            let later = Array(dead + 1..<3)
            host.ask { .redrive($0, subscription: "s", [dead..<dead + 1], note: "") }
            host.crash()
            _ = host.takeDeliveries()
            let back = host.open(1, claims: host.tokens(later, handout: 2, epoch: 1))
            host.open(2)
            #expect(back.held.map(\.first) == [dead + 1], "\(first)")
            host.advance(11 * second)
            #expect(!host.takeDeliveries().contains { $0.offset == dead }, "\(first)")
            let verdict = host.settle(back.id, .ack, host.tokens(later, handout: 2))
            #expect(verdict?.accepted == UInt32(later.count), "\(first)")
            #expect(host.takeDeliveries().map(\.offset) == [dead], "\(first)")
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test("A redriven message that a session holds across a restart keeps its key")
    func redrivenIsHeld() {
        let topic = prepare(["a", "b"])
        let before = host.open(1)
        host.settle(before.id, .fail, host.tokens([0]))
        redrive(0)
        host.crash()
        _ = host.takeDeliveries()
        let back = host.open(1, messages: 1, claims: host.tokens([0], handout: 2, epoch: 1))
        #expect(back.held.map(\.first) == [0])
        let other = host.open(2)
        host.publish(topic, 2, keys: ["a", "a", "c"])
        let handed = host.takeDeliveries()
        #expect(handed.filter { $0.consumer == other.id }.map(\.offset) == [4])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A redriven message that nobody came back for holds up its key until then")
    func redrivenIsUnresolved() {
        let topic = prepare(["a", "b"])
        let before = host.open(1)
        host.settle(before.id, .fail, host.tokens([0]))
        redrive(0)
        host.crash()
        _ = host.takeDeliveries()
        host.open(2)
        host.publish(topic, 2, keys: ["a", "c"])
        #expect(offsets() == [3])
        host.advance(11 * second)
        #expect(offsets() == [0, 1, 2])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A message redriven after a restart waits while a later one may be with its session")
    func redrivenAfterRestart() {
        for comesBack in [false, true] {
            let host = BrokerHost()
            let topic = host.createTopic()
            var settings = SubscriptionSettings()
            settings.order = OrderPolicy(runLength: 3)
            host.subscribe(settings)
            host.publish(topic, 0, keys: ["a", "a", "b"])
            let before = host.open(1)
            host.settle(before.id, .fail, host.tokens([0]))
            host.crash()
            _ = host.takeDeliveries()
            host.open(2)
            host.ask { .redrive($0, subscription: "s", [0..<1], note: "") }
            host.publish(topic, 3, keys: ["c"])
            #expect(host.takeDeliveries().map(\.offset) == [3])
            if comesBack {
                let back = host.open(1, claims: host.tokens([1], handout: 2, epoch: 1))
                #expect(back.held.map(\.first) == [1])
                #expect(host.takeDeliveries().isEmpty)
                #expect(host.settle(back.id, .ack, host.tokens([1], handout: 2))?.accepted == 1)
                #expect(host.takeDeliveries().map(\.offset) == [0])
            } else {
                host.advance(11 * second)
                #expect(host.takeDeliveries().map(\.offset) == [0, 1, 2])
            }
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test("Until all keys are known again nothing of them is handed out")
    func redrivenBeforeKeysAreKnown() {
        let (host, topic) = hostOfSmallReads(OrderPolicy(runLength: 3))
        host.publish(topic, 0, keys: ["a"])
        host.publish(topic, 1, keys: ["a"])
        let before = host.open(1)
        host.settle(before.id, .fail, host.tokens([0]))
        let handout = host.takeDeliveries().last { $0.offset == 1 }?.handout ?? 0
        host.crash()
        host.answersReads = false
        let claim = host.tokens([1], handout: handout, epoch: 1)
        let back = host.open(1, claims: claim)
        #expect(back.held.map(\.first) == [1])
        host.open(2)
        host.ask { .redrive($0, subscription: "s", [0..<1], note: "") }
        // When the disk can be read again the redriven message would be the first to be read.
        for _ in 0..<2 { host.failReads(Failure(.unavailable, .overloaded, "the disk is busy")) }
        host.advance(second)
        host.answersReads = true
        host.answerReads()
        #expect(host.takeDeliveries().isEmpty)
        host.advance(2 * second)
        #expect(host.takeDeliveries().isEmpty)
        #expect(host.settle(back.id, .ack, host.tokens([1], handout: handout))?.accepted == 1)
        #expect(host.takeDeliveries().map(\.offset) == [0])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A claim behind an earlier one that nobody has keeps the key until it is given up")
    func claimKeepsKey() {
        let back = claimBehindRetry()
        host.open(2)
        host.advance(6 * second)
        #expect(back.held.map(\.first) == [1])
        #expect(offsets().isEmpty, "the key is with the session that was told so")
        #expect(host.machine.checkInvariants() == nil)
        let verdict = host.settle(back.id, .ack, host.tokens([1], epoch: 1))
        #expect(verdict?.rejected.map(\.reason) == [.stale], "0 is not settled")
        #expect(offsets() == [0, 1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("Behind one whose atomic verdict is on its way the others of its run stay")
    func claimBehindAtomicVerdict() {
        for (verb, isRefused) in [(Verb.ack, true), (.ack, false), (.retry, true), (.retry, false)]
        {
            let (host, back) = claimOfRun()
            let command = AtomicCommand(
                transaction: TransactionID(rawValue: 9),
                settlements: [
                    AtomicSettlement(
                        subscription: "s", session: SessionID(rawValue: 1), verb: verb,
                        ranges: host.tokens([0]), delayNanos: verb == .retry ? second : nil,
                        reason: "")
                ])
            let request = host.request()
            host.send(.atomic(request, command))
            #expect(host.reply(request) == nil, "on its way")
            host.gather()
            host.answersReads = true
            host.answerReads()
            #expect(host.machine.checkInvariants() == nil)
            if isRefused { host.refuse(Failure(.resourceExhausted, .diskFull, "full")) }
            host.advance(second / 2)
            host.settle()
            #expect(host.machine.checkInvariants() == nil)
            let rest: [Offset] = isRefused ? [0, 1, 2] : [1, 2]
            let verdict = host.settle(back, .ack, host.tokens(rest))
            let stays = isRefused || verb == .ack
            #expect(verdict?.accepted == (stays ? UInt32(rest.count) : 0), "\(verb) \(isRefused)")
            host.advance(11 * second)
            #expect(host.takeDeliveries().map(\.offset) == (stays ? [] : [0, 1, 2]))
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test("What came back before the keys behind it were known takes its run along")
    func retryBeforeKeysAreKnown() {
        let (host, back) = claimOfRun()
        let retry = SettleCommand(
            consumer: back, verb: .retry, ranges: host.tokens([0]), delayNanos: 0, reason: "",
            code: "")
        let request = host.request()
        host.send(.settle(request, retry))
        #expect(host.reply(request) == nil, "on its way")
        host.gather()
        host.answersReads = true
        host.answerReads()
        #expect(host.takeDeliveries().isEmpty)
        host.settle()
        #expect(host.settle(back, .ack, host.tokens([1, 2]))?.accepted == 0)
        host.advance(second)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1, 2])
        #expect(host.machine.checkInvariants() == nil)
    }

    /// A session had three messages of a key before a restart, and claims them: the key of the first
    /// is known again, those of the others when the reads are answered.
    private func claimOfRun() -> (BrokerHost, ConsumerID) {
        let (host, topic) = hostOfSmallReads(OrderPolicy(runLength: 3))
        host.publish(topic, 0, keys: ["a"])
        host.publish(topic, 1, keys: ["a", "a"])
        host.open(1)
        _ = host.takeDeliveries()
        host.crash()
        host.answersReads = false
        let back = host.open(1, claims: host.tokens([0, 1, 2], epoch: 1))
        // How long they are is read first.
        host.answerReads()
        host.answerReads()
        return (host, back.id)
    }

    /// Each batch is read by itself.
    private func hostOfSmallReads(
        _ order: OrderPolicy, maximumAbandoned: UInt32 = 3
    ) -> (BrokerHost, TopicID) {
        var configuration = BrokerConfiguration(seed: 7)
        configuration.prefetchBytes = 100
        let host = BrokerHost(configuration)
        let topic = host.createTopic()
        var settings = SubscriptionSettings()
        settings.order = order
        settings.maximumAbandoned = maximumAbandoned
        host.subscribe(settings)
        return (host, topic)
    }

    @Test("What was settled and is gone before its key was read again is not waited for")
    func settledBeforeKeysAreKnown() {
        let (host, topic) = hostOfSmallReads(OrderPolicy(runLength: 1), maximumAbandoned: 1)
        host.publish(topic, 0, keys: ["a"])
        host.open(1, messages: 1)
        host.crash()
        host.answersReads = false
        let back = host.open(1, messages: 1, claims: host.tokens([0], epoch: 1))
        #expect(back.held.map(\.first) == [0])
        host.send(.disconnected(back.id))
        host.advance(11 * second)
        #expect(host.isDead(0))
        host.ask { .purge($0, subscription: "s", [0..<1]) }
        #expect(host.released.map(\.1) == [0..<1])
        host.answersReads = true
        host.answerReads()
        host.publish(topic, 1, keys: ["a"])
        host.open(2)
        host.advance(2 * second)
        #expect(host.takeDeliveries().map(\.offset).last == 1)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A claim out of turn is refused once its key is known")
    func claimIsRefused() {
        let back = claimBehindRetry()
        #expect(back.held.map(\.first) == [1])
        host.advance(6 * second)
        #expect(offsets().isEmpty)
        #expect(host.open(1, claims: host.tokens([1], epoch: 1)).held.isEmpty)
        #expect(offsets() == [0, 1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("Of two sessions that claim messages of one key the first in order has it")
    func twoClaims() {
        _ = prepare(["a", "a", "a"])
        host.open(1)
        _ = offsets()
        host.crash()
        host.answersReads = false
        let first = host.open(1, claims: host.tokens([0], epoch: 1))
        let second = host.open(2, claims: host.tokens([1], epoch: 1))
        host.answersReads = true
        host.answerReads()
        #expect(host.machine.checkInvariants() == nil)
        host.settle(first.id, .ack, host.tokens([0], epoch: 1))
        #expect(offsets().isEmpty)
        let verdict = host.settle(second.id, .ack, host.tokens([1], epoch: 1))
        #expect(verdict?.rejected.map(\.reason) == [.stale])
        #expect(host.machine.checkInvariants() == nil)
        host.advance(11 * 1_000_000_000)
        #expect(offsets() == [1, 2])
        #expect(host.machine.checkInvariants() == nil)
    }
}
