/// What came of many seeds.
package struct RunSummary: Sendable {
    package private(set) var seeds = 0
    package private(set) var failing: [SeedReport] = []
    private var operations: [Int] = []
    private var together = [[Int]](
        repeating: [Int](repeating: 0, count: Fault.allCases.count + 1),
        count: Feature.allCases.count + 1)

    package init() {}

    package mutating func add(_ report: SeedReport) {
        seeds += 1
        operations.append(report.operations)
        if !report.violations.isEmpty { failing.append(report) }
        for feature in Feature.allCases where report.features >> UInt64(feature.rawValue) & 1 == 1 {
            let faults =
                report.together.indices.contains(feature.rawValue)
                ? report.together[feature.rawValue] : 0
            for fault in Fault.allCases where faults >> UInt64(fault.rawValue) & 1 == 1 {
                together[feature.rawValue][fault.rawValue] += 1
            }
            together[feature.rawValue][Fault.allCases.count] += 1
        }
        for fault in Fault.allCases where report.faults >> UInt64(fault.rawValue) & 1 == 1 {
            together[Feature.allCases.count][fault.rawValue] += 1
        }
        together[Feature.allCases.count][Fault.allCases.count] += 1
    }

    package var totalOperations: Int { operations.reduce(0, +) }

    package var medianOperations: Int {
        guard !operations.isEmpty else { return 0 }
        return operations.sorted()[operations.count / 2]
    }

    /// Features that took effect in no seed.
    package var idle: [String] {
        Feature.allCases.filter { together[$0.rawValue][Fault.allCases.count] == 0 }
            .map { "\($0)" }
    }

    /// Pairs of a feature that took effect somewhere and a fault in spite of which it never did.
    package var untried: [String] {
        var pairs: [String] = []
        for feature in Feature.allCases
        where together[feature.rawValue][Fault.allCases.count] > 0 {
            for fault in Fault.allCases where together[feature.rawValue][fault.rawValue] == 0 {
                pairs.append("\(feature)+\(fault)")
            }
        }
        return pairs
    }

    /// In how many seeds each feature took effect after each fault had struck; the last column and
    /// row count the feature, or the fault, alone.
    package var table: String {
        let heads = Fault.allCases.map { String("\($0)".prefix(9)) } + ["any"]
        var lines = [pad("", 18) + heads.map { padLeft($0, 10) }.joined()]
        for row in 0...Feature.allCases.count {
            let name = row < Feature.allCases.count ? "\(Feature.allCases[row])" : "any"
            lines.append(
                pad(name, 18) + together[row].map { padLeft(String($0), 10) }.joined())
        }
        return lines.joined(separator: "\n")
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private func padLeft(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
