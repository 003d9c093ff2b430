private import Synchronization

/// How often each size of batch occurred, in powers of two, and exact totals.
package final class SizeDistribution: Sendable {
    private struct State {
        var buckets = [UInt64](repeating: 0, count: 33)
        var batches: UInt64 = 0
        var items: UInt64 = 0
        var largest: UInt64 = 0
    }
    private let state = Mutex(State())

    package init() {}

    package func record(_ size: Int) {
        guard size > 0 else { return }
        let bucket = min(32, UInt64.bitWidth - (UInt64(size) - 1).leadingZeroBitCount)
        let index = size == 1 ? 0 : bucket
        state.withLock {
            $0.buckets[index] += 1
            $0.batches += 1
            $0.items += UInt64(size)
            $0.largest = max($0.largest, UInt64(size))
        }
    }

    package struct Row: Sendable, Hashable {
        /// The smallest and largest size counted here.
        package var from: UInt64
        package var to: UInt64
        package var count: UInt64
    }

    package struct Summary: Sendable, Hashable {
        package var batches: UInt64
        package var mean: Double
        package var largest: UInt64
        package var rows: [Row]

        package var text: String {
            let shares = rows.map { row in
                let share = Double(row.count) / Double(max(1, batches)) * 100
                let range = row.from == row.to ? "\(row.from)" : "\(row.from)-\(row.to)"
                return "\(range): \(Units.fixed(share, 1))%"
            }
            return
                "mean \(Units.fixed(mean, 1)), max \(largest)  [\(shares.joined(separator: ", "))]"
        }

        package var json: JSONValue {
            .object([
                "batches": .unsigned(batches), "mean": .number(mean),
                "largest": .unsigned(largest),
                "sizes": .array(
                    rows.map {
                        .object([
                            "from": .unsigned($0.from), "to": .unsigned($0.to),
                            "count": .unsigned($0.count),
                        ])
                    }),
            ])
        }
    }

    package func summary() -> Summary {
        let state = state.withLock { $0 }
        let rows = state.buckets.enumerated().filter { $0.element > 0 }.map { index, count in
            index == 0
                ? Row(from: 1, to: 1, count: count)
                : Row(from: (UInt64(1) << (index - 1)) + 1, to: UInt64(1) << index, count: count)
        }
        return Summary(
            batches: state.batches,
            mean: state.batches == 0 ? 0 : Double(state.items) / Double(state.batches),
            largest: state.largest, rows: rows)
    }
}
