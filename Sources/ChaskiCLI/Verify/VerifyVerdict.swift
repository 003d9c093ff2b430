/// What a history contains.
package struct VerifyCounts: Sendable, Hashable {
    package var sent: UInt64 = 0
    package var stored: UInt64 = 0
    package var failed: UInt64 = 0
    package var indeterminate: UInt64 = 0
    package var delivered: UInt64 = 0
    package var redelivered: UInt64 = 0
    package var acked: UInt64 = 0
    package var acksUnconfirmed: UInt64 = 0
    package var logged: UInt64 = 0
    package var faultsTried: UInt64 = 0
    /// Faults with OKs before and after them.
    package var faults: UInt64 = 0

    package init() {}

    package var named: [(name: String, count: UInt64)] {
        [
            ("sent", sent), ("ok", stored), ("fail", failed), ("indeterminate", indeterminate),
            ("delivered", delivered), ("redelivered", redelivered), ("acksConfirmed", acked),
            ("acksUnconfirmed", acksUnconfirmed), ("readBack", logged),
            ("faults", faultsTried), ("effectiveFaults", faults),
        ]
    }
}

/// The judgement on a history.
package struct VerifyVerdict: Sendable {
    package enum Outcome: String, Sendable {
        case held, violated
        /// No violation, and too little happened to believe it.
        case inconclusive
    }

    package var outcome: Outcome
    package var counts: VerifyCounts
    package var violations: [(name: String, count: UInt64)]
    package var examples: [String]
    /// What an inconclusive run lacks.
    package var missing: [String]

    package var programStatus: ProgramStatus {
        switch outcome {
        case .held: .ok
        case .violated: .checkFailed
        case .inconclusive: .temporary
        }
    }

    package var lines: [String] {
        var fields = FieldList()
        for item in counts.named { fields.append(item.name, Units.grouped(item.count)) }
        for item in violations { fields.append(item.name, Units.grouped(item.count)) }
        var lines = ["bench verify: \(outcome.rawValue)"] + fields.lines.map { "  " + $0 }
        lines += examples.map { "  violation: " + $0 }
        lines += missing.map { "  no verdict: " + $0 }
        return lines
    }

    package var json: JSONValue {
        var counted = JSONObject()
        for item in counts.named { counted.append(item.name, .unsigned(item.count)) }
        var broken = JSONObject()
        for item in violations { broken.append(item.name, .unsigned(item.count)) }
        return .object([
            "verdict": .string(outcome.rawValue), "counts": .object(counted),
            "violations": .object(broken), "examples": .array(examples.map { .string($0) }),
            "missing": .array(missing.map { .string($0) }),
        ])
    }
}
