/// Numbers as people read and write them.
package enum Units {
    /// `value` with `digits` digits after the point.
    package static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return value.isNaN ? "-" : "inf" }
        var scale: Double = 1
        for _ in 0..<max(0, min(digits, 9)) { scale *= 10 }
        let scaled = (abs(value) * scale).rounded()
        let whole = UInt64(exactly: (scaled / scale).rounded(.down)) ?? 0
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return sign + String(whole) }
        let fraction = UInt64(exactly: (scaled - Double(whole) * scale).rounded()) ?? 0
        let text = String(fraction)
        let zeros = String(repeating: "0", count: max(0, min(digits, 9) - text.count))
        return "\(sign)\(whole).\(zeros)\(text)"
    }

    /// 1234567 as 1,234,567.
    package static func grouped(_ value: UInt64) -> String {
        let digits = Array(String(value))
        var out = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { out.append(",") }
            out.append(digit)
        }
        return out
    }

    package static func grouped(_ value: Double) -> String {
        guard value.isFinite, value >= 0, value < 1e18 else { return "-" }
        return grouped(UInt64(value.rounded()))
    }

    /// A count of things: 1 connection, 2,000 connections.
    package static func count(_ value: UInt64, _ one: String) -> String {
        "\(grouped(value)) \(one)\(value == 1 ? "" : "s")"
    }

    /// Bytes in the largest binary unit below: 1.5 MiB.
    package static func bytes(_ value: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var amount = Double(value)
        var unit = 0
        while amount >= 1024, unit < units.count - 1 {
            amount /= 1024
            unit += 1
        }
        return unit == 0 ? "\(value) B" : "\(fixed(amount, 1)) \(units[unit])"
    }

    /// A duration in the unit that fits: 850 ns, 1.25 ms, 30 s, 12 h, 7 d.
    package static func duration(nanos: Int64) -> String {
        let value = Double(nanos)
        switch nanos.magnitude {
        case 0..<1_000: return "\(nanos) ns"
        case 1_000..<1_000_000: return trimmed(value / 1e3) + " µs"
        case 1_000_000..<1_000_000_000: return trimmed(value / 1e6) + " ms"
        case 1_000_000_000..<600_000_000_000: return trimmed(value / 1e9) + " s"
        case 600_000_000_000..<3_600_000_000_000: return trimmed(value / 60e9) + " min"
        case 3_600_000_000_000..<86_400_000_000_000: return trimmed(value / 3_600e9) + " h"
        default: return trimmed(value / 86_400e9) + " d"
        }
    }

    private static func trimmed(_ value: Double) -> String {
        var text = fixed(value, 2)
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return text
    }

    /// Reads a size: `65536`, `64KiB`, `64k`, `1.5GiB`, `10MB`. Units are binary unless they end in
    /// `B` without `i`.
    package static func parseBytes(_ text: String) -> UInt64? {
        let factors: [(String, Double)] = [
            ("kib", 1024), ("mib", 1_048_576), ("gib", 1_073_741_824),
            ("tib", 1_099_511_627_776), ("kb", 1e3), ("mb", 1e6), ("gb", 1e9), ("tb", 1e12),
            ("k", 1024), ("m", 1_048_576), ("g", 1_073_741_824), ("t", 1_099_511_627_776),
            ("b", 1),
        ]
        let lower = text.lowercased()
        if let value = UInt64(lower), !lower.hasPrefix("+") { return value }
        for (suffix, factor) in factors where lower.hasSuffix(suffix) {
            guard let amount = amount(lower.dropLast(suffix.count)) else { return nil }
            let value = (amount * factor).rounded()
            return value < 9e18 ? UInt64(value) : nil
        }
        return nil
    }

    /// Reads a duration: `250ms`, `30s`, `10m`, `1h`, `7d`, `1.5s`; a bare number is seconds.
    package static func parseDuration(nanos text: String) -> Int64? {
        let factors: [(String, Double)] = [
            ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9),
            ("min", 60e9), ("h", 3_600e9), ("d", 86_400e9),
        ]
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }
        guard let amount = amount(digits) else { return nil }
        guard let factor = unit.isEmpty ? 1e9 : factors.first(where: { $0.0 == unit })?.1
        else { return nil }
        let value = (amount * factor).rounded()
        return value < 9e18 ? Int64(value) : nil
    }

    private static func amount(_ text: Substring) -> Double? {
        let digits = text.last == " " ? text.dropLast() : text
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
            let value = Double(digits), value.isFinite
        else { return nil }
        return value
    }

    /// Nanoseconds since 1970 as UTC: 2026-01-31T09:05:00.123Z.
    package static func timestamp(wallNanos: Int64) -> String {
        var seconds = wallNanos / 1_000_000_000
        var nanos = wallNanos % 1_000_000_000
        if nanos < 0 {
            nanos += 1_000_000_000
            seconds -= 1
        }
        var day = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            day -= 1
        }
        let (year, month, dayOfMonth) = civil(day: day)
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : String(value) }
        let millis = String(1_000 + nanos / 1_000_000).dropFirst()
        let date = "\(year)-\(two(month))-\(two(dayOfMonth))"
        return date + "T\(two(rest / 3_600)):\(two(rest / 60 % 60)):\(two(rest % 60)).\(millis)Z"
    }

    /// Days since 1970 as year, month, day (http://howardhinnant.github.io/date_algorithms.html).
    private static func civil(day: Int64) -> (Int64, Int64, Int64) {
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        return (yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0), civilMonth, dayOfMonth)
    }
}
