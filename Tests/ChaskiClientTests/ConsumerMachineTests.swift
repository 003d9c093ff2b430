import ChaskiClient
import ChaskiModel
import ChaskiWire
import Testing

/// A consumer machine with a clock, and what it asked to be sent.
struct ConsumerHarness {
    var machine = ConsumerMachine<Int>(subscription: "billing", maximumMessages: 1_000)
    var now: Int64 = 1_000_000_000
    var sent: [ConsumerRequest] = []
    var confirmed: [Int] = []
    var failed: [Int: Failure] = [:]
    var lost: [LostLease] = []

    mutating func pump() {
        while let request = machine.nextRequest(now: now) { sent.append(request) }
        let completions = machine.takeCompletions()
        confirmed += completions.confirmed
        for (waiter, failure) in completions.failed { failed[waiter] = failure }
        lost += machine.takeLost()
    }

    static let subscription = SubscriptionID(rawValue: 3)

    mutating func subscribe(epoch: UInt32 = 1, held: [TokenRange] = []) {
        machine.connected()
        pump()
        machine.subscribed(
            Self.subscription, epoch: epoch, leaseNanos: 30_000_000_000, held: held, now: now)
        pump()
    }

    mutating func deliver(_ first: Offset, _ count: UInt32, handout: UInt32 = 1, epoch: UInt32 = 1)
    {
        let isTaken = machine.delivered(
            first: first, count: count, handout: handout, epoch: epoch)
        #expect(isTaken)
        pump()
    }

    /// Settles without letting anything be sent; the waiter is the offset.
    mutating func settle(_ offset: Offset, handout: UInt32 = 1, _ verdict: Verdict = .ack) {
        machine.settled(
            SettleItem(offset: offset, handout: handout, waiter: Int(offset)), verdict)
    }

    /// The settle requests sent since the last call.
    mutating func takeSettles() -> [(
        id: UInt64, verdict: Verdict, epoch: UInt32, ranges: [TokenRange]
    )] {
        var settles: [(id: UInt64, verdict: Verdict, epoch: UInt32, ranges: [TokenRange])] = []
        for case .settle(let id, let verdict, let epoch, let ranges) in sent {
            settles.append((id, verdict, epoch, ranges))
        }
        sent.removeAll()
        return settles
    }

    mutating func answer(
        _ id: UInt64, _ failure: Failure? = nil, refused: [SettleRefusal] = []
    ) {
        machine.answered(requestID: id, failure, refused: refused, now: now)
        pump()
    }

    mutating func lose() {
        machine.connectionLost(now: now)
        pump()
    }

    mutating func advance(_ nanos: Int64) {
        now += nanos
        machine.timerFired(now: now)
        pump()
    }

    static func range(
        _ first: Offset, _ count: UInt32, handout: UInt32 = 1, epoch: UInt32 = 1
    )
        -> TokenRange
    {
        TokenRange(epoch: epoch, first: first, count: count, handout: handout)
    }
}

@Suite struct ConsumerMachineTests {
    @Test func shuffledAcksLeaveAsRanges() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 10)
        harness.deliver(20, 5)
        for offset: Offset in [22, 3, 1, 24, 0, 2, 21, 9, 23] { harness.settle(offset) }
        harness.pump()
        let settles = harness.takeSettles()
        #expect(settles.count == 1)
        #expect(
            settles.first?.ranges == [
                ConsumerHarness.range(0, 4), ConsumerHarness.range(9, 1),
                ConsumerHarness.range(21, 4),
            ])
        #expect(harness.confirmed.isEmpty, "not before the broker said so")
        harness.answer(settles[0].id)
        #expect(Set(harness.confirmed) == [22, 3, 1, 24, 0, 2, 21, 9, 23])
        #expect(harness.machine.heldCount == 6)
    }

    @Test func acksWaitWhileTwoRequestsAreOnTheirWay() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 100)
        for offset: Offset in 0..<50 {
            harness.settle(offset)
            harness.pump()
        }
        let settles = harness.takeSettles()
        #expect(settles.count == 2)
        harness.answer(settles[0].id)
        let next = harness.takeSettles()
        #expect(next.map(\.ranges) == [[ConsumerHarness.range(2, 48)]])
    }

    @Test func handoutsDoNotShareARange() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 2, handout: 1)
        harness.deliver(2, 2, handout: 2)
        for offset: Offset in 0..<2 { harness.settle(offset) }
        for offset: Offset in 2..<4 { harness.settle(offset, handout: 2) }
        harness.pump()
        let settles = harness.takeSettles()
        #expect(
            settles.map(\.ranges) == [
                [ConsumerHarness.range(0, 2), ConsumerHarness.range(2, 2, handout: 2)]
            ])
    }

    @Test func verdictsWithEqualWordsShareARequest() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 6)
        harness.settle(0, Verdict(.retry, delayNanos: 5, reason: "busy"))
        harness.settle(2, Verdict(.fail, reason: "broken"))
        harness.settle(1, Verdict(.retry, delayNanos: 5, reason: "busy"))
        harness.pump()
        var settles = harness.takeSettles()
        #expect(settles.map(\.verdict.verb) == [.retry, .fail])
        #expect(settles[0].ranges == [ConsumerHarness.range(0, 2)])
        harness.answer(settles[0].id)
        harness.answer(settles[1].id)
        settles = harness.takeSettles()
        #expect(harness.confirmed == [0, 1, 2])
        #expect(settles.isEmpty)
    }

    @Test func acksLeaveBeforeFailures() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 3)
        // Without the ack of 0 the broker would refuse the failure of 1, of the same key.
        harness.settle(0)
        harness.settle(1, Verdict(.retry))
        harness.settle(2)
        harness.pump()
        let settles = harness.takeSettles()
        #expect(settles.map(\.verdict.verb) == [.ack, .retry])
        #expect(settles.map { $0.ranges.map(\.first) } == [[0, 2], [1]])
    }

    @Test func aSecondVerdictIsRefusedOnTheSpot() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 1)
        harness.settle(0)
        harness.pump()
        harness.settle(0)
        harness.settle(7)
        harness.pump()
        #expect(harness.failed[0]?.reason == .alreadySettled)
        #expect(harness.failed[7]?.reason == .stale)
    }

    @Test func refusedVerdictsFailAndTheOthersAreConfirmed() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 3)
        for offset: Offset in 0..<3 { harness.settle(offset) }
        harness.pump()
        let settles = harness.takeSettles()
        harness.answer(
            settles[0].id, refused: [SettleRefusal(offset: 1, handout: 1, reason: .stale)])
        #expect(harness.confirmed == [0, 2])
        #expect(harness.failed[1]?.reason == .stale)
        #expect(harness.lost == [LostLease(offset: 1, handout: 1)])
    }

    @Test func aVerdictBeforeItsPredecessorsGoesBackToTheApplication() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 2)
        harness.settle(1)
        harness.pump()
        let early = harness.takeSettles()
        harness.answer(
            early[0].id, refused: [SettleRefusal(offset: 1, handout: 1, reason: .outOfOrder)])
        #expect(harness.failed[1]?.reason == .outOfOrder)
        #expect(harness.lost.isEmpty)
        #expect(harness.machine.heldCount == 2, "it is held, and may be judged again")
        harness.settle(0)
        harness.settle(1)
        harness.pump()
        for settle in harness.takeSettles() { harness.answer(settle.id, refused: []) }
        #expect(harness.confirmed == [0, 1])
    }

    @Test func aReconnectClaimsWhatIsHeldAndLearnsWhatIsLost() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 10)
        harness.lose()
        harness.machine.connected()
        harness.sent = []
        harness.pump()
        #expect(
            harness.sent == [
                .subscribe(
                    messages: 1_000, claims: [ConsumerHarness.range(0, 10)], claimsEpoch: 1,
                    claimsOf: ConsumerHarness.subscription)
            ])
        harness.sent = []
        harness.machine.subscribed(
            ConsumerHarness.subscription, epoch: 2, leaseNanos: 30_000_000_000,
            held: [ConsumerHarness.range(0, 3), ConsumerHarness.range(5, 2)], now: harness.now)
        harness.pump()
        #expect(harness.lost.map(\.offset) == [3, 4, 7, 8, 9])
        #expect(harness.machine.heldCount == 5)
        harness.settle(5)
        harness.settle(4)
        harness.pump()
        let settles = harness.takeSettles()
        #expect(settles.map(\.epoch) == [2], "claimed deliveries have tokens of the new epoch")
        #expect(harness.failed[4]?.reason == .stale)
    }

    @Test func nothingIsRepeatedToAnotherSubscriptionOfTheSameName() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 3)
        harness.settle(0)
        harness.pump()
        harness.lose()
        harness.machine.connected()
        harness.pump()
        harness.sent = []
        harness.machine.subscribed(
            SubscriptionID(rawValue: 4), epoch: 1, leaseNanos: 1, held: [], now: harness.now)
        harness.pump()
        #expect(harness.takeSettles().isEmpty)
        #expect(harness.failed[0]?.reason == .stale)
        #expect(harness.lost.map(\.offset) == [1, 2])
    }

    @Test func verdictsOnTheirWayAreRepeatedAfterAReconnect() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 6)
        for offset: Offset in 0..<4 { harness.settle(offset) }
        harness.pump()
        let before = harness.takeSettles()
        harness.settle(4)
        harness.lose()
        harness.machine.connected()
        harness.pump()
        guard case .subscribe(_, let claims, 1, _) = harness.sent.first else {
            Issue.record("expected a subscribe, got \(harness.sent)")
            return
        }
        #expect(claims == [ConsumerHarness.range(0, 6)], "judged is held until confirmed")
        harness.sent = []
        // 0 and 1 had been taken by the broker; 4's lease lapsed before its ack was ever sent.
        harness.machine.subscribed(
            ConsumerHarness.subscription, epoch: 1, leaseNanos: 1,
            held: [ConsumerHarness.range(2, 2)], now: harness.now)
        harness.pump()
        #expect(harness.failed[4]?.reason == .stale)
        #expect(harness.lost.map(\.offset) == [5])
        let again = harness.takeSettles()
        #expect(again.map(\.ranges) == [[ConsumerHarness.range(0, 4)]])
        #expect(Set(again.map(\.id)).isDisjoint(with: before.map(\.id)))
        harness.answer(
            again[0].id, refused: [SettleRefusal(offset: 1, handout: 1, reason: .stale)])
        #expect(Set(harness.confirmed) == [0, 2, 3])
        #expect(harness.failed[1]?.isIndeterminate == true, "the first ack may have been taken")
    }

    @Test func cutOffLongerThanTheLeaseLosesAll() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 3)
        harness.settle(0)
        harness.pump()
        harness.settle(1)
        harness.lose()
        harness.advance(29_000_000_000)
        #expect(harness.lost.isEmpty)
        harness.advance(1_000_000_000)
        #expect(harness.lost.map(\.offset) == [2])
        #expect(harness.failed[0]?.isIndeterminate == true)
        #expect(harness.failed[1]?.reason == .unreachable)
    }

    @Test func theHeartBeatsWhileSomethingIsHeld() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.sent = []
        harness.advance(10_000_000_000)
        #expect(harness.sent.isEmpty)
        harness.deliver(0, 1)
        harness.advance(10_000_000_000)
        #expect(harness.sent == [.heartbeat])
        harness.advance(5_000_000_000)
        #expect(harness.sent == [.heartbeat])
    }

    @Test func aNewHandoutReplacesTheOld() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(5, 1, handout: 1)
        harness.deliver(5, 1, handout: 2)
        #expect(harness.lost == [LostLease(offset: 5, handout: 1)])
        harness.settle(5, handout: 1)
        harness.pump()
        #expect(harness.failed[5]?.reason == .stale)
        let settles1 = harness.takeSettles()
        #expect(settles1.isEmpty)
    }

    @Test func stoppingReleasesTheBufferedAndWaitsForTheRest() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 4)
        harness.sent = []
        harness.machine.stopRequested(
            releasing: [LostLease(offset: 2, handout: 1), LostLease(offset: 3, handout: 1)])
        harness.pump()
        #expect(harness.sent.first == .limit(messages: 0))
        let releases = harness.takeSettles()
        #expect(releases.map(\.verdict) == [Verdict(.release)])
        #expect(releases.map(\.ranges) == [[ConsumerHarness.range(2, 2)]])
        harness.settle(0)
        harness.settle(1)
        harness.machine.finishRequested()
        harness.pump()
        let acks = harness.takeSettles()
        harness.answer(releases[0].id)
        #expect(harness.sent.isEmpty, "the acks are not confirmed")
        harness.answer(acks[0].id)
        #expect(harness.sent == [.unsubscribe])
        #expect(harness.confirmed == [0, 1])
        harness.machine.ended(nil)
        #expect(harness.machine.end == .some(nil))
    }

    @Test func aRequestThatIsRefusedForAWhileIsRepeated() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 2)
        harness.settle(0)
        harness.pump()
        let first = harness.takeSettles()
        harness.answer(
            first[0].id,
            Failure(.resourceExhausted, .diskFull, "full", retryAfterNanos: 300_000_000))
        let settles2 = harness.takeSettles()
        #expect(settles2.isEmpty)
        harness.advance(300_000_000)
        let settles3 = harness.takeSettles()
        #expect(settles3.map(\.ranges) == [[ConsumerHarness.range(0, 1)]])
        #expect(harness.failed.isEmpty)
    }

    @Test func aRequestThatFailsGivesTheDeliveriesBack() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 1)
        harness.settle(0)
        harness.pump()
        let first = harness.takeSettles()
        harness.answer(first[0].id, Failure(.internalError, .journalFailed, "no more"))
        #expect(harness.failed[0]?.reason == .journalFailed)
        harness.settle(0)
        harness.pump()
        let settles4 = harness.takeSettles()
        #expect(settles4.count == 1)
    }

    @Test func anEndFailsWhatWaits() {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 3)
        harness.settle(0)
        harness.pump()
        harness.machine.ended(Failure(.notFound, .unknownSubscription, "deleted"))
        harness.pump()
        #expect(harness.failed[0]?.isIndeterminate == true)
        #expect(harness.lost.map(\.offset) == [1, 2])
        harness.settle(1)
        harness.pump()
        #expect(harness.failed[1]?.reason == .unknownSubscription)
    }

    @Test func moreThanMayBeHeldIsRefused() {
        var machine = ConsumerMachine<Int>(subscription: "s", maximumMessages: 10)
        machine.connected()
        let tooMany = machine.delivered(first: 0, count: UInt32.max, handout: 1, epoch: 1)
        #expect(!tooMany)
        let pastTheEnd = machine.delivered(
            first: UInt64.max - 1, count: 5, handout: 1, epoch: 1)
        #expect(!pastTheEnd)
    }

    @Test func requestsHaveAtMostTheLimitOfRanges() {
        var harness = ConsumerHarness()
        harness.machine = ConsumerMachine(subscription: "s", maximumMessages: 100_000)
        harness.subscribe()
        harness.deliver(0, 25_000)
        for offset: Offset in stride(from: 0, to: 25_000, by: 2) { harness.settle(offset) }
        harness.pump()
        let settles5 = harness.takeSettles()
        #expect(settles5.map(\.ranges.count) == [10_000, 2_500])
    }

    @Test func reasonsAreCutAtACharacter() {
        let verdict = Verdict(.fail, reason: String(repeating: "é", count: 600))
        #expect(verdict.reason.utf8.count == 1024)
        #expect(Verdict(.fail, reason: "short").reason == "short")
    }
}

@Suite struct RangeCoalescerTests {
    @Test func twoHandoutsOfOneOffsetDoNotShareARequest() {
        let tokens: [(offset: Offset, handout: UInt32)] = [(1, 1), (2, 1), (2, 2), (3, 1)]
        let (ranges, covered) = RangeCoalescer.coalesced(tokens, epoch: 1)
        #expect(ranges == [TokenRange(epoch: 1, first: 1, count: 2, handout: 1)])
        #expect(covered == 2)
    }
}
