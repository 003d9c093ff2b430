// The one file that needs Foundation, and only its essentials.
#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension Google_Protobuf_Timestamp {
    /// The instant of `date`, to the microsecond or so that a `Date` keeps; clamped to the years 1
    /// to 9999.
    public init(date: Date) {
        let time = date.timeIntervalSince1970
        guard time.isFinite, time >= Double(Self.minimumSeconds) else {
            self.init(seconds: time > 0 ? Self.maximumSeconds : Self.minimumSeconds)
            return
        }
        guard time < Double(Self.maximumSeconds) + 1 else {
            self.init(seconds: Self.maximumSeconds, nanos: 999_999_999)
            return
        }
        let whole = time.rounded(.down)
        let nanos = ((time - whole) * 1_000_000_000).rounded(.down)
        self.init(seconds: Int64(whole), nanos: Int32(min(nanos, 999_999_999)))
    }

    /// The nearest `Date`. Seconds and nanoseconds out of range are taken as they are.
    public var date: Date {
        Date(timeIntervalSince1970: Double(seconds) + Double(nanos) / 1_000_000_000)
    }
}
