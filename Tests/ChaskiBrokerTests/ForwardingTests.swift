import ChaskiBroker
import ChaskiModel
import ChaskiRecords
import Testing

@Suite struct ForwardingTests {
    private var settings: SubscriptionSettings {
        var settings = SubscriptionSettings(
            retry: RetryPolicy(minimumBackoffNanos: 0, maximumFailures: 2))
        settings.deadLetters.forwardTo = "dead"
        return settings
    }

    /// A host with messages handed out to one consumer, and a topic for the dead.
    private func host(
        _ count: Int = 4, _ change: (inout SubscriptionSettings) -> Void = { _ in },
        _ configuration: BrokerConfiguration = BrokerConfiguration(seed: 7)
    ) -> (host: BrokerHost, consumer: ConsumerID, dead: TopicID) {
        let host = BrokerHost(configuration)
        let topic = host.createTopic()
        let dead = host.createTopic("dead")
        var settings = settings
        change(&settings)
        host.subscribe(settings)
        if count > 0 { host.publish(topic, 0, keys: (0..<count).map { "key \($0)" }) }
        let consumer = host.open(1).id
        #expect(host.takeDeliveries().count == count)
        return (host, consumer, dead)
    }

    /// The messages of a topic that are durable, by offset.
    private func log(_ host: BrokerHost, _ topic: TopicID) -> [(offset: Offset, Message)] {
        let read = ReadRequest(
            id: ReadID(rawValue: 1 << 40), topic: topic, from: 0, maximumBytes: .max)
        return host.stored(read).flatMap { batch -> [(Offset, Message)] in
            guard let view = try? RecordBatchView(trusted: batch.bytes) else { return [] }
            return (0..<view.count).compactMap { place in
                (try? view.record(at: place)).map { ($0.offset, $0.message) }
            }
        }
    }

    private func letters(_ host: BrokerHost) -> [DeadLetter] {
        host.machine.deadLetters(subscription: "s", from: 0, limit: 1_000) ?? []
    }

    private func mark(_ message: Message, _ mark: DeadLetterMark) -> String? {
        message.attributes.first { $0.name == mark.rawValue }?.value
    }

    @Test func `A message that dies is forwarded in the same group`() {
        let (host, consumer, dead) = host()
        let command = SettleCommand(
            consumer: consumer, verb: .fail, ranges: host.tokens([1, 3]), reason: "no such account",
            code: "account")
        host.ask { .settle($0, command) }
        #expect(letters(host).map(\.offset) == [1, 3])
        #expect(letters(host).map(\.handedOut) == [1, 1])
        let copies = log(host, dead)
        #expect(copies.map(\.offset) == [0, 1])
        #expect(copies.map { $0.1.payload.first } == [1, 3])
        #expect(
            copies.map { $0.1.key.map { String(decoding: $0, as: UTF8.self) } } == [
                "key 1", "key 3",
            ])
        for (place, offset) in [1, 3].enumerated() {
            let copy = copies[place].1
            #expect(mark(copy, .of) == "t@\(offset)")
            #expect(mark(copy, .subscription) == "s")
            #expect(mark(copy, .cause) == "failed-on-purpose")
            #expect(mark(copy, .failed) == "1")
            #expect(mark(copy, .code) == "account")
            #expect(mark(copy, .reason) == "no such account")
        }
        // Death and copies are in one group, which has nothing else of theirs.
        let group = host.journal.first { $0.entries.contains { $0.topic == dead } }
        #expect(group?.entries.count == 2)
        let info = host.machine.subscription(named: "s")
        #expect(info?.forwarded == 2)
        #expect(info?.dying == 0)
        #expect(info?.dead == 2)
        #expect(host.machine.checkInvariants() == nil)
        for fromStart in [false, true] {
            let digest = host.machine.stateDigest()
            host.crash(fromStart: fromStart)
            #expect(host.machine.stateDigest() == digest)
            #expect(letters(host).map(\.offset) == [1, 3])
            host.machine.beginCheckpoint()
            host.settle()
        }
    }

    @Test func `The last of its failures and an abandonment forward too`() {
        let (host, consumer, dead) = host(2)
        host.settle(consumer, .retry, host.tokens([0]), delay: 0)
        host.advance(second)
        host.settle(consumer, .retry, host.tokens([0], handout: 2), reason: "again")
        #expect(log(host, dead).map { mark($0.1, .cause) } == ["maximum-failures"])
        #expect(log(host, dead).map { mark($0.1, .failed) } == ["2"])
        #expect(letters(host).map(\.cause) == [.maximumFailures])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `While the target is gone the message waits, and is told`() {
        let (host, consumer, _) = host()
        host.ask { .deleteTopic($0, name: "dead") }
        host.settle(consumer, .fail, host.tokens([1]), reason: "broken")
        #expect(letters(host).isEmpty)
        #expect(host.state(1) == .dying(.failedOnPurpose, failed: 1))
        let info = host.machine.subscription(named: "s")
        #expect(info?.dying == 1)
        #expect(info?.dyingBlockedBy?.reason == .unknownTopic)
        let causes = host.machine.explain(subscription: "s", offset: 1, now: host.now)?.causes
        #expect(causes?.map(\.kind) == [.dying])
        #expect(causes?.first?.text.contains("there is no topic \"dead\"") == true)
        #expect(
            host.machine.explain(subscription: "s", offset: nil, now: host.now)?.has(.dying) == true
        )
        // It is not handed out, its old token is stale, and a crash forgets nothing.
        host.advance(60 * second)
        #expect(host.takeDeliveries().allSatisfy { $0.offset != 1 })
        for checkpoints in [false, true] {
            if checkpoints {
                host.machine.beginCheckpoint()
                host.settle()
            }
            let digest = host.machine.stateDigest()
            let claims = host.tokens([1])
            host.crash()
            #expect(host.machine.stateDigest() == digest)
            #expect(host.state(1) == .dying(.failedOnPurpose, failed: 1))
            #expect(host.open(1, claims: claims).held.isEmpty)
            #expect(host.machine.checkInvariants() == nil)
        }
        let again = host.createTopic("dead")
        host.advance(2 * second)
        #expect(letters(host).map(\.offset) == [1])
        #expect(log(host, again).map { mark($0.1, .reason) } == ["broken"])
        // Told once, however often it was tried.
        #expect(host.held == [.unknownTopic])
        #expect(host.machine.subscription(named: "s")?.dyingBlockedBy == nil)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A full target, a full store and a full disk lose nothing`() {
        let (host, consumer, dead) = host(6) { $0.deadLetters.maximum = 3 }
        host.machine.setPublishing(
            .refused(Failure(.resourceExhausted, .diskFull, "the disk is full")))
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(host.machine.subscription(named: "s")?.dyingBlockedBy?.reason == .diskFull)
        host.machine.setPublishing(.allowed)
        host.advance(2 * second)
        #expect(letters(host).map(\.offset) == [0])
        // Refused while it is on its way.
        let request = host.request()
        host.send(
            .settle(
                request,
                SettleCommand(consumer: consumer, verb: .fail, ranges: host.tokens([1, 2, 3]))))
        host.gather()
        host.sync()
        host.gather()
        host.refuse(Failure(.resourceExhausted, .diskFull, "the disk is full"))
        host.settle()
        #expect(letters(host).map(\.offset) == [0])
        #expect(host.machine.subscription(named: "s")?.dying == 3)
        #expect(host.machine.checkInvariants() == nil)
        host.advance(2 * second)
        // The store has room for two of the three.
        #expect(letters(host).map(\.offset) == [0, 1, 2])
        #expect(host.state(3) == .dying(.failedOnPurpose, failed: 1))
        host.advance(10 * second)
        #expect(host.machine.subscription(named: "s")?.dyingBlockedBy?.reason == .deadStoreFull)
        #expect(log(host, dead).count == 3)
        host.ask { .purge($0, subscription: "s", [0..<1]) }
        host.advance(2 * second)
        #expect(letters(host).map(\.offset) == [1, 2, 3])
        #expect(log(host, dead).compactMap { mark($0.1, .of) } == ["t@0", "t@1", "t@2", "t@3"])
        #expect(host.held == [.diskFull, nil, .diskFull, .deadStoreFull, nil])
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `A target at its quota makes them wait`() {
        let (host, consumer, _) = host(2)
        host.ask { .deleteTopic($0, name: "dead") }
        let small = host.createTopic("dead", TopicSettings(maximumBytes: 100))
        host.settle(consumer, .fail, host.tokens([0]))
        #expect(host.machine.subscription(named: "s")?.dyingBlockedBy?.reason == .topicFull)
        host.advance(5 * second)
        #expect(host.state(0) == .dying(.failedOnPurpose, failed: 1))
        #expect(log(host, small).isEmpty)
        var change = SubscriptionChange()
        change.forwardDeadTo = ""
        host.ask { .updateSubscription($0, name: "s", change) }
        host.settle()
        #expect(letters(host).map(\.offset) == [0])
        #expect(host.machine.subscription(named: "s")?.forwarded == 0)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `One that cannot be read is in nobody's way`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        let dead = host.createTopic("dead")
        host.subscribe(settings)
        for number in 0..<3 as Range<UInt64> { host.publish(topic, number, 1) }
        let consumer = host.open(1).id
        host.answersReads = false
        host.settle(consumer, .fail, host.tokens([0, 1, 2]))
        #expect(host.reads.map(\.from) == [0])
        host.failReads(Failure(.dataLoss, .damaged, "the batch is damaged"))
        #expect(host.machine.subscription(named: "s")?.dyingBlockedBy?.reason == .damaged)
        host.answersReads = true
        host.advance(second)
        host.answerReads()
        host.settle()
        #expect(letters(host).map(\.offset) == [0, 1, 2])
        #expect(log(host, dead).compactMap { mark($0.1, .of) } == ["t@1", "t@2", "t@0"])
    }

    @Test func `A key waits until its dead message is forwarded`() {
        for afterDeath in OrderPolicy.AfterDeath.allCases {
            let host = BrokerHost()
            let topic = host.createTopic()
            host.createTopic("dead")
            var settings = settings
            settings.order = OrderPolicy(runLength: 1, afterDeath: afterDeath)
            host.subscribe(settings)
            host.publish(topic, 0, keys: ["a", "a", "b"])
            let consumer = host.open(1).id
            #expect(host.takeDeliveries().map(\.offset) == [0, 2])
            host.ask { .deleteTopic($0, name: "dead") }
            host.settle(consumer, .ack, host.tokens([2]))
            host.settle(consumer, .fail, host.tokens([0]))
            #expect(host.takeDeliveries().isEmpty)
            host.crash()
            host.advance(20 * second)
            host.open(1)
            host.advance(10 * second)
            #expect(host.takeDeliveries().isEmpty)
            #expect(host.machine.checkInvariants() == nil)
            host.createTopic("dead")
            host.advance(2 * second)
            #expect(letters(host).map(\.offset) == [0])
            #expect(host.takeDeliveries().map(\.offset) == (afterDeath == .goOn ? [1] : []))
            host.ask { .purge($0, subscription: "s", [0..<1]) }
            host.settle()
            #expect(host.takeDeliveries().map(\.offset) == (afterDeath == .goOn ? [] : [1]))
            #expect(host.machine.checkInvariants() == nil)
        }
    }

    @Test func `Copies cannot come back to where they came from`() {
        let (host, _, _) = host(1)
        func create(_ name: String, on topic: String, to target: String) -> FailureReason? {
            var settings = SubscriptionSettings()
            settings.deadLetters.forwardTo = target
            return host.ask { .createSubscription($0, name: name, topic: topic, settings) }.reason
        }
        #expect(create("x", on: "t", to: "t") == .invalidSetting)
        #expect(create("x", on: "t", to: "nowhere") == .unknownTopic)
        #expect(create("x", on: "dead", to: "t") == .invalidSetting)
        host.createTopic("deader")
        #expect(create("x", on: "dead", to: "deader") == nil)
        #expect(create("y", on: "deader", to: "t") == .invalidSetting)
        // Another setting may change while the target is gone.
        host.ask { .deleteTopic($0, name: "deader") }
        var change = SubscriptionChange()
        change.maximumFailures = 7
        #expect(host.ask { .updateSubscription($0, name: "x", change) }.reason == nil)
        change.forwardDeadTo = "t"
        #expect(host.ask { .updateSubscription($0, name: "x", change) }.reason == .invalidSetting)
    }

    @Test func `A copy keeps within the limits of a message, and has no dedup id`() throws {
        let full = (0..<62).map { Attribute("a\($0)", "v") }
        let message = Message(
            [1], attributes: full + [Attribute("deadLetterCause", "old")], dedupID: [1, 2])
        let (host, consumer, _) = host(0)
        guard let topic = host.machine.topic(named: "t")?.id else { return }
        var builder = RecordBatchBuilder()
        try builder.append(message: message)
        let bytes = builder.finish()[...]
        host.ask {
            .publish(
                $0,
                PublishCommand(
                    topic: topic, producer: ProducerID(rawValue: 9), producerEpoch: 0,
                    baseSequence: 0, batch: bytes, count: 1))
        }
        host.settle(consumer, .fail, host.tokens([0]))
        guard let dead = host.machine.topic(named: "dead")?.id else { return }
        let copy = try #require(log(host, dead).first?.1)
        #expect(copy.attributes.count == 64)
        #expect(copy.dedupID == nil)
        #expect(mark(copy, .of) == "t@0")
        #expect(mark(copy, .subscription) == "s")
        #expect(mark(copy, .cause) == nil)
    }

    // MARK: edited redrive

    private func edit(
        _ host: BrokerHost, _ offset: Offset, _ message: Message, note: String = ""
    ) -> Result<Reply, Failure>? {
        var builder = RecordBatchBuilder()
        guard (try? builder.append(message: message)) != nil else { return nil }
        let batch = builder.finish()[...]
        return host.ask {
            .redriveEdited(
                $0, EditedRedrive(subscription: "s", offset: offset, batch: batch, note: note))
        }
    }

    @Test func `An edited message takes the place of a dead one`() {
        let (host, consumer, _) = host(3) { $0.deadLetters.forwardTo = nil }
        guard let topic = host.machine.topic(named: "t")?.id else { return }
        host.settle(consumer, .fail, host.tokens([1]))
        _ = host.takeDeliveries()
        let edited = Message("mended", key: "key 1", attributes: [Attribute("redriveOf", "x")])
        guard case .success(.redrivenEdited(let offset))? = edit(host, 1, edited) else {
            Issue.record("it was not redriven")
            return
        }
        #expect(offset == 3)
        #expect(letters(host).isEmpty)
        #expect(host.takeDeliveries().map(\.offset) == [3])
        let stored = log(host, topic).last
        #expect(stored?.offset == 3)
        #expect(stored.map { String(decoding: $0.1.payload, as: UTF8.self) } == "mended")
        #expect(stored?.1.attributes == [Attribute("redriveOf", "t@1")])
        #expect(host.machine.subscription(named: "s")?.redriven == 1)
        // Not twice, and not what is not dead.
        #expect(edit(host, 1, edited).reason == .unknownDeadLetter)
        #expect(edit(host, 0, edited).reason == .unknownDeadLetter)
        var identified = edited
        identified.dedupID = [1]
        #expect(edit(host, 1, identified).reason == .unknownDeadLetter)
        host.settle(consumer, .ack, host.tokens([0, 2, 3]))
        #expect(host.machine.subscription(named: "s")?.settledBelow == 4)
        #expect(host.machine.checkInvariants() == nil)
        for fromStart in [false, true] {
            let digest = host.machine.stateDigest()
            host.crash(fromStart: fromStart)
            #expect(host.machine.stateDigest() == digest)
            host.machine.beginCheckpoint()
            host.settle()
        }
    }

    @Test func `An edited redrive is all or nothing`() {
        let (host, consumer, _) = host(2) { $0.deadLetters.forwardTo = nil }
        host.settle(consumer, .fail, host.tokens([0, 1]))
        var identified = Message("mended")
        identified.dedupID = [1]
        #expect(edit(host, 0, identified).reason == .invalidBatch)
        var builder = RecordBatchBuilder()
        guard (try? builder.append(message: Message("mended"))) != nil else { return }
        let batch = builder.finish()[...]
        let command = EditedRedrive(subscription: "s", offset: 0, batch: batch, note: "")
        let request = host.request()
        host.send(.redriveEdited(request, command))
        // While one is on its way a second one finds nothing.
        #expect(host.ask { .redriveEdited($0, command) }.reason == .unknownDeadLetter)
        #expect(host.reply(request).reason == nil)
        #expect(letters(host).map(\.offset) == [1])
        // A disk that refuses leaves it as it was; so does a crash before the sync.
        let again = EditedRedrive(subscription: "s", offset: 1, batch: batch, note: "")
        let refused = host.request()
        host.send(.redriveEdited(refused, again))
        host.gather()
        host.refuse(Failure(.resourceExhausted, .diskFull, "the disk is full"))
        host.settle()
        #expect(host.reply(refused).reason == .diskFull)
        #expect(letters(host).map(\.offset) == [1])
        #expect(host.machine.topic(named: "t")?.nextOffset == 3)
        host.send(.redriveEdited(host.request(), again))
        host.gather()
        host.crash()
        #expect(letters(host).map(\.offset) == [1])
        #expect(host.machine.topic(named: "t")?.nextOffset == 3)
        #expect(host.ask { .redriveEdited($0, again) }.reason == nil)
        #expect(letters(host).isEmpty)
        #expect(host.machine.checkInvariants() == nil)
    }
}
