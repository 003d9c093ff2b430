import ChaskiModel
import Testing

@testable import ChaskiBroker

/// Ordered subscriptions: one holder at a time has a key, as a run of its messages.
@Suite struct OrderTests {
    private func host(
        _ keys: [String], runLength: UInt32 = 3, maximumUnsettled: UInt32 = 100_000
    ) -> (BrokerHost, TopicID) {
        let host = BrokerHost()
        let topic = host.createTopic()
        var settings = SubscriptionSettings(maximumUnsettled: maximumUnsettled)
        settings.order = OrderPolicy(runLength: runLength)
        host.subscribe(settings)
        host.publish(topic, 0, keys: keys)
        return (host, topic)
    }

    private func offsets(_ host: BrokerHost) -> [Offset] { host.takeDeliveries().map(\.offset) }

    @Test("A key comes in runs; what lies behind waits, and other keys go on")
    func runs() {
        let (host, _) = host(["a", "a", "b", "a", "a", "b", "a", "c"])
        let consumer = host.open(1)
        #expect(offsets(host) == [0, 1, 2, 3, 5, 7])
        host.settle(consumer.id, .ack, host.tokens([0]))
        #expect(offsets(host) == [4])
        host.settle(consumer.id, .ack, host.tokens([1, 3]))
        #expect(offsets(host) == [6])
        host.settle(consumer.id, .ack, host.tokens([2, 4, 5, 6, 7]))
        #expect(host.machine.subscription(named: "s")?.backlog == 0)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A key is with one consumer at a time")
    func oneHolder() {
        let (host, topic) = host(["a"], runLength: 16)
        let first = host.open(1, messages: 1)
        #expect(host.takeDeliveries().map(\.consumer) == [first.id])
        let second = host.open(2)
        host.publish(topic, 1, keys: ["a", "b"])
        #expect(host.takeDeliveries().map { [$0.offset] } == [[2]])
        host.settle(first.id, .ack, host.tokens([0]))
        let next = host.takeDeliveries()
        #expect(next.map(\.offset) == [1])
        #expect(Set(next.map(\.consumer)).isSubset(of: [first.id, second.id]))
    }

    @Test("An ack in an atomic request is not on disk before the ack that it follows")
    func atomicFollowsAck() {
        for holdsBack in [false, true] {
            let (host, topic) = host(["a", "a"] + (0..<20).map { "b\($0)" }, runLength: 2)
            host.createTopic("out")
            host.subscribe(name: "other")
            let consumer = host.open(1).id
            host.maximumGroupBytes = 512
            func ack(_ offset: Offset) {
                let command = SettleCommand(
                    consumer: consumer, verb: .ack, ranges: host.tokens([offset]), delayNanos: nil,
                    reason: "", code: "")
                host.send(.settle(host.request(), command))
            }
            if holdsBack {
                // A subscription begins in no group that may release messages before it.
                host.send(.deleteSubscription(host.request(), name: "other"))
                host.send(
                    .createSubscription(
                        host.request(), name: "new", topic: "t", SubscriptionSettings()))
            } else {
                // More than a group takes, and a batch that has room in none with any of these.
                for offset in 2..<22 as Range<Offset> { ack(offset) }
            }
            ack(0)
            let request = host.request()
            let out = host.publishCommand(topic, 0, 10, bytes: 100)
            host.send(
                .atomic(
                    request,
                    AtomicCommand(
                        transaction: TransactionID(rawValue: 9),
                        publishes: [AtomicPublish(topic: "out", batch: out.batch, count: 10)],
                        settlements: [
                            AtomicSettlement(
                                subscription: "s", session: SessionID(rawValue: 1), verb: .ack,
                                ranges: host.tokens([1]), reason: "")
                        ])))
            #expect(host.reply(request) == nil, "on its way")
            var groups = 0
            while host.reply(request) == nil, groups < 100 {
                // Others' verdicts go on coming.
                if !holdsBack { ack(21) }
                host.gather()
                host.sync()
                groups += 1
                #expect(host.state(1) != .acked || host.state(0) == .acked, "group \(groups)")
            }
            #expect(host.reply(request).failure == nil)
            #expect(host.state(1) == .acked && groups < 12)
            host.settle()
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test("A message in a refused atomic request comes back with an earlier one of its key")
    func refusedBehindRetry() {
        let (host, _) = host(["a", "a", "b"], runLength: 2)
        let consumer = host.open(1).id
        _ = host.takeDeliveries()
        // Its group has the hand-outs too.
        host.settle(consumer, .ack, host.tokens([2]))
        let request = host.request()
        host.send(
            .atomic(
                request,
                AtomicCommand(
                    transaction: TransactionID(rawValue: 9),
                    settlements: [
                        AtomicSettlement(
                            subscription: "s", session: SessionID(rawValue: 1), verb: .release,
                            ranges: host.tokens([1]), reason: "")
                    ])))
        let retry = SettleCommand(
            consumer: consumer, verb: .retry, ranges: host.tokens([0]), delayNanos: 0, reason: "",
            code: "")
        host.send(.settle(host.request(), retry))
        // The retry goes first, and leaves no room.
        host.maximumGroupBytes = 1
        host.gather()
        host.sync()
        #expect(host.reply(request) == nil, "on its way")
        host.maximumGroupBytes = 1 << 20
        host.gather()
        host.refuse(Failure(.resourceExhausted, .diskFull, "full"))
        host.settle()
        #expect(host.reply(request).reason == .diskFull)
        #expect(host.settle(consumer, .ack, host.tokens([1]))?.accepted == 0)
        host.advance(1_000_000_000)
        #expect(host.takeDeliveries().map(\.offset) == [0, 1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A verdict before its predecessor's is refused, and its token stays good")
    func verdictsInOrder() {
        let (host, _) = host(["a", "a", "b"])
        let consumer = host.open(1)
        #expect(offsets(host) == [0, 1, 2])
        #expect(
            host.settle(consumer.id, .ack, host.tokens([1]))?.rejected.map(\.reason)
                == [.outOfOrder])
        #expect(host.settle(consumer.id, .ack, host.tokens([2]))?.accepted == 1)
        #expect(host.settle(consumer.id, .ack, host.tokens([0, 1]))?.accepted == 2)
    }

    @Test("A retry takes the later ones of its key along, with nothing spent")
    func supersededByRetry() {
        let (host, _) = host(["a", "a", "a", "b"])
        let consumer = host.open(1)
        #expect(offsets(host) == [0, 1, 2, 3])
        host.settle(consumer.id, .retry, host.tokens([0]), delay: 5 * second)
        #expect(
            host.settle(consumer.id, .ack, host.tokens([1]))?.rejected.map(\.reason) == [.stale])
        #expect(offsets(host).isEmpty, "nothing of the key before its first")
        host.advance(5 * second)
        let again = host.takeDeliveries()
        #expect(again.map(\.offset) == [0, 1, 2])
        #expect(again.map(\.failed) == [1, 0, 0])
        #expect(again.map(\.handout) == [2, 2, 2])
    }

    @Test("A release gives back the later ones too, and the order stays")
    func supersededByRelease() {
        let (host, _) = host(["a", "a", "a"])
        let consumer = host.open(1)
        _ = host.takeDeliveries()
        host.settle(consumer.id, .release, host.tokens([1]))
        #expect(offsets(host) == [1, 2])
        #expect(host.settle(consumer.id, .ack, host.tokens([0]))?.accepted == 1)
        #expect(
            host.settle(consumer.id, .ack, host.tokens([1, 2], handout: 2))?.accepted == 2)
    }

    @Test("After a death those behind go on")
    func goOn() {
        let (host, _) = host(["a", "a"])
        let consumer = host.open(1)
        _ = host.takeDeliveries()
        host.settle(consumer.id, .fail, host.tokens([0]), reason: "no")
        #expect(offsets(host) == [1])
        guard case .dead? = host.state(0) else {
            Issue.record("it is \(String(describing: host.state(0)))")
            return
        }
    }

    @Test("A dead message holds its key where the policy says so, also across a restart")
    func hold() {
        for isCheckpointed in [false, true] {
            let host = BrokerHost()
            let topic = host.createTopic()
            var settings = SubscriptionSettings()
            settings.order = OrderPolicy(runLength: 2, afterDeath: .hold)
            host.subscribe(settings)
            host.publish(topic, 0, keys: ["a", "b", "a"])
            let consumer = host.open(1)
            #expect(offsets(host) == [0, 1, 2])
            host.settle(consumer.id, .fail, host.tokens([0]), reason: "no")
            host.publish(topic, 3, keys: ["a", "b"])
            #expect(offsets(host) == [4], "nothing of the held key")
            if isCheckpointed {
                host.machine.beginCheckpoint()
                host.settle()
            }
            host.crash()
            host.advance(11 * second)
            host.open(2)
            #expect(offsets(host) == [1, 4])
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test("A redriven message waits until its key is idle, and goes before those that wait")
    func redriven() {
        let (host, topic) = host(["a", "a", "a", "a", "a", "b"], runLength: 2)
        let consumer = host.open(1).id
        #expect(offsets(host) == [0, 1, 5])
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(offsets(host) == [1, 2])
        host.settle(consumer, .fail, host.tokens([1], handout: 2))
        #expect(offsets(host) == [2, 3])
        // Two of the key are out: neither goes before both are done with.
        host.ask { .redrive($0, subscription: "s", [0..<2], note: "") }
        host.open(2)
        #expect(offsets(host).isEmpty)
        host.settle(consumer, .ack, host.tokens([2], handout: 2))
        #expect(offsets(host).isEmpty)
        host.publish(topic, 6, keys: ["a"])
        #expect(offsets(host).isEmpty)
        host.settle(consumer, .ack, host.tokens([3]))
        #expect(offsets(host) == [0, 1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("A redriven message waits for verdicts on their way, and goes before what came back")
    func redrivenBehindVerdict() {
        let (host, _) = host(["a", "a", "b"])
        let first = host.open(1).id
        host.settle(first, .fail, host.tokens([0]))
        let other = host.open(2).id
        #expect(offsets(host) == [0, 1, 2, 1])
        // It is read only when the retry is on its way.
        host.answersReads = false
        host.ask { .redrive($0, subscription: "s", [0..<1], note: "") }
        let retry = SettleCommand(
            consumer: first, verb: .retry, ranges: host.tokens([1], handout: 2),
            delayNanos: 5 * second, reason: "", code: "")
        host.send(.settle(host.request(), retry))
        host.gather()
        host.answersReads = true
        host.answerReads()
        #expect(offsets(host).isEmpty, "the first has it until the retry is durable")
        host.refuse(Failure(.unavailable, .overloaded, "for now"))
        #expect(offsets(host).isEmpty)
        host.advance(2 * second)
        #expect(offsets(host) == [0])
        host.advance(6 * second)
        for consumer in [first, other] {
            host.settle(consumer, .ack, host.tokens([0], handout: 2))
        }
        #expect(offsets(host) == [1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("What an atomic request named and kept is settled before one that was redriven")
    func redrivenBehindAtomic() {
        let (host, _) = host(["a", "a"])
        let consumer = host.open(1).id
        host.settle(consumer, .fail, host.tokens([0]))
        _ = host.takeDeliveries()
        host.ask { .redrive($0, subscription: "s", [0..<1], note: "") }
        let settlement = AtomicSettlement(
            subscription: "s", session: SessionID(rawValue: 1), verb: .ack,
            ranges: host.tokens([1], handout: 2))
        let command = AtomicCommand(
            transaction: TransactionID(rawValue: 7), settlements: [settlement])
        host.send(.atomic(host.request(), command))
        host.gather()
        host.refuse(Failure(.resourceExhausted, .diskFull, "the disk is full"))
        #expect(offsets(host).isEmpty)
        host.advance(2 * second)
        #expect(host.settle(consumer, .ack, host.tokens([1], handout: 2))?.accepted == 1)
        #expect(offsets(host) == [0])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("The check knows how long a run may be, also after an update to shorter runs")
    func runIsChecked() {
        let (host, _) = host(["a", "a", "a", "a", "a"])
        let consumer = host.open(1).id
        #expect(offsets(host) == [0, 1, 2])
        var change = SubscriptionChange()
        change.runLength = 2
        host.ask { .updateSubscription($0, name: "s", change) }
        #expect(host.machine.checkInvariants() == nil, "three were out before")
        host.settle(consumer, .ack, host.tokens([0]))
        #expect(offsets(host).isEmpty)
        host.settle(consumer, .ack, host.tokens([1]))
        #expect(offsets(host) == [3])
        #expect(host.machine.checkInvariants() == nil)
        guard let subscription = host.machine.directory.subscription(named: "s"),
            let lane = subscription.order?.laneOf[3],
            let holder = subscription.leases.holder(lane.holder)
        else {
            Issue.record("the key has no lane")
            return
        }
        // One more than may be out.
        lane.front.append(4)
        subscription.order?.note(4, in: lane)
        host.machine.laneHandedOut(4, holder, lane, subscription)
        #expect(host.machine.checkInvariants()?.contains("3 of a key are out") == true)
    }

    @Test("Messages without a key go in any order")
    func noKey() {
        let (host, topic) = host(["a"])
        let consumer = host.open(1)
        host.publish(topic, 1, 3)
        #expect(offsets(host) == [0, 1, 2, 3])
        #expect(host.settle(consumer.id, .ack, host.tokens([3, 2]))?.accepted == 2)
        host.settle(consumer.id, .release, host.tokens([1]))
        #expect(offsets(host) == [1])
    }

    @Test("What was passed over keeps its place across a restart, with and without a checkpoint")
    func restart() {
        for isCheckpointed in [false, true] {
            let (host, topic) = host(["a", "a", "b", "a", "a", "c"], runLength: 2)
            let first = host.open(1)
            #expect(offsets(host) == [0, 1, 2, 5])
            host.settle(first.id, .ack, host.tokens([2]))
            if isCheckpointed {
                host.machine.beginCheckpoint()
                host.settle()
            }
            host.crash()
            let back = host.open(1, claims: host.tokens([0, 1], epoch: 1))
            #expect(back.held.map(\.first) == [0])
            host.publish(topic, 6, keys: ["a", "d"])
            #expect(offsets(host) == [7], "the key waits for its run, another one does not")
            #expect(host.settle(back.id, .ack, host.tokens([0, 1]))?.accepted == 2)
            host.advance(11 * second)
            #expect(offsets(host) == [3, 4, 5])
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test("A poisoned key dies alone and the rest of the key goes on in order")
    func poison() {
        let (host, _) = host(["a", "a", "b", "a"])
        for session in 1...10 as ClosedRange<UInt128> {
            let consumer = host.open(session)
            let handed = host.takeDeliveries()
            if handed.contains(where: { $0.offset == 0 }) {
                host.send(.disconnected(consumer.id))
                host.advance(11 * second)
                continue
            }
            for item in handed {
                host.settle(consumer.id, .ack, host.tokens([item.offset], handout: item.handout))
            }
            _ = host.ask { .closeConsumer($0, consumer.id) }
        }
        guard case .dead(let letter)? = host.state(0) else {
            Issue.record("it is \(String(describing: host.state(0)))")
            return
        }
        #expect(letter.cause == .abandoned)
        #expect([1, 2, 3].allSatisfy { host.state($0) == .acked })
    }

    @Test("A suspect waits for a redriven message of its key that another session has")
    func suspectBehindRedriven() {
        let (host, topic) = host(["a", "a"])
        let poisoned = host.open(1).id
        host.settle(poisoned, .fail, host.tokens([0]))
        // Two more are busy with a message each.
        let second = host.open(2, messages: 2).id
        let third = host.open(3, messages: 2).id
        host.send(.setLimit(poisoned, ConsumerLimit(messages: 0, bytes: 0)))
        host.publish(topic, 2, keys: ["c"])
        host.publish(topic, 3, keys: ["d"])
        _ = host.takeDeliveries()
        host.send(.disconnected(poisoned))
        host.advance(11 * 1_000_000_000)
        #expect(offsets(host).isEmpty, "nobody is free for a suspect")
        host.ask { .redrive($0, subscription: "s", [0..<1], note: "") }
        #expect(offsets(host) == [0])
        host.settle(second, .ack, host.tokens([2]))
        host.settle(third, .ack, host.tokens([3]))
        #expect(offsets(host).isEmpty, "its key is with another")
        for consumer in [second, third] {
            host.settle(consumer, .ack, host.tokens([0], handout: 2))
        }
        #expect(offsets(host) == [1])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test("One stuck key costs others nothing within the window, which it fills at last")
    func windowFull() {
        let (host, topic) = host(["a"], runLength: 1, maximumUnsettled: 10)
        let consumer = host.open(1)
        #expect(offsets(host) == [0])
        for number in 0..<12 as Range<UInt64> {
            host.publish(topic, 1 + 2 * number, keys: ["a", "b\(number)"])
            for offset in offsets(host) {
                host.settle(consumer.id, .ack, host.tokens([offset]))
            }
        }
        let info = host.machine.subscription(named: "s")
        #expect(info?.isWindowFull == true)
        #expect(host.settle(consumer.id, .ack, host.tokens([0]))?.accepted == 1)
        #expect(offsets(host).contains(1))
    }

    @Test("What waited behind a stuck key comes in order, though its chunks had shrunk")
    func stuckKeyGoesOn() {
        var configuration = BrokerConfiguration(seed: 7)
        configuration.repeatChunks = 0
        let host = BrokerHost(configuration)
        let topic = host.createTopic()
        var settings = SubscriptionSettings()
        settings.order = OrderPolicy(runLength: 4)
        host.subscribe(settings)
        let consumer = host.open(1)
        let keys = (0..<2_000).map { $0 % 3 == 0 ? "other\($0)" : "stuck" }
        for base in stride(from: 0, to: 2_000, by: 500) {
            host.publish(topic, UInt64(base), keys: Array(keys[base..<base + 500]))
        }
        var held: [Offset] = []
        while case let came = offsets(host), !came.isEmpty {
            held += came.filter { keys[Int($0)] == "stuck" }
            let others = came.filter { keys[Int($0)] != "stuck" }
            host.settle(consumer.id, .ack, host.tokens(others))
        }
        #expect(held == [1, 2, 4, 5])
        #expect(host.machine.checkInvariants() == nil)
        var came = held
        while !held.isEmpty {
            host.settle(consumer.id, .ack, host.tokens(held))
            held = offsets(host)
            came += held
            #expect(came.count % 400 != 0 || host.machine.checkInvariants() == nil)
        }
        #expect(came == keys.indices.filter { keys[$0] == "stuck" }.map { Offset($0) })
        #expect(host.machine.subscription(named: "s")?.backlog == 0)
        #expect(host.machine.checkInvariants() == nil)
    }
}
