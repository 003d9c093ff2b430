/// Judges a history: nothing that the clients themselves did not see counts as evidence.
///
/// Feed it every event in order, then ask for the `verdict`.
package struct HistoryChecker: Sendable {
    /// A way in which a broker can break its word.
    package enum Violation: String, CaseIterable, Sendable {
        /// OK was answered, and the log read at the end does not hold it (INVARIANTS P1).
        case lost
        /// OK was answered, it is in the log, and no consumer ever got it (A1).
        case undelivered
        /// In the log or delivered, and nobody published it, or FAIL was answered (P3, P8).
        case phantom
        /// One message at two offsets, or two OKs for one offset (P4, U1).
        case duplicated
        /// An offset showed two contents, or content that differs from what was published (P1, P6).
        case changed
        /// One producer's messages in another order than sent (O1).
        case reordered
        /// Handed out again after its ack was confirmed (A2).
        case redeliveredAfterAck
        /// One token delivered twice (A3).
        case tokenRepeated
        /// The log has a hole (P7, R3).
        case gap
    }

    /// Enough of everything, or no verdict.
    package struct Thresholds: Sendable {
        package var stored: UInt64
        package var indeterminate: UInt64
        package var faults: UInt64

        package init(stored: UInt64 = 1_000, indeterminate: UInt64 = 20, faults: UInt64 = 5) {
            self.stored = stored
            self.indeterminate = indeterminate
            self.faults = faults
        }
    }

    private enum Outcome: UInt8 { case none, sending, stored, failed, indeterminate }

    private struct Publication {
        var outcome = Outcome.none
        var offset: UInt64 = .max
        var loggedAt: UInt64 = .max
    }

    private struct Slot {
        var value: VerifyValue?
        var stored = false
        var logged = false
        var delivered = false
        var lastDelivered = HandoutToken(epoch: 0, handout: 0)
        var acked: HandoutToken?
    }

    /// Offsets and numbers past this are taken for garbage.
    private static let bound: UInt64 = 200_000_000
    private static let examplesKept = 5

    package private(set) var counts = VerifyCounts()
    package private(set) var violations: [Violation: UInt64] = [:]
    package private(set) var examples: [String] = []
    private var producers: [[Publication]] = []
    private var slots: [Slot] = []
    private var audited = false
    private var drained = false
    private var sinceFault: UInt64 = 0
    private var pendingFault = false

    package init() {}

    package mutating func add(_ event: HistoryEvent) {
        switch event {
        case .sending(let value): sending(value)
        case .stored(let value, let offset): stored(value, at: offset)
        case .failed(let value, _):
            counts.failed += 1
            withPublication(value) { $0.outcome = .failed }
        case .indeterminate(let value):
            counts.indeterminate += 1
            withPublication(value) { $0.outcome = .indeterminate }
        case .delivered(let offset, let token, let value, let intact):
            delivered(offset, token, value, intact)
        case .acked(let offset, let token): acked(offset, token)
        case .ackLost: counts.acksUnconfirmed += 1
        case .logged(let offset, let value, let intact): logged(offset, value, intact)
        case .mark(_, let what): mark(what)
        }
    }

    private mutating func report(_ violation: Violation, _ detail: String) {
        let count = violations[violation, default: 0]
        violations[violation] = count + 1
        if count < Self.examplesKept { examples.append("\(violation.rawValue): \(detail)") }
    }

    private mutating func withPublication(
        _ value: VerifyValue, _ body: (inout Publication) -> Void
    ) {
        guard value.producer < 10_000, value.number < Self.bound else { return }
        let producer = Int(value.producer)
        let number = Int(value.number)
        while producers.count <= producer { producers.append([]) }
        while producers[producer].count <= number { producers[producer].append(Publication()) }
        body(&producers[producer][number])
    }

    private func publication(_ value: VerifyValue) -> Publication? {
        guard value.producer < producers.count,
            value.number < producers[Int(value.producer)].count
        else { return nil }
        let found = producers[Int(value.producer)][Int(value.number)]
        return found.outcome == .none ? nil : found
    }

    private mutating func makeSlot(_ offset: UInt64) -> Int? {
        guard offset < Self.bound else { return nil }
        let index = Int(offset)
        while slots.count <= index { slots.append(Slot()) }
        return index
    }

    private mutating func sending(_ value: VerifyValue) {
        counts.sent += 1
        withPublication(value) { if $0.outcome == .none { $0.outcome = .sending } }
    }

    private mutating func stored(_ value: VerifyValue, at offset: UInt64) {
        counts.stored += 1
        sinceFault += 1
        if pendingFault {
            counts.faults += 1
            pendingFault = false
        }
        withPublication(value) {
            $0.outcome = .stored
            $0.offset = offset
        }
        guard let index = makeSlot(offset) else {
            report(.phantom, "OK for \(Self.name(value)) at impossible offset \(offset)")
            return
        }
        if slots[index].stored {
            report(
                .duplicated,
                "offset \(offset) was given to \(Self.name(slots[index].value)) and "
                    + Self.name(value))
        }
        if let seen = slots[index].value, seen != value, !slots[index].stored {
            report(.changed, "offset \(offset): \(Self.name(seen)), then \(Self.name(value))")
        }
        slots[index].stored = true
        slots[index].value = value
    }

    /// Checks what anybody saw at an offset against all that was seen there before.
    private mutating func see(
        _ offset: UInt64, _ value: VerifyValue?, _ intact: Bool, _ how: String
    ) -> Int? {
        guard let index = makeSlot(offset) else {
            report(.phantom, "\(how) at impossible offset \(offset)")
            return nil
        }
        guard let value, let publication = publication(value) else {
            report(.phantom, "\(how) offset \(offset): \(Self.name(value)), which nobody published")
            return index
        }
        if !intact {
            report(.changed, "\(how) offset \(offset): \(Self.name(value)) with other bytes")
        }
        if let seen = slots[index].value, seen != value {
            report(
                .changed,
                "offset \(offset) held \(Self.name(seen)), \(how) \(Self.name(value))")
        }
        if publication.outcome == .stored, publication.offset != offset {
            report(
                .duplicated,
                "\(Self.name(value)) was OK at \(publication.offset), \(how) at \(offset)")
        }
        if slots[index].value == nil { slots[index].value = value }
        return index
    }

    private mutating func delivered(
        _ offset: UInt64, _ token: HandoutToken, _ value: VerifyValue?, _ intact: Bool
    ) {
        counts.delivered += 1
        guard let index = see(offset, value, intact, "delivered") else { return }
        if slots[index].delivered {
            counts.redelivered += 1
            if slots[index].lastDelivered == token {
                report(.tokenRepeated, "offset \(offset), \(Self.name(token)) delivered twice")
            }
        }
        if let acked = slots[index].acked, acked < token {
            report(
                .redeliveredAfterAck,
                "offset \(offset): ack of \(Self.name(acked)) confirmed, delivered again as "
                    + Self.name(token))
        }
        slots[index].delivered = true
        slots[index].lastDelivered = max(slots[index].lastDelivered, token)
    }

    private mutating func acked(_ offset: UInt64, _ token: HandoutToken) {
        counts.acked += 1
        guard let index = makeSlot(offset) else { return }
        // A hand-out that was recorded first may be later than the one acked.
        if slots[index].delivered, token < slots[index].lastDelivered {
            report(
                .redeliveredAfterAck,
                "offset \(offset): \(Self.name(slots[index].lastDelivered)) was out, and the ack "
                    + "of \(Self.name(token)) was confirmed")
        }
        slots[index].acked = max(slots[index].acked ?? token, token)
    }

    private mutating func logged(_ offset: UInt64, _ value: VerifyValue?, _ intact: Bool) {
        counts.logged += 1
        guard let index = see(offset, value, intact, "in the log") else { return }
        if slots[index].logged {
            report(.tokenRepeated, "offset \(offset) was read twice from the log")
        }
        slots[index].logged = true
        guard let value, publication(value) != nil else { return }
        var earlier = UInt64.max
        withPublication(value) {
            earlier = $0.loggedAt
            $0.loggedAt = offset
        }
        if earlier != .max, earlier != offset {
            report(.duplicated, "\(Self.name(value)) is in the log at \(earlier) and \(offset)")
        }
    }

    private mutating func mark(_ what: String) {
        if what.hasPrefix("fault-") {
            // Effective: OKs came before it, and one comes after it.
            if sinceFault > 0 { pendingFault = true }
            sinceFault = 0
            counts.faultsTried += 1
        } else if what == "audited" {
            audited = true
        } else if what == "drained" {
            drained = true
        }
    }

    /// Ends the run: what is missing can be told only now.
    package mutating func verdict(_ thresholds: Thresholds) -> VerifyVerdict {
        if audited { checkLog() }
        if drained { checkDeliveries() }
        checkOrder()
        let broken = Violation.allCases.contains { violations[$0, default: 0] > 0 }
        var missing: [String] = []
        if !audited { missing.append("the log was not read at the end") }
        if !drained { missing.append("the consumers did not catch up") }
        if counts.stored < thresholds.stored {
            missing.append("\(counts.stored) OK, at least \(thresholds.stored) needed")
        }
        if counts.indeterminate < thresholds.indeterminate {
            missing.append(
                "\(counts.indeterminate) INDETERMINATE, at least \(thresholds.indeterminate) needed"
            )
        }
        if counts.faults < thresholds.faults {
            missing.append(
                "\(counts.faults) effective faults, at least \(thresholds.faults) needed")
        }
        return VerifyVerdict(
            outcome: broken ? .violated : missing.isEmpty ? .held : .inconclusive,
            counts: counts,
            violations: Violation.allCases.map { ($0.rawValue, violations[$0, default: 0]) },
            examples: examples, missing: missing)
    }

    private mutating func checkLog() {
        let top = slots.lastIndex { $0.logged }.map { $0 + 1 } ?? 0
        for offset in 0..<top where !slots[offset].logged && !slots[offset].stored {
            report(.gap, "offset \(offset) is missing between others")
        }
        for (offset, slot) in slots.enumerated() where slot.stored && !slot.logged {
            report(.lost, "\(Self.name(slot.value)) was OK at offset \(offset)")
        }
        for (producer, publications) in producers.enumerated() {
            for (number, item) in publications.enumerated()
            where item.outcome == .failed && item.loggedAt != .max {
                let value = VerifyValue(producer: UInt32(producer), number: UInt64(number))
                report(
                    .phantom, "\(Self.name(value)) was FAIL and is in the log at \(item.loggedAt)")
            }
        }
    }

    private mutating func checkDeliveries() {
        for (offset, slot) in slots.enumerated() where slot.stored && !slot.delivered {
            // What is lost is told once.
            guard !audited || slot.logged else { continue }
            report(.undelivered, "\(Self.name(slot.value)) at offset \(offset)")
        }
    }

    private mutating func checkOrder() {
        for (producer, publications) in producers.enumerated() {
            var last: UInt64?
            for (number, item) in publications.enumerated() {
                let offset = item.outcome == .stored ? item.offset : item.loggedAt
                guard offset != .max else { continue }
                if let last, offset < last {
                    let value = VerifyValue(producer: UInt32(producer), number: UInt64(number))
                    report(.reordered, "\(Self.name(value)) at \(offset), after one at \(last)")
                }
                last = max(last ?? 0, offset)
            }
        }
    }

    private static func name(_ value: VerifyValue?) -> String {
        value.map { "message \($0.producer)/\($0.number)" } ?? "foreign bytes"
    }

    private static func name(_ token: HandoutToken) -> String {
        "hand-out \(token.handout) of epoch \(token.epoch)"
    }
}
