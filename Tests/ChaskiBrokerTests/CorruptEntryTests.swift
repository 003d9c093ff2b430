import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct CorruptEntryTests {
    /// Groups with entries and sections of every kind.
    private func journal() -> [JournalGroup] {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.subscribe()
        let consumer = host.open(1).id
        host.publish(topic, 0, 20)
        host.settle(consumer, .fail, host.tokens([3]), reason: "bad")
        host.settle(consumer, .retry, host.tokens([4]), delay: second)
        host.settle(consumer, .extend, host.tokens([5]))
        host.settle(consumer, .ack, host.tokens([0, 1, 7]))
        host.send(.closeConsumer(host.request(), consumer))
        host.settle()
        host.machine.beginCheckpoint()
        host.settle()
        return host.journal
    }

    @Test func `Entries with changed bytes stop the replay or are harmless, and never trap`() {
        let groups = journal()
        var random = Random(5)
        for _ in 0..<1_500 {
            let machine = NamespaceMachine(configuration: BrokerConfiguration(seed: 1))
            let victim = random.next(groups.reduce(0) { $0 + $1.entries.count })
            var number = 0
            for group in groups {
                for var entry in group.entries {
                    if number == victim, entry.kind != .batch {
                        var body = Array(entry.body)
                        switch random.next(3) {
                        case 0: body[random.next(body.count)] = UInt8(random.next(256))
                        case 1: body.removeLast(random.next(body.count))
                        default: body.append(UInt8(random.next(256)))
                        }
                        entry.body = body[...]
                    }
                    number += 1
                    machine.replay(entry, time: group.time)
                }
            }
            machine.recovered(epoch: 9, now: Now(clock: 1 << 40, wall: 0))
        }
    }

    @Test func `A fenced namespace answers every command with why`() {
        let machine = NamespaceMachine(configuration: BrokerConfiguration(seed: 1))
        machine.replay(JournalEntry(kind: .state, body: [99, 1]), time: Now(clock: 0, wall: 0))
        machine.recovered(epoch: 1, now: Now(clock: 1, wall: 1))
        var effects: [Effect] = []
        machine.handle(
            .deleteTopic(RequestID(rawValue: 1), name: "t"), now: Now(clock: 1, wall: 1),
            effects: &effects)
        guard case .reply(_, .failure(let failure))? = effects.first else {
            Issue.record("no answer")
            return
        }
        #expect(failure.reason == .damaged)
        #expect(machine.replayFailure == failure)
    }
}
