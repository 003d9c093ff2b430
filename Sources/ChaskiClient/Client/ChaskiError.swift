// Names, settings and messages are the client's vocabulary too.
@_exported public import ChaskiModel

/// Why a call failed.
///
/// `code` is one of gRPC's sixteen, `reason` a stable lower-case word for programs, `message` a
/// sentence for people. An error is definite (nothing happened) unless `isIndeterminate` says that
/// the outcome is unknown.
public struct ChaskiError: Error, Hashable, Sendable {
    /// The class of failure, with gRPC's numbers.
    public var code: StatusCode
    /// What exactly, for programs; never match on `message`.
    public var reason: FailureReason
    /// For people: names the thing and the way out.
    public var message: String
    /// After how long trying again may help; nil where waiting does not help.
    public var retryAfter: Duration?
    /// Whether it is unknown if the request took effect. A message published again after such an
    /// error may be stored twice; everything else may simply be asked again.
    public var isIndeterminate: Bool { reason == .indeterminate }

    /// An error with all its parts.
    public init(
        code: StatusCode, reason: FailureReason, message: String, retryAfter: Duration? = nil
    ) {
        self.code = code
        self.reason = reason
        self.message = message
        self.retryAfter = retryAfter
    }

    /// The same as a broker or a check of limits said it.
    public init(_ failure: Failure) {
        self.init(
            code: failure.code, reason: failure.reason, message: failure.message,
            retryAfter: failure.retryAfterNanos.map { .nanoseconds($0) })
    }
}

extension ChaskiError: CustomStringConvertible {
    /// `reason: message`.
    public var description: String { "\(reason.rawValue): \(message)" }
}

extension FailureReason {
    /// No connection could be had for as long as the caller would wait.
    public static let unreachable = Self(rawValue: "unreachable")
    /// The broker's name has no address.
    public static let unknownHost = Self(rawValue: "unknown-host")
    /// The connection was lost while a call was under way.
    public static let connectionLost = Self(rawValue: "connection-lost")
    /// The client, producer or subscription was closed.
    public static let closed = Self(rawValue: "closed")
    /// No answer within the time that the caller gave.
    public static let timedOut = Self(rawValue: "timed-out")
}

extension Failure {
    /// Nothing was sent: the client is closed.
    static let clientClosed = Failure(
        .failedPrecondition, .closed, "the client is closed; make a new one")

    /// The same failure for something that an earlier attempt may have done already.
    func asIndeterminate() -> Failure {
        if isIndeterminate { return self }
        return Failure(
            .unavailable, .indeterminate,
            "the outcome is unknown: the connection was lost before an answer; then \(message)",
            retryAfterNanos: retryAfterNanos)
    }
}
