/// Spans of time, as `Swift.Duration` and as the text that protobuf's JSON mapping uses.
extension Google_Protobuf_Duration {
    /// The most seconds either way: 10,000 years.
    public static let maximumSeconds: Int64 = 315_576_000_000

    /// True when both parts are in range and of one sign. What comes from the wire need not be
    /// valid; the conversions say nil where it is not.
    public var isValid: Bool {
        (-Self.maximumSeconds...Self.maximumSeconds).contains(seconds)
            && (-999_999_999...999_999_999).contains(nanos)
            && !(seconds > 0 && nanos < 0) && !(seconds < 0 && nanos > 0)
    }

    /// `duration`, without what is finer than a nanosecond; nil beyond 10,000 years.
    public init?(_ duration: Swift.Duration) {
        let parts = duration.components
        self.init(
            seconds: parts.seconds,
            nanos: Int32(truncatingIfNeeded: parts.attoseconds / 1_000_000_000))
        guard isValid else { return nil }
    }

    /// The same span; nil where it is not valid.
    public var duration: Swift.Duration? {
        guard isValid else { return nil }
        return .seconds(seconds) + .nanoseconds(Int64(nanos))
    }

    /// Seconds with 0, 3, 6 or 9 digits of fraction and an `s`, as `-1.500s`; nil where the span is
    /// not valid.
    public var text: String? {
        guard isValid else { return nil }
        let sign = seconds < 0 || nanos < 0 ? "-" : ""
        return "\(sign)\(seconds.magnitude)\(fractionText(nanos < 0 ? -nanos : nanos))s"
    }

    /// Reads such text, with up to 9 digits of fraction; nil when it is anything else or beyond
    /// 10,000 years.
    public init?(text: String) {
        var rest = Array(text.utf8)[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative { rest = rest.dropFirst() }
        let digits = rest.prefix { (0x30...0x39).contains($0) }
        guard (1...12).contains(digits.count) else { return nil }
        rest = rest.dropFirst(digits.count)
        guard let nanos = parseFraction(&rest), rest.elementsEqual([UInt8(ascii: "s")]) else {
            return nil
        }
        let seconds = digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - 0x30) }
        self.init(
            seconds: isNegative ? -seconds : seconds, nanos: isNegative ? -nanos : nanos)
        guard isValid else { return nil }
    }
}
