import ChaskiBroker
import ChaskiModel
import ChaskiRecords
import Testing

/// Atomic requests: P5 over several topics, and with verdicts.
@Suite struct AtomicTests {
    /// Topics "in", "out" and "log", a subscription on the first, and a consumer that holds its
    /// messages.
    private func host(
        _ change: (inout BrokerConfiguration) -> Void = { _ in }
    ) -> (host: BrokerHost, consumer: ConsumerID) {
        var configuration = BrokerConfiguration(seed: 5)
        change(&configuration)
        let host = BrokerHost(configuration)
        let input = host.createTopic("in")
        host.createTopic("out")
        host.createTopic("log", TopicSettings(dedupWindowNanos: 60 * second))
        host.subscribe(topic: "in")
        host.publish(input, 0, 4)
        let consumer = host.open(1).id
        #expect(host.takeDeliveries().count == 4)
        return (host, consumer)
    }

    private func publish(_ topic: String, _ ids: [String?], text: String? = nil) -> AtomicPublish {
        let command = BrokerHost.anyBatch(ids: ids, text: text)
        return AtomicPublish(topic: topic, batch: command.batch, count: command.count)
    }

    private func settle(
        _ host: BrokerHost, _ verb: Verb, _ offsets: [Offset], handout: UInt32 = 1,
        session: UInt128 = 1
    ) -> AtomicSettlement {
        AtomicSettlement(
            subscription: "s", session: SessionID(rawValue: session), verb: verb,
            ranges: host.tokens(offsets, handout: handout), reason: "why")
    }

    private func end(_ host: BrokerHost, _ topic: String) -> Offset? {
        host.machine.topic(named: topic)?.nextOffset
    }

    @Test func `Consume, transform, produce is one step, through restarts and resends`() {
        let (host, _) = host()
        let command = AtomicCommand(
            transaction: TransactionID(rawValue: 9),
            publishes: [publish("out", ["a"]), publish("log", ["l", "l"]), publish("out", [nil])],
            settlements: [settle(host, .ack, [0, 1]), settle(host, .fail, [2])])
        let answer = host.ask { .atomic($0, command) }
        #expect(answer.atomic?.map(\.baseOffset) == [0, 0, 1])
        #expect(answer.atomic?[1].duplicates == [DuplicateMember(index: 1, offset: 0)])
        #expect(host.state(0) == .acked && host.state(1) == .acked)
        #expect(host.isDead(2))
        // All in one group.
        let group = host.journal.last { $0.entries.contains { $0.kind == .batch } }
        #expect(group?.entries.filter { $0.kind == .batch }.count == 3)
        for round in 0..<3 {
            let again = host.ask { .atomic($0, command) }
            #expect(again.atomic == answer.atomic, "round \(round)")
            #expect(end(host, "out") == 2 && end(host, "log") == 1)
            if round == 1 {
                host.machine.beginCheckpoint()
                host.settle()
            }
            host.crash()
        }
        #expect(host.state(0) == .acked && host.isDead(2))
        // Past the window it would be another request, whose tokens are stale.
        host.advance(host.configuration.transactionWindowNanos)
        #expect(host.ask { .atomic($0, command) }.reason == .stale)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A stale token, a conflict, an unknown topic or a full one fails the whole`() throws
    {
        let (host, consumer) = host()
        host.createTopic("small", TopicSettings(maximumBytes: 200))
        _ = host.ask {
            .atomic(
                $0,
                AtomicCommand(
                    transaction: TransactionID(rawValue: 1), publishes: [publish("log", ["k"])]))
        }
        var transaction: UInt128 = 1
        func attempt(
            _ publishes: [AtomicPublish], _ settlements: [AtomicSettlement]
        ) -> Failure? {
            transaction += 1
            let command = AtomicCommand(
                transaction: TransactionID(rawValue: transaction), publishes: publishes,
                settlements: settlements)
            return host.ask { .atomic($0, command) }.failure
        }
        let good = publish("out", ["a"])
        let acks = settle(host, .ack, [0, 1])
        #expect(attempt([good, publish("no", [nil])], [acks])?.reason == .unknownTopic)
        let stale = attempt([good], [acks, settle(host, .ack, [3], handout: 2)])
        #expect(stale?.reason == .stale)
        #expect(stale?.message.contains("verdict 1") == true)
        #expect(attempt([good], [acks, settle(host, .ack, [1])])?.reason == .alreadySettled)
        let conflict = attempt([good, publish("log", ["k"], text: "other")], [acks])
        #expect(conflict?.reason == .dedupConflict)
        let full = attempt([good, publish("small", [nil, nil]), publish("small", [nil])], [acks])
        #expect(full?.reason == .topicFull)
        #expect(attempt([good], [settle(host, .ack, [0], session: 2)])?.reason == .stale)
        #expect(attempt([good], [settle(host, .extend, [0])])?.reason == .protocolError)
        #expect(attempt([], [])?.reason == .protocolError)
        #expect(attempt([AtomicPublish](repeating: good, count: 65), [])?.reason == .tooMany)
        #expect(end(host, "out") == 0 && end(host, "log") == 1 && end(host, "small") == 0)
        // The deliveries are held as before.
        #expect(try #require(host.settle(consumer, .ack, host.tokens([0, 1, 2, 3]))).accepted == 4)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Refused by storage, nothing of it is done and all can be done again`() {
        let (host, consumer) = host()
        let command = AtomicCommand(
            transaction: TransactionID(rawValue: 9), publishes: [publish("log", ["a"])],
            settlements: [settle(host, .ack, [0])])
        let requests = [host.request(), host.request()]
        host.send(.atomic(requests[0], command))
        host.gather()
        host.send(.atomic(requests[1], command))
        // A rival verdict on what is on its way is refused, and not waited for.
        let rival = host.request()
        host.send(
            .settle(
                rival, SettleCommand(consumer: consumer, verb: .ack, ranges: host.tokens([1, 0]))))
        host.refuse(Failure(.resourceExhausted, .diskFull, "full"))
        host.settle()
        #expect(requests.allSatisfy { host.reply($0).reason == .diskFull })
        guard case .success(.settled(1, let rejected))? = host.reply(rival) else {
            Issue.record("the rival was answered \(String(describing: host.reply(rival)))")
            return
        }
        #expect(rejected.map(\.offset) == [0] && rejected.first?.reason == .alreadySettled)
        #expect(host.ask { .atomic($0, command) }.atomic?.map(\.baseOffset) == [0])
        #expect(host.state(0) == .acked)
        #expect(host.machine.checkInvariants() == nil)
    }

    /// A request that acknowledges a message and publishes one, on its way to the disk.
    @discardableResult
    private func gatherAck(_ host: BrokerHost) -> RequestID {
        let request = host.request()
        let command = AtomicCommand(
            transaction: TransactionID(rawValue: 9), publishes: [publish("out", [nil])],
            settlements: [settle(host, .ack, [0])])
        host.send(.atomic(request, command))
        host.gather()
        return request
    }

    @Test func `A lease that runs out while the request waits is not lost when it is refused`() {
        let (host, consumer) = host()
        gatherAck(host)
        host.pause(31 * second)
        host.fire()
        host.pause(4 * second)
        host.fire()
        host.refuse(Failure(.resourceExhausted, .diskFull, "full"))
        var again: Set<Offset> = []
        for _ in 0..<8 {
            host.advance(second)
            host.settle()
            for handed in host.takeDeliveries() {
                again.insert(handed.offset)
                host.settle(consumer, .ack, host.tokens([handed.offset], handout: handed.handout))
            }
        }
        #expect(again == [0, 1, 2, 3])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Refused while its session is away, its messages wait for the session`() {
        for comesBack in [true, false] {
            let (host, consumer) = host()
            let request = gatherAck(host)
            host.send(.disconnected(consumer))
            host.refuse(Failure(.resourceExhausted, .diskFull, "full"))
            host.settle()
            #expect(host.reply(request).reason == .diskFull)
            let other = host.open(2)
            #expect(host.takeDeliveries().isEmpty)
            if comesBack {
                let back = host.open(1, claims: host.tokens([0, 1, 2, 3]))
                #expect(back.held.reduce(0) { $0 + $1.count } == 4)
                #expect(host.settle(back.id, .ack, host.tokens([0, 1, 2, 3]))?.accepted == 4)
            } else {
                host.advance(11 * second)
                #expect(host.takeDeliveries().map(\.consumer).contains(other.id))
            }
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test func `What goes with its topic or subscription fails whole`() {
        let (host, _) = host()
        let requests = [host.request(), host.request()]
        host.send(
            .atomic(
                requests[0],
                AtomicCommand(
                    transaction: TransactionID(rawValue: 1),
                    publishes: [publish("log", ["z"]), publish("out", [nil])],
                    settlements: [settle(host, .ack, [0])])))
        host.send(.deleteTopic(host.request(), name: "out"))
        #expect(host.reply(requests[0]).reason == .unknownTopic)
        host.send(
            .atomic(
                requests[1],
                AtomicCommand(
                    transaction: TransactionID(rawValue: 2), publishes: [publish("log", ["z"])],
                    settlements: [settle(host, .ack, [0])])))
        host.send(.deleteSubscription(host.request(), name: "s"))
        host.settle()
        #expect(host.reply(requests[1]).reason == .unknownSubscription)
        #expect(end(host, "log") == 0)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A full table pushes back`() throws {
        let (host, _) = host { $0.maximumTransactionParts = 4 }
        func attempt(_ transaction: UInt128) -> Result<Reply, Failure>? {
            host.ask {
                .atomic(
                    $0,
                    AtomicCommand(
                        transaction: TransactionID(rawValue: transaction),
                        publishes: [publish("out", [nil])]))
            }
        }
        #expect(attempt(1).atomic != nil && attempt(2).atomic != nil)
        let refused = try #require(attempt(3).failure)
        #expect(refused.reason == .transactionsFull && refused.retryAfterNanos != nil)
        #expect(attempt(2).atomic?.first?.baseOffset == 1)
        host.advance(host.configuration.transactionWindowNanos)
        #expect(attempt(3).atomic?.first?.baseOffset == 2)
        #expect(host.machine.checkInvariants() == nil)
    }
}

extension BrokerHost {
    func isDead(_ offset: Offset) -> Bool {
        if case .dead? = state(offset) { true } else { false }
    }

    /// A batch for any topic, as `publishCommand` makes them.
    static func anyBatch(ids: [String?], text: String?) -> PublishCommand {
        BrokerHost().publishCommand(TopicID(rawValue: 1), 0, ids: ids, text: text)
    }
}

extension Result<Reply, Failure>? {
    var atomic: [AtomicPublished]? {
        if case .success(.atomic(let published, _))? = self { published } else { nil }
    }
}
