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
        // The last column and row stand for the feature, or the fault, alone.
        let faults = report.faults | 1 << UInt64(Fault.allCases.count)
        let features = report.features | 1 << UInt64(Feature.allCases.count)
        for feature in 0...Feature.allCases.count where features >> UInt64(feature) & 1 == 1 {
            for fault in 0...Fault.allCases.count where faults >> UInt64(fault) & 1 == 1 {
                together[feature][fault] += 1
            }
        }
    }

    package var totalOperations: Int { operations.reduce(0, +) }

    package var medianOperations: Int {
        guard !operations.isEmpty else { return 0 }
        return operations.sorted()[operations.count / 2]
    }

    /// Pairs of feature and fault that no seed had together.
    package var untried: [String] {
        var pairs: [String] = []
        for feature in Feature.allCases {
            for fault in Fault.allCases where together[feature.rawValue][fault.rawValue] == 0 {
                pairs.append("\(feature)+\(fault)")
            }
        }
        return pairs
    }

    /// In how many seeds each feature and each fault had an effect together.
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
