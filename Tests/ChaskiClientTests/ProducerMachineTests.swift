import ChaskiClient
import ChaskiModel
import ChaskiRecords
import Testing

/// A producer machine with a clock, and what it asked to be sent.
struct ProducerHarness {
    var machine: ProducerMachine<Int>
    var now: Int64 = 1_000_000_000
    var sent: [ProducerRequest] = []
    var outcomes: [(waiter: Int, outcome: Result<UInt64, Failure>)] = []

    init(limits: ProducerLimits = ProducerLimits()) {
        machine = ProducerMachine(limits: limits)
    }

    mutating func submit(_ waiters: ClosedRange<Int>, topic: String = "orders") {
        machine.submitted(
            waiters.map {
                PublishSubmission(
                    topic: topic, content: .message(Message("m\($0)")), bytes: 100, waiter: $0)
            }, now: now)
        pump()
    }

    mutating func pump() {
        while let request = machine.nextRequest(now: now) { sent.append(request) }
        for completion in machine.takeCompletions() {
            for (step, waiter) in completion.waiters.enumerated() {
                outcomes.append((waiter, completion.outcome.map { $0.baseOffset + UInt64(step) }))
            }
        }
    }

    mutating func connect() {
        machine.connected()
        pump()
    }

    mutating func lose() {
        machine.connectionLost()
        pump()
    }

    mutating func bind(_ alias: UInt32 = 1, topicID: UInt64 = 7, next: UInt64 = 0) {
        machine.bound(
            alias: alias, .success(BoundTopic(topicID: topicID, nextSequence: next)), now: now)
        pump()
    }

    mutating func ok(_ requestID: UInt64, at offset: UInt64, duplicate: Bool = false) {
        machine.answered(
            requestID: requestID,
            .success(StoredAt(baseOffset: offset, appendTimeNanos: 1, duplicate: duplicate)),
            now: now)
        pump()
    }

    mutating func refuse(_ requestID: UInt64, _ reason: FailureReason, after: Int64? = nil) {
        machine.answered(
            requestID: requestID,
            .failure(Failure(.resourceExhausted, reason, "refused", retryAfterNanos: after)),
            now: now)
        pump()
    }

    mutating func advance(_ nanos: Int64) {
        now += nanos
        machine.timerFired(now: now)
        pump()
    }

    /// The batches sent since the last call: request, first sequence, messages, bytes.
    mutating func takeBatches() throws -> [(id: UInt64, base: UInt64, count: Int, bytes: [UInt8])] {
        var batches: [(id: UInt64, base: UInt64, count: Int, bytes: [UInt8])] = []
        for case .batch(let id, _, let base, let bytes) in sent {
            let view = try RecordBatchView(validating: bytes[...])
            batches.append((id, base, view.count, bytes))
        }
        sent.removeAll()
        return batches
    }

    func failures(of reason: FailureReason) -> [Int] {
        outcomes.compactMap {
            if case .failure(let failure) = $0.outcome, failure.reason == reason {
                return $0.waiter
            }
            return nil
        }
    }
}

@Suite struct ProducerMachineTests {
    /// Connected, bound, one batch of one message on its way.
    static func flowing(limits: ProducerLimits = ProducerLimits()) throws -> ProducerHarness {
        var harness = ProducerHarness(limits: limits)
        harness.connect()
        harness.submit(0...0)
        #expect(harness.sent == [.bind(alias: 1, topic: "orders")])
        harness.sent = []
        harness.bind()
        return harness
    }

    @Test func whatWaitsSharesTheNextBatch() throws {
        var harness = try Self.flowing(limits: ProducerLimits(eagerBatches: 1))
        harness.submit(1...3)
        harness.submit(4...9)
        var batches = try harness.takeBatches()
        #expect(batches.map(\.base) == [0])
        harness.ok(batches[0].id, at: 100)
        batches = try harness.takeBatches()
        #expect(batches.map(\.base) == [1])
        #expect(batches.map(\.count) == [9])
        harness.ok(batches[0].id, at: 101)
        #expect(harness.outcomes.map(\.waiter) == Array(0...9))
        #expect(harness.outcomes.map { try? $0.outcome.get() } == (100...109).map { UInt64($0) })
        #expect(!harness.machine.hasWork)
    }

    @Test func fullBatchesLeaveWhileOthersAreOnTheirWay() throws {
        var harness = try Self.flowing(
            limits: ProducerLimits(batchMessages: 4, batchesInFlight: 3, eagerBatches: 1))
        harness.submit(1...3)
        let batches1 = try harness.takeBatches()
        #expect(batches1.count == 1)
        harness.submit(4...20)
        let batches = try harness.takeBatches()
        #expect(batches.map(\.base) == [1, 5], "at most three on their way")
        #expect(batches.map(\.count) == [4, 4])
    }

    @Test func batchesKeepTheirBytes() throws {
        var harness = try Self.flowing(limits: ProducerLimits(batchBytes: 250, eagerBatches: 1))
        harness.submit(1...5)
        let first = try harness.takeBatches()
        #expect(first.map(\.count) == [1, 2, 2])
        for batch in first { harness.ok(batch.id, at: batch.base) }
        let last = try harness.takeBatches()
        #expect(last.map(\.count) == [1])
    }

    @Test func resendAfterReconnectKeepsSequencesAndBytes() throws {
        var harness = try Self.flowing(limits: ProducerLimits(batchMessages: 3, eagerBatches: 2))
        harness.submit(1...6)
        let before = try harness.takeBatches()
        #expect(before.map(\.base) == [0, 1, 4])
        harness.ok(before[0].id, at: 50)
        harness.lose()
        #expect(harness.outcomes.count == 1)
        harness.submit(7...7)
        #expect(harness.sent.isEmpty)
        harness.connect()
        #expect(harness.sent == [.bind(alias: 1, topic: "orders")])
        harness.sent = []
        // The broker had stored the first of the two.
        harness.bind(next: 4)
        let after = try harness.takeBatches()
        #expect(after.map(\.base) == [1, 4])
        #expect(after.map(\.bytes) == before.dropFirst().map(\.bytes))
        #expect(Set(after.map(\.id)).isDisjoint(with: before.map(\.id)))
        harness.ok(after[0].id, at: 51, duplicate: true)
        harness.ok(after[1].id, at: 54)
        let last = try harness.takeBatches()
        #expect(last.map(\.base) == [7])
        harness.ok(last[0].id, at: 57)
        #expect(harness.outcomes.map { try? $0.outcome.get() } == (50...57).map { UInt64($0) })
    }

    @Test func lateAnswersOfALostConnectionAreIgnored() throws {
        var harness = try Self.flowing()
        let before = try harness.takeBatches()
        harness.lose()
        harness.ok(before[0].id, at: 5)
        #expect(harness.outcomes.isEmpty)
    }

    @Test func aRefusalIsHandedOverAndTheLaterOnesGoOnInOrder() throws {
        var harness = try Self.flowing(limits: ProducerLimits(batchMessages: 2, eagerBatches: 2))
        harness.submit(1...6)
        let before = try harness.takeBatches()
        #expect(before.map(\.base) == [0, 1, 3, 5])
        harness.ok(before[0].id, at: 0)
        harness.refuse(before[1].id, .tooLarge)
        #expect(harness.failures(of: .tooLarge) == [1, 2])
        harness.refuse(before[2].id, .afterRefused)
        #expect(harness.sent.isEmpty, "the last answer is still out")
        harness.refuse(before[3].id, .afterRefused)
        guard case .skip(let skip, 1, next: 3) = harness.sent.first, harness.sent.count == 1 else {
            Issue.record("expected a skip to sequence 3, got \(harness.sent)")
            return
        }
        harness.sent = []
        harness.ok(skip, at: 0)
        let after = try harness.takeBatches()
        #expect(after.map(\.base) == [3, 5])
        #expect(after.map(\.bytes) == before.dropFirst(2).map(\.bytes))
        harness.ok(after[0].id, at: 1)
        harness.ok(after[1].id, at: 3)
        #expect(harness.outcomes.compactMap { try? $0.outcome.get() } == [0, 1, 2, 3, 4])
    }

    @Test func aRefusalWithRetryAfterIsRepeatedInOrder() throws {
        var harness = try Self.flowing(
            limits: ProducerLimits(batchMessages: 2, retryRefusalsNanos: 1_000_000_000))
        harness.submit(1...4)
        let before = try harness.takeBatches()
        #expect(before.map(\.base) == [0, 1, 3])
        harness.refuse(before[0].id, .diskFull, after: 200_000_000)
        harness.refuse(before[1].id, .afterRefused)
        harness.refuse(before[2].id, .diskFull, after: 200_000_000)
        #expect(harness.sent.isEmpty)
        harness.advance(150_000_000)
        #expect(harness.sent.isEmpty, "not before the time that the broker asked for")
        harness.advance(50_000_000)
        let batches3 = try harness.takeBatches()
        #expect(batches3.map(\.base) == [0, 1, 3])
        #expect(harness.outcomes.isEmpty)
    }

    @Test func aRefusalThatStaysIsHandedOverInTime() throws {
        var harness = try Self.flowing(limits: ProducerLimits(retryRefusalsNanos: 1_000_000_000))
        var rounds = 0
        while harness.outcomes.isEmpty, rounds < 100 {
            for batch in try harness.takeBatches() {
                harness.refuse(batch.id, .diskFull, after: 100_000_000)
            }
            harness.advance(100_000_000)
            rounds += 1
        }
        #expect(harness.failures(of: .diskFull) == [0])
        #expect(rounds >= 9 && rounds <= 12)
        // The next message has the next sequence; the gap is skipped first.
        harness.sent = []
        harness.submit(1...1)
        guard case .skip(let skip, 1, next: 1) = harness.sent.first else {
            Issue.record("expected a skip, got \(harness.sent)")
            return
        }
        harness.sent = []
        harness.ok(skip, at: 0)
        let batches4 = try harness.takeBatches()
        #expect(batches4.map(\.base) == [1])
    }

    @Test func givingUpIsDefiniteBeforeSendingAndIndeterminateAfter() throws {
        var harness = try Self.flowing(limits: ProducerLimits(giveUpNanos: 10_000_000_000))
        harness.lose()
        harness.submit(1...2)
        harness.advance(9_000_000_000)
        #expect(harness.outcomes.isEmpty)
        harness.advance(1_000_000_000)
        #expect(harness.failures(of: .indeterminate) == [0])
        #expect(harness.failures(of: .unreachable) == [1, 2])
        // The broker may have stored sequence 0 or not; the next message does not depend on it.
        harness.submit(3...3)
        harness.connect()
        harness.sent = []
        harness.bind(next: 0)
        guard case .skip(let skip, 1, next: 1) = harness.sent.first else {
            Issue.record("expected a skip, got \(harness.sent)")
            return
        }
        harness.sent = []
        harness.ok(skip, at: 0)
        let batches5 = try harness.takeBatches()
        #expect(batches5.map(\.base) == [1])
    }

    @Test func aResentBatchThatIsRefusedIsIndeterminate() throws {
        var harness = try Self.flowing()
        harness.lose()
        harness.connect()
        harness.sent = []
        harness.bind()
        let again = try harness.takeBatches()
        harness.refuse(again[0].id, .journalFailed)
        #expect(harness.failures(of: .indeterminate) == [0])
    }

    @Test func anIndeterminateAnswerIsAskedAgainWithTheSameSequence() throws {
        var harness = try Self.flowing()
        let before = try harness.takeBatches()
        harness.refuse(before[0].id, .indeterminate)
        #expect(harness.outcomes.isEmpty)
        harness.advance(600_000_000)
        let again = try harness.takeBatches()
        #expect(again.map(\.base) == [0])
        #expect(again.map(\.bytes) == before.map(\.bytes))
        harness.ok(again[0].id, at: 9, duplicate: true)
        #expect(harness.outcomes.map { try? $0.outcome.get() } == [9])
    }

    @Test func fencingEndsEverything() throws {
        var harness = try Self.flowing(limits: ProducerLimits(batchMessages: 1))
        harness.submit(1...3)
        let batches = try harness.takeBatches()
        harness.refuse(batches[0].id, .fenced)
        #expect(harness.failures(of: .fenced) == [0])
        #expect(harness.failures(of: .indeterminate) == [1, 2, 3])
        harness.submit(4...4)
        #expect(harness.failures(of: .fenced) == [0, 4])
        #expect(harness.sent.isEmpty)
    }

    @Test func anUnknownTopicFailsItsMessagesOnly() throws {
        var harness = ProducerHarness()
        harness.connect()
        harness.submit(0...1, topic: "nowhere")
        harness.submit(2...2, topic: "orders")
        harness.sent = []
        harness.machine.bound(
            alias: 1, .failure(Failure(.notFound, .unknownTopic, "no topic nowhere")), now: 0)
        harness.bind(2)
        #expect(harness.failures(of: .unknownTopic) == [0, 1])
        let batches6 = try harness.takeBatches()
        #expect(batches6.count == 1)
        // It is asked for again when somebody publishes to it again.
        harness.submit(3...3, topic: "nowhere")
        #expect(harness.sent == [.bind(alias: 3, topic: "nowhere")])
    }

    @Test func aTopicDeletedMeanwhileIsBoundAgain() throws {
        var harness = try Self.flowing(limits: ProducerLimits(eagerBatches: 1))
        harness.submit(1...1)
        let first = try harness.takeBatches()
        harness.refuse(first[0].id, .unknownTopic)
        #expect(harness.failures(of: .unknownTopic) == [0])
        #expect(harness.sent == [.bind(alias: 2, topic: "orders")])
        harness.sent = []
        harness.bind(2, topicID: 8, next: 0)
        let second = try harness.takeBatches()
        #expect(second.map(\.base) == [0])
        harness.ok(second[0].id, at: 0)
        #expect(harness.outcomes.map(\.waiter) == [0, 1])
    }

    @Test func aBrokerThatIsFurtherThanTheGapIsNotAskedToSkip() throws {
        var harness = try Self.flowing(
            limits: ProducerLimits(batchMessages: 1, giveUpNanos: 1_000_000_000))
        harness.now += 900_000_000
        harness.submit(1...1)
        harness.lose()
        harness.advance(200_000_000)
        #expect(harness.failures(of: .indeterminate) == [0])
        harness.connect()
        harness.sent = []
        // The broker had stored the one given up and the one that is still wanted.
        harness.bind(next: 2)
        let again = try harness.takeBatches()
        #expect(again.map(\.base) == [1])
        harness.ok(again[0].id, at: 1, duplicate: true)
        #expect(harness.outcomes.map(\.waiter) == [0, 1])
    }

    @Test func aTopicCreatedAgainCountsFromItsOwnStart() throws {
        var harness = try Self.flowing(limits: ProducerLimits(eagerBatches: 1))
        let first = try harness.takeBatches()
        harness.ok(first[0].id, at: 0)
        harness.submit(1...1)
        harness.submit(2...2)
        harness.lose()
        harness.connect()
        harness.sent = []
        harness.bind(topicID: 8, next: 0)
        #expect(harness.failures(of: .indeterminate) == [1])
        let batches7 = try harness.takeBatches()
        #expect(batches7.map(\.base) == [0])
    }

    @Test func aBrokerThatForgotItsProducersLeavesTheOutcomeOpen() throws {
        var harness = try Self.flowing()
        let first = try harness.takeBatches()
        harness.ok(first[0].id, at: 0)
        harness.submit(1...1)
        harness.lose()
        harness.submit(2...2)
        harness.connect()
        harness.sent = []
        harness.bind(next: 0)
        #expect(harness.failures(of: .indeterminate) == [1])
        guard case .skip(_, 1, next: 2) = harness.sent.first else {
            Issue.record("expected a skip to sequence 2, got \(harness.sent)")
            return
        }
    }

    @Test func aMessageBeyondItsLimitsFailsAlone() throws {
        var harness = try Self.flowing(limits: ProducerLimits(eagerBatches: 1))
        let bad = Message([1], key: [UInt8](repeating: 1, count: 1025))
        harness.machine.submitted(
            [
                PublishSubmission(
                    topic: "orders", content: .message(bad), bytes: 100, waiter: 1)
            ], now: 0)
        harness.submit(2...2)
        let first = try harness.takeBatches()
        harness.ok(first[0].id, at: 0)
        #expect(harness.failures(of: .tooLarge) == [1])
        let batches8 = try harness.takeBatches()
        #expect(batches8.map(\.count) == [1])
    }

    @Test func finishedBatchesKeepTheirPlaceAmongMessages() throws {
        var harness = try Self.flowing(limits: ProducerLimits(eagerBatches: 1))
        harness.submit(1...2)
        var encoder = BatchEncoder()
        let encoded = try encoder.encode([Message("a"), Message("b"), Message("c")])
        harness.machine.submitted(
            [
                PublishSubmission(
                    topic: "orders", content: .batch(encoded, count: 3), bytes: 300, waiter: 3)
            ], now: 0)
        harness.submit(4...4)
        var batches = try harness.takeBatches()
        var seen: [UInt64] = []
        while !batches.isEmpty {
            for batch in batches {
                seen.append(batch.base)
                harness.ok(batch.id, at: batch.base)
            }
            batches = try harness.takeBatches()
        }
        #expect(seen == [0, 1, 3, 6])
        #expect(harness.outcomes.map(\.waiter) == [0, 1, 2, 3, 4])
    }

    @Test func topicsAreBounded() throws {
        var harness = ProducerHarness(limits: ProducerLimits(topics: 2))
        harness.submit(1...1, topic: "a")
        harness.submit(2...2, topic: "b")
        harness.submit(3...3, topic: "c")
        #expect(harness.failures(of: .tooMany) == [3])
    }
}
