package import ChaskiMessages
package import ChaskiModel

extension Chaski_V1_Status {
    /// Bytes of a reason and of a message: a status always fits a frame, whatever names are in it.
    private static let reasonBytes = 128
    private static let messageBytes = 1024

    /// The status that tells of a failure; nil is OK. A message beyond 1 KiB is cut.
    package init(_ failure: Failure?) {
        self.init()
        guard let failure else { return }
        code = failure.code.rawValue
        reason = Self.cut(failure.reason.rawValue, Self.reasonBytes)
        message = Self.cut(failure.message, Self.messageBytes)
        if let nanos = failure.retryAfterNanos {
            // Rounded up; at least 1, since 0 says that waiting does not help.
            retryAfterMillis = UInt64(max(nanos, 1).advanced(by: -1) / 1_000_000 + 1)
        }
    }

    private static func cut(_ text: String, _ bytes: Int) -> String {
        text.utf8.count <= bytes ? text : String(decoding: text.utf8.prefix(bytes), as: UTF8.self)
    }

    /// The failure that it tells of; nil for OK. A code that is not known reads as `unknown`.
    package var failure: Failure? {
        guard code != 0 else { return nil }
        let millis = min(retryAfterMillis, UInt64(Int64.max / 1_000_000))
        return Failure(
            StatusCode(rawValue: code) ?? .unknown, FailureReason(rawValue: reason), message,
            retryAfterNanos: millis == 0 ? nil : Int64(millis) * 1_000_000)
    }
}
