import ChaskiCLI
import Testing

/// Each kind of violation is seeded into a history that is otherwise right, and must be told.
@Suite struct HistoryCheckerTests {
    private static let messages: UInt64 = 50

    private static func value(_ number: UInt64, _ producer: UInt32 = 0) -> VerifyValue {
        VerifyValue(producer: producer, number: number)
    }

    private static func token(_ handout: UInt32, epoch: UInt32 = 1) -> HandoutToken {
        HandoutToken(epoch: epoch, handout: handout)
    }

    /// 50 messages stored, delivered, acked, read back, with six faults between.
    private static func goodHistory() -> [HistoryEvent] {
        var events: [HistoryEvent] = [.mark(nanos: 0, "start")]
        for number in 0..<messages {
            if number > 0, number % 8 == 0 { events.append(.mark(nanos: 0, "fault-kill")) }
            events.append(.sending(value(number)))
            events.append(.stored(value(number), offset: number))
            events.append(
                .delivered(offset: number, token(1), value(number), intact: true))
            events.append(.acked(offset: number, token(1)))
        }
        events.append(.mark(nanos: 0, "drained"))
        for number in 0..<messages {
            events.append(.logged(offset: number, value(number), intact: true))
        }
        events.append(.mark(nanos: 0, "audited"))
        return events
    }

    private static func verdict(
        _ events: [HistoryEvent], indeterminate: UInt64 = 0
    ) -> VerifyVerdict {
        var checker = HistoryChecker()
        for event in events { checker.add(event) }
        return checker.verdict(
            HistoryChecker.Thresholds(stored: 10, indeterminate: indeterminate, faults: 5))
    }

    private static func count(_ verdict: VerifyVerdict, _ name: String) -> UInt64 {
        verdict.violations.first { $0.name == name }?.count ?? 0
    }

    /// Every violation is named; all others stay at zero unless listed.
    private static func expectOnly(
        _ kinds: Set<String>, _ events: [HistoryEvent],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let result = verdict(events)
        #expect(result.outcome == .violated, sourceLocation: sourceLocation)
        for (name, count) in result.violations {
            #expect(
                (count > 0) == kinds.contains(name), "\(name): \(count), \(result.examples)",
                sourceLocation: sourceLocation)
        }
    }

    @Test func aRightHistoryHolds() {
        let result = Self.verdict(Self.goodHistory())
        #expect(result.outcome == .held)
        #expect(result.counts.stored == 50)
        #expect(result.counts.faults == 6)
        #expect(result.programStatus == .ok)
    }

    @Test func lost() {
        let events = Self.goodHistory().filter {
            if case .logged(49, _, _) = $0 { return false }
            if case .delivered(49, _, _, _) = $0 { return false }
            if case .acked(49, _) = $0 { return false }
            return true
        }
        Self.expectOnly(["lost"], events)
    }

    @Test func undelivered() {
        let events = Self.goodHistory().filter {
            if case .delivered(20, _, _, _) = $0 { return false }
            return true
        }
        Self.expectOnly(["undelivered"], events)
    }

    @Test func phantomThatNobodySent() {
        var events = Self.goodHistory()
        events.append(.logged(offset: 50, Self.value(999), intact: true))
        Self.expectOnly(["phantom"], events)
    }

    @Test func phantomForeignBytes() {
        var events = Self.goodHistory()
        events.append(.delivered(offset: 50, Self.token(1), nil, intact: false))
        Self.expectOnly(["phantom"], events)
    }

    @Test func phantomAfterFailure() {
        var events = Self.goodHistory()
        events.append(.sending(Self.value(50)))
        events.append(.failed(Self.value(50), reason: "disk-full"))
        events.append(.logged(offset: 50, Self.value(50), intact: true))
        Self.expectOnly(["phantom"], events)
    }

    @Test func indeterminateMayBeThereOnceOrNot() {
        var events = Self.goodHistory()
        for number in 50..<UInt64(52) {
            events.append(.sending(Self.value(number)))
            events.append(.indeterminate(Self.value(number)))
        }
        events.append(.logged(offset: 50, Self.value(51), intact: true))
        #expect(Self.verdict(events).outcome == .held)
        events.append(.logged(offset: 51, Self.value(51), intact: true))
        Self.expectOnly(["duplicated"], events)
    }

    @Test func duplicatedOffset() {
        var events = Self.goodHistory()
        events.insert(.stored(Self.value(49), offset: 7), at: 60)
        let result = Self.verdict(events)
        #expect(result.outcome == .violated)
        #expect(Self.count(result, "duplicated") > 0)
    }

    @Test func duplicatedMessage() {
        var events = Self.goodHistory()
        events.append(.logged(offset: 50, Self.value(3), intact: true))
        Self.expectOnly(["duplicated"], events)
    }

    @Test func changedBytes() {
        var events = Self.goodHistory()
        events.append(.delivered(offset: 3, Self.token(1, epoch: 0), Self.value(3), intact: false))
        Self.expectOnly(["changed"], events)
    }

    @Test func changedOffset() {
        var events = Self.goodHistory()
        events.append(.sending(Self.value(0, 1)))
        events.append(.indeterminate(Self.value(0, 1)))
        events.append(
            .delivered(offset: 3, Self.token(1, epoch: 0), Self.value(0, 1), intact: true))
        Self.expectOnly(["changed"], events)
    }

    @Test func reordered() {
        let swapped = Self.goodHistory().map { event -> HistoryEvent in
            func other(_ offset: UInt64) -> UInt64 {
                offset == 10 ? 11 : offset == 11 ? 10 : offset
            }
            switch event {
            case .stored(let value, let offset): return .stored(value, offset: other(offset))
            case .delivered(let offset, let token, let value, let intact):
                return .delivered(offset: other(offset), token, value, intact: intact)
            case .logged(let offset, let value, let intact):
                return .logged(offset: other(offset), value, intact: intact)
            default: return event
            }
        }
        Self.expectOnly(["reordered"], swapped)
    }

    @Test func redeliveredAfterConfirmedAck() {
        var events = Self.goodHistory()
        events.append(
            .delivered(offset: 5, Self.token(1, epoch: 2), Self.value(5), intact: true))
        Self.expectOnly(["redeliveredAfterAck"], events)
    }

    @Test func anEarlierHandoutRecordedLateIsNoViolation() {
        var events = Self.goodHistory().map { event -> HistoryEvent in
            switch event {
            case .delivered(5, _, let value, let intact):
                return .delivered(offset: 5, Self.token(2), value, intact: intact)
            case .acked(5, _): return .acked(offset: 5, Self.token(2))
            default: return event
            }
        }
        events.append(.delivered(offset: 5, Self.token(1), Self.value(5), intact: true))
        #expect(Self.verdict(events).outcome == .held)
    }

    @Test func staleAckBelieved() {
        var events = Self.goodHistory().filter { $0 != .acked(offset: 5, Self.token(1)) }
        events.append(.delivered(offset: 5, Self.token(2), Self.value(5), intact: true))
        #expect(Self.verdict(events).outcome == .held)
        events.append(.acked(offset: 5, Self.token(1)))
        Self.expectOnly(["redeliveredAfterAck"], events)
    }

    @Test func tokenRepeated() {
        var events = Self.goodHistory()
        events.append(.delivered(offset: 5, Self.token(1), Self.value(5), intact: true))
        Self.expectOnly(["tokenRepeated"], events)
    }

    @Test func gap() {
        var events = Self.goodHistory()
        events.append(.sending(Self.value(50)))
        events.append(.stored(Self.value(50), offset: 52))
        events.append(.delivered(offset: 52, Self.token(1), Self.value(50), intact: true))
        events.append(.logged(offset: 52, Self.value(50), intact: true))
        Self.expectOnly(["gap"], events)
    }

    @Test func tooLittleIsInconclusive() {
        let result = Self.verdict(Self.goodHistory(), indeterminate: 20)
        #expect(result.outcome == .inconclusive)
        #expect(result.programStatus == .temporary)
        #expect(result.missing.count == 1)
    }

    @Test func aFaultWithoutPublishesAroundItDoesNotCount() {
        var events = Self.goodHistory()
        events.append(.mark(nanos: 0, "fault-kill"))
        events.append(.mark(nanos: 0, "fault-kill"))
        let result = Self.verdict(events)
        #expect(result.counts.faultsTried == 8)
        #expect(result.counts.faults == 6)
    }

    @Test func eventsSurviveTheFile() {
        let events: [HistoryEvent] =
            Self.goodHistory() + [
                .failed(Self.value(1), reason: "disk-full"), .indeterminate(Self.value(2)),
                .ackLost(offset: 9, Self.token(3), reason: "stale"),
                .delivered(offset: 1, Self.token(1), nil, intact: false),
                .mark(nanos: 123, "tick"),
            ]
        var bytes: [UInt8] = []
        for event in events { event.write(into: &bytes) }
        let read = bytes.split(separator: 0x0A).map { HistoryEvent($0) }
        #expect(read == events)
    }

    @Test(arguments: ["", "o 1", "z 1 2 3", "o 1 2 x", "d 1 2", "t 99999999999999999999999 x"])
    func garbageIsNoEvent(_ line: String) {
        #expect(HistoryEvent(ArraySlice(Array(line.utf8))) == nil)
    }

    @Test func contentNamesItself() {
        let content = VerifyContent(run: "r1", payloadBytes: 200)
        let value = Self.value(77, 3)
        let payload = content.payload(of: value)
        #expect(content.value(in: payload) == value)
        #expect(
            content.isIntact(
                value, payload: payload, key: content.key(of: value), attribute: "77"))
        var changed = payload
        changed[changed.count - 1] ^= 1
        #expect(
            !content.isIntact(
                value, payload: changed, key: content.key(of: value), attribute: "77"))
        #expect(VerifyContent(run: "r2", payloadBytes: 200).value(in: payload) == nil)
    }
}
