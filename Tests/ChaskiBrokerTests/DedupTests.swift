import ChaskiBroker
import ChaskiModel
import ChaskiRecords
import Testing

/// Dedup ids: U1 to U4.
@Suite struct DedupTests {
    private static let settings = TopicSettings(dedupWindowNanos: 10 * second)

    private func host(maximum: Int = 1_000) -> (BrokerHost, TopicID) {
        var configuration = BrokerConfiguration(seed: 3)
        configuration.maximumDedupIDs = maximum
        let host = BrokerHost(configuration)
        return (host, host.createTopic("t", Self.settings))
    }

    @Test func `An id seen within its window is the message stored before, through a restart`() {
        let (host, topic) = host()
        #expect(host.publish(topic, 0, ids: ["a", "b"]).published?.offset == 0)
        #expect(host.publish(topic, 2, ids: [nil, "c"]).published?.offset == 2)
        let again = host.publish(topic, 0, ids: ["b"], producer: 2)
        #expect(again.duplicates == [DuplicateMember(index: 0, offset: 1)])
        #expect(again.published?.offset == 1)
        host.crash()
        #expect(host.publish(topic, 1, ids: ["c"], producer: 2).published?.offset == 3)
        host.machine.beginCheckpoint()
        host.settle()
        host.crash()
        #expect(host.publish(topic, 2, ids: ["a"], producer: 2).published?.offset == 0)
        #expect(host.machine.topic(named: "t")?.nextOffset == 4)
        host.advance(10 * second)
        #expect(host.publish(topic, 3, ids: ["a"], producer: 2).duplicates == [])
        #expect(host.machine.topic(named: "t")?.nextOffset == 5)
    }

    @Test func `New members of a batch with duplicates are stored without a gap`() throws {
        let (host, topic) = host()
        host.publish(topic, 0, ids: ["a", "b"])
        let mixed = host.publish(topic, 2, ids: ["x", "a", nil, "b", "y", "x"])
        #expect(
            mixed.duplicates == [
                DuplicateMember(index: 1, offset: 0), DuplicateMember(index: 3, offset: 1),
                DuplicateMember(index: 5, offset: 2),
            ])
        #expect(mixed.published?.offset == 2)
        #expect(host.machine.topic(named: "t")?.nextOffset == 5)
        let stored = try #require(host.journal.last?.entries.last { $0.kind == .batch })
        let view = try RecordBatchView(
            validating: stored.body, limits: RecordBatchLimits(), origin: .delivered)
        #expect(view.count == 3)
        let records = try (0..<3).map { try view.record(at: $0) }
        #expect(records.map(\.offset) == [2, 3, 4])
        let ids = records.map { $0.dedupID.map { String(decoding: $0, as: UTF8.self) } }
        #expect(ids == ["x", nil, "y"])
        #expect(records.map { Array($0.payload) } == [Array("x".utf8), [], Array("y".utf8)])
        // A resend by sequence gets the same answer, also from what a restart knows.
        for _ in 0..<2 {
            let resent = host.publish(topic, 2, ids: ["x", "a", nil, "b", "y", "x"])
            #expect(resent.duplicates == mixed.duplicates)
            #expect(resent.published?.offset == 2)
            #expect(resent.published?.duplicate == true)
            host.machine.beginCheckpoint()
            host.settle()
            host.crash()
        }
    }

    @Test func `A duplicate of one in flight waits for its outcome`() {
        let (host, topic) = host()
        let first = host.request()
        host.send(.publish(first, host.publishCommand(topic, 0, ids: ["a"])))
        host.gather()
        let second = host.request()
        let command = host.publishCommand(topic, 0, ids: ["a"], producer: 2)
        host.send(.publish(second, command))
        #expect(host.reply(second) == nil)
        host.refuse(Failure(.resourceExhausted, .diskFull, "full"))
        host.settle()
        #expect(host.reply(first).reason == .diskFull)
        #expect(host.reply(second).reason == .diskFull)
        let both = [host.request(), host.request()]
        host.send(.publish(both[0], host.publishCommand(topic, 0, ids: ["a"])))
        host.send(.publish(both[1], host.publishCommand(topic, 0, ids: ["a"], producer: 2)))
        host.settle()
        #expect(both.map { host.reply($0).published?.offset } == [0, 0])
        #expect(host.machine.topic(named: "t")?.nextOffset == 1)
    }

    @Test func `One conflict fails the whole batch and what its producer sent behind it`() {
        let (host, topic) = host()
        host.publish(topic, 0, ids: ["a"])
        let requests = (0..<3).map { _ in host.request() }
        host.send(.publish(requests[0], host.publishCommand(topic, 1, ids: ["n"])))
        let conflict = host.publishCommand(topic, 2, ids: ["m", "a"], text: "other")
        host.send(.publish(requests[1], conflict))
        host.send(.publish(requests[2], host.publishCommand(topic, 4, ids: ["o"])))
        host.settle()
        #expect(host.reply(requests[0]).published?.offset == 1)
        #expect(host.reply(requests[1]).reason == .dedupConflict)
        #expect(host.reply(requests[2]).reason == .afterRefused)
        #expect(host.publish(topic, 4, ids: ["o"]).reason == .afterRefused)
        #expect(host.publish(topic, 2, ids: ["m", "o"]).published?.offset == 2)
        #expect(host.publish(topic, 0, ids: ["q", "q"], producer: 2).duplicates?.count == 1)
        let own = host.publishCommand(topic, 2, ids: ["r", "r"], producer: 2, texts: ["1", "2"])
        #expect(host.ask { .publish($0, own) }.reason == .dedupConflict)
        #expect(host.machine.topic(named: "t")?.nextOffset == 5)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A full table pushes back and forgets nothing`() throws {
        let (host, topic) = host(maximum: 3)
        host.publish(topic, 0, ids: ["a", "b"])
        host.advance(second)
        host.publish(topic, 2, ids: ["c"])
        let refused = try #require(host.publish(topic, 3, ids: ["d"]).failure)
        #expect(refused.reason == .dedupFull)
        #expect(refused.retryAfterNanos == 9 * second)
        // Duplicates, and messages without an id, are answered.
        #expect(host.publish(topic, 3, ids: ["a", "c"]).published?.offset == 0)
        #expect(host.publish(topic, 5, ids: [nil]).published?.offset == 3)
        host.advance(9 * second)
        #expect(host.publish(topic, 6, ids: ["d", "e"]).published?.offset == 4)
        #expect(host.publish(topic, 8, ids: ["c"]).duplicates?.first?.offset == 2)
        #expect(host.publish(topic, 9, ids: ["f"]).reason == .dedupFull)
        host.crash()
        #expect(host.publish(topic, 9, ids: ["f"]).reason == .dedupFull)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Topics that do not remember ids carry them; a new incarnation knows none`() {
        let host = BrokerHost()
        let plain = host.createTopic("plain")
        #expect(host.publish(plain, 0, ids: ["a"]).published?.offset == 0)
        #expect(host.publish(plain, 1, ids: ["a"]).published?.offset == 1)
        let old = host.createTopic("t", Self.settings)
        host.publish(old, 0, ids: ["a"])
        _ = host.ask { .deleteTopic($0, name: "t") }
        let new = host.createTopic("t", Self.settings)
        #expect(host.publish(new, 0, ids: ["a"]).duplicates == [])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Windows that are too short or too long are refused`() {
        let host = BrokerHost()
        for window in [0, second - 1, 86_401 * second, .min] {
            let result = host.ask {
                .createTopic($0, name: "t", TopicSettings(dedupWindowNanos: window))
            }
            #expect(result.reason == .invalidSetting, "\(window)")
        }
    }

    @Test func `An idle topic gives its memory back when its newest id is past its window`() {
        let (host, topic) = host()
        host.publish(topic, 0, ids: ["a", "b"])
        #expect(host.machine.dedupIDs == 2)
        host.advance(11 * second)
        #expect(host.machine.dedupIDs == 0)
        #expect(host.machine.nextTimerNanos == nil)
        host.crash()
        #expect(host.machine.dedupIDs == 0)
    }
}

extension BrokerHost {
    /// A batch of messages with these dedup ids; each one's payload is `texts`, `text` or its id.
    func publishCommand(
        _ topic: TopicID, _ base: UInt64, ids: [String?], producer: UInt128 = 1,
        text: String? = nil, texts: [String] = []
    ) -> PublishCommand {
        var builder = RecordBatchBuilder()
        for (place, id) in ids.enumerated() {
            let payload = texts.isEmpty ? text ?? id ?? "" : texts[place]
            let message = Message(Array(payload.utf8), dedupID: id.map { Array($0.utf8) })
            do {
                try builder.append(message: message)
            } catch {
                preconditionFailure("a small message fits: \(error)")
            }
        }
        return PublishCommand(
            topic: topic, producer: ProducerID(rawValue: producer), producerEpoch: 0,
            baseSequence: base, batch: builder.finish()[...], count: UInt32(ids.count))
    }

    @discardableResult
    func publish(
        _ topic: TopicID, _ base: UInt64, ids: [String?], producer: UInt128 = 1
    ) -> Result<Reply, Failure>? {
        let command = publishCommand(topic, base, ids: ids, producer: producer)
        return ask { .publish($0, command) }
    }
}

extension Result<Reply, Failure>? {
    var duplicates: [DuplicateMember]? {
        if case .success(.published(_, _, _, let list))? = self { list } else { nil }
    }
}
