import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf

extension Chaski_V1_Status {
    /// The failure that it states; nil for code 0.
    var failure: Failure? {
        guard code != 0 else { return nil }
        let (nanos, overflow) = Int64(clamping: retryAfterMillis)
            .multipliedReportingOverflow(by: 1_000_000)
        return Failure(
            StatusCode(rawValue: code) ?? .unknown, FailureReason(rawValue: reason), message,
            retryAfterNanos: retryAfterMillis == 0 ? nil : (overflow ? Int64.max : nanos))
    }
}

/// Turning messages into bytes and back, with failures of ours.
enum Coding {
    static func encode(_ message: some ChaskiProtobuf.Message) throws(Failure) -> [UInt8] {
        do {
            return try message.serializedBytes()
        } catch {
            throw Failure(.invalidArgument, .invalidSetting, "the request cannot be sent: \(error)")
        }
    }

    static func decode<M: ChaskiProtobuf.Message>(
        _ bytes: Bytes, as _: M.Type = M.self
    )
        throws(Failure) -> M
    {
        do {
            return try M(serializedBytes: bytes)
        } catch {
            throw Failure(
                .internalError, .protocolError,
                "the broker sent something that is no \(M.protoMessageName): \(error)")
        }
    }
}

extension UInt128 {
    /// Sixteen bytes, the lowest first.
    var littleEndianBytes: [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: self >> UInt128($0 * 8)) }
    }
}
