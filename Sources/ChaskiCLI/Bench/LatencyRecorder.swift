private import Histogram
private import Synchronization

/// Latencies in nanoseconds, three significant digits, safe to use from all tasks.
package final class LatencyRecorder: Sendable {
    private let histogram: Mutex<Histogram<UInt64>>
    /// An hour: more is recorded as an hour.
    private static let maximumNanos: UInt64 = 3_600_000_000_000

    package init() {
        var histogram = Histogram<UInt64>(
            lowestDiscernibleValue: 1, highestTrackableValue: Self.maximumNanos,
            numberOfSignificantValueDigits: .three)
        histogram.autoResize = false
        self.histogram = Mutex(histogram)
    }

    package func record(nanos: Int64, count: UInt64 = 1) {
        let value = min(UInt64(max(0, nanos)), Self.maximumNanos)
        histogram.withLock { _ = $0.record(value, count: count) }
    }

    package func summary() -> LatencySummary {
        histogram.withLock { histogram in
            guard histogram.totalCount > 0 else { return LatencySummary() }
            func at(_ percentile: Double) -> Int64 {
                Int64(clamping: histogram.valueAtPercentile(percentile))
            }
            return LatencySummary(
                count: histogram.totalCount, p50: at(50), p90: at(90), p99: at(99), p999: at(99.9),
                p9999: at(99.99), maximum: Int64(clamping: histogram.maxRecorded))
        }
    }
}

/// Percentiles of latencies, nanoseconds.
package struct LatencySummary: Sendable, Hashable {
    package var count: UInt64 = 0
    package var p50: Int64 = 0
    package var p90: Int64 = 0
    package var p99: Int64 = 0
    package var p999: Int64 = 0
    package var p9999: Int64 = 0
    package var maximum: Int64 = 0

    package init() {}

    package init(
        count: UInt64, p50: Int64, p90: Int64, p99: Int64, p999: Int64, p9999: Int64,
        maximum: Int64
    ) {
        self.count = count
        self.p50 = p50
        self.p90 = p90
        self.p99 = p99
        self.p999 = p999
        self.p9999 = p9999
        self.maximum = maximum
    }

    package var named: [(name: String, nanos: Int64)] {
        [
            ("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("p99.99", p9999),
            ("max", maximum),
        ]
    }

    package var text: String {
        named.map { "\($0.name) \(Units.duration(nanos: $0.nanos))" }.joined(separator: "  ")
    }

    package var json: JSONValue {
        .object([
            "count": .unsigned(count), "p50Nanos": .integer(p50), "p90Nanos": .integer(p90),
            "p99Nanos": .integer(p99), "p99_9Nanos": .integer(p999),
            "p99_99Nanos": .integer(p9999), "maxNanos": .integer(maximum),
        ])
    }
}
