/// Instants. The core knows no clock and no calendar library: seconds and nanoseconds since
/// 1970-01-01T00:00:00Z, and the text that protobuf's JSON mapping uses. See also the conversions
/// from and to `Date`.
extension Google_Protobuf_Timestamp: Comparable {
    /// The seconds of 0001-01-01T00:00:00Z.
    public static let minimumSeconds: Int64 = -62_135_596_800
    /// The seconds of 9999-12-31T23:59:59Z.
    public static let maximumSeconds: Int64 = 253_402_300_799

    /// True from the year 1 to the year 9999, with nanoseconds from 0 to 999,999,999. What comes
    /// from the wire need not be valid; the conversions say nil where it is not.
    public var isValid: Bool {
        (Self.minimumSeconds...Self.maximumSeconds).contains(seconds)
            && (0..<1_000_000_000).contains(nanos)
    }

    /// Some time after 1970-01-01T00:00:00Z, or before it; nil outside the years 1 to 9999.
    /// What is finer than a nanosecond is rounded down.
    public init?(sinceEpoch duration: Swift.Duration) {
        let parts = duration.components
        var whole = parts.seconds
        // A billion attoseconds are a nanosecond; the remainder goes down, as the seconds do.
        var fraction = parts.attoseconds / 1_000_000_000
        if parts.attoseconds % 1_000_000_000 < 0 { fraction -= 1 }
        if fraction < 0 {
            guard whole > Int64.min else { return nil }
            whole -= 1
            fraction += 1_000_000_000
        }
        self.init(seconds: whole, nanos: Int32(truncatingIfNeeded: fraction))
        guard isValid else { return nil }
    }

    /// The time since 1970-01-01T00:00:00Z; nil where the timestamp is not valid.
    public var sinceEpoch: Swift.Duration? {
        guard isValid else { return nil }
        return .seconds(seconds) + .nanoseconds(Int64(nanos))
    }

    /// The instant that so many nanoseconds after 1970-01-01T00:00:00Z is, as Chaski counts time.
    public init(unixNanos: Int64) {
        let (whole, rest) = unixNanos.quotientAndRemainder(dividingBy: 1_000_000_000)
        // Both parts are far inside their types.
        self.init(
            seconds: rest < 0 ? whole - 1 : whole,
            nanos: Int32(truncatingIfNeeded: rest < 0 ? rest + 1_000_000_000 : rest))
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z; nil where the timestamp is not valid or lies outside
    /// the years 1678 to 2261, which 64 bits hold.
    public var unixNanos: Int64? {
        guard isValid else { return nil }
        // Before 1970 a second is lent to the nanoseconds, so that no step passes the result.
        let lent: Int64 = seconds < 0 ? 1 : 0
        let (product, overflow) = (seconds + lent).multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflow else { return nil }
        let (sum, carry) = product.addingReportingOverflow(Int64(nanos) - lent * 1_000_000_000)
        return carry ? nil : sum
    }

    /// The earlier of two valid timestamps is the lesser.
    public static func < (left: Self, right: Self) -> Bool {
        (left.seconds, left.nanos) < (right.seconds, right.nanos)
    }

    // MARK: Text

    /// RFC 3339 in UTC with 0, 3, 6 or 9 digits of fraction, as `2026-11-21T12:00:00.250Z`; nil
    /// where the timestamp is not valid.
    public var iso8601: String? {
        guard isValid else { return nil }
        let (days, second) = Self.floorDivide(seconds, 86_400)
        let date = CivilDate(daysSinceEpoch: days)
        let time = [second / 3_600, second / 60 % 60, second % 60].map { Self.digits($0, 2) }
        let day = "\(Self.digits(date.year, 4))-\(Self.digits(date.month, 2))"
        return day + "-\(Self.digits(date.day, 2))T" + time.joined(separator: ":")
            + fractionText(nanos) + "Z"
    }

    /// Reads RFC 3339 text with any offset from UTC and up to 9 digits of fraction; nil when it is
    /// anything else or outside the years 1 to 9999.
    public init?(iso8601 text: String) {
        var rest = Array(text.utf8)[...]
        guard let year = Self.number(&rest, 4), Self.skip("-", &rest),
            let month = Self.number(&rest, 2), Self.skip("-", &rest),
            let day = Self.number(&rest, 2), Self.skip("Tt", &rest),
            let hour = Self.number(&rest, 2), Self.skip(":", &rest),
            let minute = Self.number(&rest, 2), Self.skip(":", &rest),
            let second = Self.number(&rest, 2), hour < 24, minute < 60, second < 60,
            let date = CivilDate(year: year, month: month, day: day),
            let fraction = parseFraction(&rest), let offset = Self.offset(&rest), rest.isEmpty
        else { return nil }
        let inDay = hour * 3_600 + minute * 60 + second - offset
        self.init(seconds: date.daysSinceEpoch * 86_400 + inDay, nanos: fraction)
        guard isValid else { return nil }
    }

    /// `Z`, or hours and minutes ahead of UTC as seconds.
    private static func offset(_ text: inout ArraySlice<UInt8>) -> Int64? {
        if skip("Zz", &text) { return 0 }
        let isAhead = skip("+", &text)
        guard isAhead || skip("-", &text), let hours = number(&text, 2), skip(":", &text),
            let minutes = number(&text, 2), hours < 24, minutes < 60
        else { return nil }
        let seconds = hours * 3_600 + minutes * 60
        return isAhead ? seconds : -seconds
    }

    private static func skip(_ any: StaticString, _ text: inout ArraySlice<UInt8>) -> Bool {
        guard let byte = text.first, any.withUTF8Buffer({ $0.contains(byte) }) else { return false }
        text = text.dropFirst()
        return true
    }

    /// Exactly `count` digits.
    private static func number(_ text: inout ArraySlice<UInt8>, _ count: Int) -> Int64? {
        let digits = text.prefix(count)
        guard digits.count == count, digits.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        text = text.dropFirst(count)
        return digits.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }

    private static func digits(_ value: Int64, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }

    private static func floorDivide(_ value: Int64, _ by: Int64) -> (quotient: Int64, rest: Int64) {
        let (quotient, rest) = value.quotientAndRemainder(dividingBy: by)
        return rest < 0 ? (quotient - 1, rest + by) : (quotient, rest)
    }
}

/// `.` and 3, 6 or 9 digits; nothing for 0.
func fractionText(_ nanos: Int32) -> String {
    guard nanos != 0 else { return "" }
    let digits = String(nanos)
    let padded = String(repeating: "0", count: max(0, 9 - digits.utf8.count)) + digits
    let count = nanos % 1_000_000 == 0 ? 3 : nanos % 1_000 == 0 ? 6 : 9
    return "." + padded.prefix(count)
}

/// `.` and 1 to 9 digits as nanoseconds, or nothing as 0; nil for a point without digits.
func parseFraction(_ text: inout ArraySlice<UInt8>) -> Int32? {
    guard text.first == UInt8(ascii: ".") else { return 0 }
    let digits = text.dropFirst().prefix { (0x30...0x39).contains($0) }
    guard (1...9).contains(digits.count) else { return nil }
    text = text.dropFirst(digits.count + 1)
    let value = digits.reduce(Int32(0)) { $0 * 10 + Int32($1 - 0x30) }
    return (digits.count..<9).reduce(value) { value, _ in value * 10 }
}
