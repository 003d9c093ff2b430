/// Names one hand-out, as in a delivery token.
package struct HandoutToken: Hashable, Comparable, Sendable {
    package var epoch: UInt32
    package var handout: UInt32

    package init(epoch: UInt32, handout: UInt32) {
        self.epoch = epoch
        self.handout = handout
    }

    package static func < (a: Self, b: Self) -> Bool {
        a.epoch != b.epoch ? a.epoch < b.epoch : a.handout < b.handout
    }
}

/// One line of a history: what a client did or saw, in the order in which it happened to it.
///
/// | line | meaning |
/// |---|---|
/// | `s P N` | producer P is about to publish number N |
/// | `o P N OFFSET` | OK: on disk at that offset |
/// | `f P N REASON` | FAIL: not stored |
/// | `i P N` | INDETERMINATE |
/// | `d OFFSET EPOCH HANDOUT P N INTACT` | delivered (INTACT 1: byte for byte what was published; P N are `- -` where the payload is none of ours) |
/// | `a OFFSET EPOCH HANDOUT` | the ack of that hand-out was confirmed |
/// | `x OFFSET EPOCH HANDOUT REASON` | the ack was refused, or its outcome is unknown |
/// | `l OFFSET P N INTACT` | the log read again from the start, at the end of the run |
/// | `t NANOS WHAT` | a mark: nanoseconds since boot, and a word (`start`, `tick`, `fault-KIND`, `drained`, `audited`) |
package enum HistoryEvent: Hashable, Sendable {
    case sending(VerifyValue)
    case stored(VerifyValue, offset: UInt64)
    case failed(VerifyValue, reason: String)
    case indeterminate(VerifyValue)
    case delivered(offset: UInt64, HandoutToken, VerifyValue?, intact: Bool)
    case acked(offset: UInt64, HandoutToken)
    case ackLost(offset: UInt64, HandoutToken, reason: String)
    case logged(offset: UInt64, VerifyValue?, intact: Bool)
    case mark(nanos: Int64, String)

    /// Appends the line, newline included.
    package func write(into out: inout [UInt8]) {
        func put(_ text: String) { out.append(contentsOf: text.utf8) }
        func name(_ value: VerifyValue?) -> String {
            value.map { "\($0.producer) \($0.number)" } ?? "- -"
        }
        switch self {
        case .sending(let value): put("s \(name(value))\n")
        case .stored(let value, let offset): put("o \(name(value)) \(offset)\n")
        case .failed(let value, let reason): put("f \(name(value)) \(Self.word(reason))\n")
        case .indeterminate(let value): put("i \(name(value))\n")
        case .delivered(let offset, let token, let value, let intact):
            put("d \(offset) \(token.epoch) \(token.handout) \(name(value)) \(intact ? 1 : 0)\n")
        case .acked(let offset, let token): put("a \(offset) \(token.epoch) \(token.handout)\n")
        case .ackLost(let offset, let token, let reason):
            put("x \(offset) \(token.epoch) \(token.handout) \(Self.word(reason))\n")
        case .logged(let offset, let value, let intact):
            put("l \(offset) \(name(value)) \(intact ? 1 : 0)\n")
        case .mark(let nanos, let what): put("t \(nanos) \(Self.word(what))\n")
        }
    }

    private static func word(_ text: String) -> String {
        let word = text.map { $0.isASCII && !$0.isWhitespace && !$0.isNewline ? $0 : "-" }
        return word.isEmpty ? "-" : String(word)
    }

    /// Reads one line without its newline; nil where it is none.
    package init?(_ line: ArraySlice<UInt8>) {
        let fields = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard let kind = fields.first, kind.count == 1, let letter = kind.first else { return nil }
        func number(_ index: Int) -> UInt64? {
            guard index < fields.count else { return nil }
            return Self.number(fields[index])
        }
        func value(_ index: Int) -> VerifyValue? {
            guard let producer = number(index), let count = number(index + 1),
                let producer = UInt32(exactly: producer)
            else { return nil }
            return VerifyValue(producer: producer, number: count)
        }
        func token(_ index: Int) -> HandoutToken? {
            guard let epoch = number(index).flatMap({ UInt32(exactly: $0) }),
                let handout = number(index + 1).flatMap({ UInt32(exactly: $0) })
            else { return nil }
            return HandoutToken(epoch: epoch, handout: handout)
        }
        func word(_ index: Int) -> String? {
            index < fields.count ? Text.decoded(fields[index]) : nil
        }
        switch letter {
        case UInt8(ascii: "s"):
            guard fields.count == 3, let value = value(1) else { return nil }
            self = .sending(value)
        case UInt8(ascii: "o"):
            guard fields.count == 4, let value = value(1), let offset = number(3) else {
                return nil
            }
            self = .stored(value, offset: offset)
        case UInt8(ascii: "f"):
            guard fields.count == 4, let value = value(1), let reason = word(3) else { return nil }
            self = .failed(value, reason: reason)
        case UInt8(ascii: "i"):
            guard fields.count == 3, let value = value(1) else { return nil }
            self = .indeterminate(value)
        case UInt8(ascii: "d"):
            guard fields.count == 7, let offset = number(1), let token = token(2),
                let intact = number(6)
            else { return nil }
            self = .delivered(offset: offset, token, value(4), intact: intact == 1)
        case UInt8(ascii: "a"):
            guard fields.count == 4, let offset = number(1), let token = token(2) else {
                return nil
            }
            self = .acked(offset: offset, token)
        case UInt8(ascii: "x"):
            guard fields.count == 5, let offset = number(1), let token = token(2),
                let reason = word(4)
            else { return nil }
            self = .ackLost(offset: offset, token, reason: reason)
        case UInt8(ascii: "l"):
            guard fields.count == 5, let offset = number(1), let intact = number(4) else {
                return nil
            }
            self = .logged(offset: offset, value(2), intact: intact == 1)
        case UInt8(ascii: "t"):
            guard fields.count == 3, let nanos = number(1), let what = word(2) else { return nil }
            self = .mark(nanos: Int64(clamping: nanos), what)
        default: return nil
        }
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard !digits.isEmpty, digits.count <= 20 else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            let (product, over) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.addingReportingOverflow(UInt64(digit - 0x30))
            guard !over, !carried else { return nil }
            value = sum
        }
        return value
    }
}
