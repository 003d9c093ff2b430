import ChaskiWellKnownTypes
import Foundation
import Testing

@Suite struct TimestampTests {
    private typealias Timestamp = Google_Protobuf_Timestamp

    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0, 0), ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
        ("9999-12-31T23:59:59.999999999Z", 253_402_300_799, 999_999_999),
        ("2000-02-29T12:00:00.500Z", 951_825_600, 500_000_000),
        ("1969-12-31T23:59:59.000001Z", -1, 1_000), ("1600-12-31T00:00:00Z", -11_644_560_000, 0),
        ("2026-11-21T12:34:56.789Z", 1_795_264_496, 789_000_000),
    ])
    func textBothWays(_ text: String, _ seconds: Int64, _ nanos: Int32) {
        let timestamp = Timestamp(seconds: seconds, nanos: nanos)
        #expect(timestamp.iso8601 == text)
        #expect(Timestamp(iso8601: text) == timestamp)
    }

    @Test func textOfOtherForms() {
        let noon = Timestamp(iso8601: "2026-11-21T12:00:00Z")
        #expect(noon != nil)
        #expect(Timestamp(iso8601: "2026-11-21t14:30:00+02:30") == noon)
        #expect(Timestamp(iso8601: "2026-11-21T08:00:00-04:00") == noon)
        #expect(Timestamp(iso8601: "2026-11-21T12:00:00.000000000z") == noon)
        #expect(Timestamp(iso8601: "2026-11-21T12:00:00.1Z")?.nanos == 100_000_000)
    }

    @Test(arguments: [
        "", "2026-11-21", "2026-11-21T12:00:00", "2026-11-21 12:00:00Z", "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-11-31T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T12:60:00Z",
        "2026-11-21T12:00:60Z", "2026-11-21T12:00:00.Z", "2026-11-21T12:00:00.1234567890Z",
        "2026-11-21T12:00:00Zx", "2026-11-21T12:00:00+0100", "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "+026-11-21T12:00:00Z",
    ])
    func textThatIsNone(_ text: String) {
        #expect(Timestamp(iso8601: text) == nil)
    }

    /// Against Foundation's calendar, a day in every season over the whole range.
    @Test func calendarAgreesWithFoundation() throws {
        let style = Date.ISO8601FormatStyle()
        // Foundation's formatter turns Julian before 1582.
        for seconds in stride(
            from: Int64(-12_212_553_600), to: 253_402_300_799, by: 86_400 * 211 + 7)
        {
            let date = Date(timeIntervalSince1970: Double(seconds))
            let text = date.formatted(style)
            #expect(Timestamp(seconds: seconds).iso8601 == text)
            #expect(Timestamp(iso8601: text)?.seconds == seconds)
        }
    }

    @Test func everyDayComesBack() {
        var day = Timestamp.minimumSeconds
        while day < Timestamp.maximumSeconds {
            let text = Timestamp(seconds: day).iso8601
            #expect(text.flatMap { Timestamp(iso8601: $0) }?.seconds == day)
            day += 86_400 * 397
        }
    }

    @Test func invalidOnesSaySo() {
        for bad in [
            Timestamp(seconds: .max), Timestamp(seconds: .min), Timestamp(nanos: -1),
            Timestamp(nanos: 1_000_000_000), Timestamp(seconds: 253_402_300_800),
            Timestamp(seconds: -62_135_596_801),
        ] {
            #expect(!bad.isValid && bad.iso8601 == nil && bad.sinceEpoch == nil)
            #expect(bad.unixNanos == nil)
        }
    }

    @Test func durations() {
        let timestamp = Timestamp(sinceEpoch: .milliseconds(-1_500))
        #expect(timestamp == Timestamp(seconds: -2, nanos: 500_000_000))
        #expect(timestamp?.sinceEpoch == .milliseconds(-1_500))
        let fine = Swift.Duration(secondsComponent: -1, attosecondsComponent: -1)
        #expect(Timestamp(sinceEpoch: fine) == Timestamp(seconds: -2, nanos: 999_999_999))
        #expect(Timestamp(sinceEpoch: .seconds(Int64.max)) == nil)
        #expect(Timestamp(sinceEpoch: .seconds(Int64.min)) == nil)
    }

    @Test(arguments: [0, 1, -1, 999_999_999, -1_000_000_000, .max, .min] as [Int64])
    func nanosecondsBothWays(_ nanos: Int64) {
        #expect(Timestamp(unixNanos: nanos).isValid)
        #expect(Timestamp(unixNanos: nanos).unixNanos == nanos)
    }

    @Test func nanosecondsThatDoNotFit() {
        #expect(Timestamp(iso8601: "2300-01-01T00:00:00Z")?.unixNanos == nil)
        #expect(Timestamp(iso8601: "1600-01-01T00:00:00Z")?.unixNanos == nil)
    }

    @Test func dates() {
        let date = Date(timeIntervalSince1970: -1.25)
        #expect(Timestamp(date: date) == Timestamp(seconds: -2, nanos: 750_000_000))
        #expect(Timestamp(date: date).date == date)
        #expect(Timestamp(date: .distantFuture).isValid && Timestamp(date: .distantPast).isValid)
        for time in [Double.infinity, -.infinity, .nan, 1e300, -1e300, 253_402_300_799.9] {
            #expect(Timestamp(date: Date(timeIntervalSince1970: time)).isValid)
        }
    }

    @Test func order() {
        #expect(Timestamp(seconds: 1, nanos: 5) < Timestamp(seconds: 1, nanos: 6))
        #expect(Timestamp(seconds: -2, nanos: 9) < Timestamp(seconds: -1))
    }
}

@Suite struct DurationTests {
    private typealias Duration = Google_Protobuf_Duration

    @Test(arguments: [
        ("0s", 0, 0), ("1.500s", 1, 500_000_000), ("-0.000000001s", 0, -1),
        ("-3.000001s", -3, -1_000), ("315576000000s", 315_576_000_000, 0),
    ])
    func textBothWays(_ text: String, _ seconds: Int64, _ nanos: Int32) {
        let duration = Duration(seconds: seconds, nanos: nanos)
        #expect(duration.text == text)
        #expect(Duration(text: text) == duration)
    }

    @Test(arguments: [
        "", "s", "1", "1.s", ".5s", "--1s", "+1s", "1.0000000001s", "315576000001s", "1s ",
        "9999999999999s",
    ])
    func textThatIsNone(_ text: String) {
        #expect(Duration(text: text) == nil)
    }

    @Test func swiftDurations() {
        #expect(Duration(.milliseconds(-1_500)) == Duration(seconds: -1, nanos: -500_000_000))
        #expect(Duration(seconds: -1, nanos: -500_000_000).duration == .milliseconds(-1_500))
        #expect(Duration(.seconds(Int64.max)) == nil && Duration(.seconds(Int64.min)) == nil)
        for bad in [
            Duration(seconds: 1, nanos: -1), Duration(seconds: -1, nanos: 1),
            Duration(nanos: 1_000_000_000), Duration(nanos: .min), Duration(seconds: .min),
        ] {
            #expect(!bad.isValid && bad.duration == nil && bad.text == nil)
        }
    }
}
