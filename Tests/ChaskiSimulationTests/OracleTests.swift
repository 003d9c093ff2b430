import ChaskiBroker
import ChaskiModel
import ChaskiRecords
import Testing

@testable import ChaskiSimulation

/// The oracle is fed by hand: the broker that it judges here does not exist.
struct OracleTests {
    private let oracle = Oracle(resumeGraceNanos: 10_000)
    private let topic = TopicID(rawValue: 1)
    private let subscription = SubscriptionID(rawValue: 1)
    private let session = SessionID(rawValue: 9)

    private func at(_ clock: Int64) -> Now { Now(clock: clock, wall: clock) }
    private func request(_ number: UInt64) -> RequestID { RequestID(rawValue: number) }
    private var checks: [String] { oracle.violations.map(\.check) }

    /// A topic, a subscription of it, and one open consumer.
    private func begin() {
        oracle.recovered(epoch: 1, now: at(0))
        oracle.taken(
            .createTopic(request(1), name: "t", TopicSettings()), producer: nil, publication: nil,
            now: at(0))
        oracle.emitted(.reply(request(1), .success(.topicCreated(topic))), now: at(0))
        let settings = SubscriptionSettings(
            retry: RetryPolicy(maximumFailures: 2), leaseNanos: 1_000)
        oracle.taken(
            .createSubscription(request(2), name: "s", topic: "t", settings), producer: nil,
            publication: nil, now: at(0))
        oracle.emitted(.reply(request(2), .success(.subscriptionCreated(subscription))), now: at(0))
        open(consumer: 0, now: 0)
    }

    private func open(consumer: UInt64, session: UInt128 = 9, epoch: UInt32 = 1, now: Int64) {
        let id = ConsumerID(rawValue: consumer)
        let limit = ConsumerLimit(messages: 2, bytes: 1_000)
        oracle.taken(
            .openConsumer(
                request(100 + consumer), id, session: SessionID(rawValue: session),
                subscription: "s",
                limit, claims: .none), producer: nil, publication: nil, now: at(now))
        oracle.emitted(
            .reply(
                request(100 + consumer),
                .success(.consumerOpened(subscription, epoch: epoch, leaseNanos: 1_000, held: []))),
            now: at(now))
    }

    /// A publication of one message with this payload, not sent yet.
    private func publication(_ payload: UInt8, sequence: UInt64) throws -> Int {
        var builder = RecordBatchBuilder()
        try builder.append(message: Message([payload]))
        let index = oracle.register(
            Publication(
                producer: 0, producerEpoch: 1, topic: topic, baseSequence: sequence, count: 1,
                bytes: builder.finish()[...]))
        return try #require(index)
    }

    private func send(_ index: Int, as number: UInt64) {
        let command = PublishCommand(
            topic: topic, producer: ProducerID(rawValue: 1), producerEpoch: 1, baseSequence: 0,
            batch: [], count: 1)
        oracle.taken(
            .publish(request(number), command), producer: nil, publication: index, now: at(1))
    }

    private func stored(_ index: Int, at base: Offset) -> StoredBatch {
        var bytes = oracle.publications[index].bytes
        bytes.setBrokerHeader(baseOffset: base, appendTime: 5)
        return StoredBatch(topic: topic, baseOffset: base, count: 1, bytes: bytes)
    }

    private func write(_ index: Int, at base: Offset) {
        let entry = JournalEntry(
            kind: .batch, topic: topic, baseOffset: base, count: 1,
            body: stored(index, at: base).bytes)
        oracle.writeBegins(JournalGroup(entries: [entry], time: at(1)))
        oracle.writeReturned()
    }

    private func answer(_ number: UInt64, base: Offset) {
        oracle.emitted(
            .reply(
                request(number),
                .success(
                    .published(
                        baseOffset: base, appendTimeNanos: 5, duplicate: false, duplicates: []))),
            now: at(2))
    }

    private func deliver(
        _ index: Int, at offset: Offset, to consumer: UInt64 = 0, handout: UInt32 = 1,
        failed: UInt32 = 0, now: Int64
    ) {
        let run = DeliveryRun(first: offset, count: 1, handout: handout, failed: failed)
        oracle.emitted(
            .deliver(
                ConsumerID(rawValue: consumer), subscription,
                [Delivery(batch: stored(index, at: offset), runs: [run])]), now: at(now))
    }

    private func settle(
        _ verb: Verb, _ offset: Offset, as number: UInt64, delay: Int64? = nil, now: Int64
    ) {
        let token = TokenRange(epoch: 1, first: offset, count: 1, handout: 1)
        oracle.taken(
            .settle(
                request(number),
                SettleCommand(
                    consumer: ConsumerID(rawValue: 0), verb: verb, ranges: [token],
                    delayNanos: delay)),
            producer: nil, publication: nil, now: at(now))
        oracle.emitted(
            .reply(request(number), .success(.settled(accepted: 1, rejected: []))), now: at(now))
    }

    /// One message published, answered, delivered.
    private func deliverOne() throws -> Int {
        begin()
        let index = try publication(1, sequence: 0)
        send(index, as: 10)
        write(index, at: 0)
        answer(10, base: 0)
        deliver(index, at: 0, now: 10)
        #expect(checks == [])
        return index
    }

    @Test func anAnswerBeforeTheWriteBreaksP2() throws {
        begin()
        let index = try publication(1, sequence: 0)
        send(index, as: 10)
        answer(10, base: 0)
        #expect(checks == ["P2"])
    }

    @Test func aDeliveryBeforeTheWriteBreaksP2() throws {
        begin()
        let index = try publication(1, sequence: 0)
        send(index, as: 10)
        deliver(index, at: 0, now: 10)
        #expect(checks.contains("P2"))
    }

    @Test func aSecondPlaceBreaksU1() throws {
        let index = try deliverOne()
        send(index, as: 11)
        write(index, at: 1)
        #expect(checks.contains("U1"))
    }

    @Test func aStoredBatchThatFailedBreaksP3() throws {
        begin()
        let index = try publication(1, sequence: 0)
        send(index, as: 10)
        write(index, at: 0)
        oracle.emitted(
            .reply(request(10), .failure(Failure(.resourceExhausted, .diskFull, "full"))),
            now: at(2))
        #expect(checks == ["P3"])
    }

    @Test func aSwappedSequenceBreaksO1() throws {
        begin()
        let index = try publication(1, sequence: 1)
        send(index, as: 10)
        write(index, at: 0)
        #expect(checks == ["O1"])
    }

    @Test func anOverlappingLeaseBreaksA3() throws {
        let index = try deliverOne()
        open(consumer: 1, session: 8, now: 20)
        deliver(index, at: 0, to: 1, handout: 2, now: 1_009)
        #expect(checks == ["A3"])
    }

    @Test func aLapsedLeaseMayGoOn() throws {
        let index = try deliverOne()
        open(consumer: 1, session: 8, now: 20)
        deliver(index, at: 0, to: 1, handout: 2, now: 1_010)
        #expect(checks == [])
    }

    @Test func aHeartbeatKeepsTheLease() throws {
        let index = try deliverOne()
        open(consumer: 1, session: 8, now: 20)
        oracle.taken(.heartbeat(session), producer: nil, publication: nil, now: at(900))
        deliver(index, at: 0, to: 1, handout: 2, now: 1_899)
        #expect(checks == ["A3"])
    }

    @Test func aDeliveryAfterTheAckBreaksA2() throws {
        let index = try deliverOne()
        settle(.ack, 0, as: 20, now: 30)
        #expect(checks == [])
        deliver(index, at: 0, handout: 2, now: 5_000)
        #expect(checks.contains("A2"))
    }

    @Test func anEarlyRetryBreaksT1() throws {
        let index = try deliverOne()
        settle(.retry, 0, as: 20, delay: 5_000_000, now: 30)
        deliver(index, at: 0, handout: 2, failed: 1, now: 3_000_000)
        #expect(checks == ["T1"])
    }

    @Test func aForgottenFailureBreaksA7() throws {
        let index = try deliverOne()
        settle(.retry, 0, as: 20, now: 30)
        deliver(index, at: 0, handout: 2, failed: 0, now: 10_000_000)
        #expect(checks == ["A7"])
    }

    @Test func tooManyInHandBreakF1() throws {
        _ = try deliverOne()
        for offset in Offset(1)...2 {
            let next = try publication(UInt8(offset + 1), sequence: offset)
            send(next, as: 10 + offset)
            write(next, at: offset)
            deliver(next, at: offset, now: 20)
        }
        #expect(checks == ["F1"])
    }

    @Test func anAckedMessageIsInDoubtOnlyOnce() throws {
        let index = try deliverOne()
        let token = TokenRange(epoch: 1, first: 0, count: 1, handout: 1)
        oracle.taken(
            .settle(
                request(20),
                SettleCommand(consumer: ConsumerID(rawValue: 0), verb: .ack, ranges: [token])),
            producer: nil, publication: nil, now: at(30))
        oracle.brokerDied(now: at(35))
        oracle.recovered(epoch: 2, now: at(40))
        #expect(oracle.isDrained)
        // It was not acked after all, and comes before resumeGrace is over.
        open(consumer: 1, session: 8, epoch: 2, now: 5_000)
        deliver(index, at: 0, to: 1, handout: 2, now: 5_000)
        #expect(!oracle.isDrained)
        #expect(checks == ["A3"])
    }
}
