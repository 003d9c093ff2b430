/// The sixteen codes of gRPC, with its numbers
/// (https://grpc.io/docs/guides/status-codes/); 0 is OK and no failure.
public enum StatusCode: UInt32, Sendable, CaseIterable {
    case cancelled = 1
    case unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists, permissionDenied
    case resourceExhausted, failedPrecondition, aborted, outOfRange, unimplemented, internalError
    case unavailable, dataLoss, unauthenticated
}

/// Why something failed, for programs: a short lower-case word with hyphens, stable once
/// published.
public struct FailureReason: RawRepresentable, Hashable, Sendable {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
}

/// A definite or indeterminate refusal: code, machine-readable reason, a sentence that names the
/// thing and the way out, and how long to wait where waiting helps.
public struct Failure: Error, Hashable, Sendable {
    public var code: StatusCode
    public var reason: FailureReason
    public var message: String
    /// Nanoseconds after which trying again may help; nil where waiting does not help.
    public var retryAfterNanos: Int64?

    public init(
        _ code: StatusCode, _ reason: FailureReason, _ message: String,
        retryAfterNanos: Int64? = nil
    ) {
        self.code = code
        self.reason = reason
        self.message = message
        self.retryAfterNanos = retryAfterNanos
    }

    /// Whether it is unknown if the request took effect: ask again with the same sequence.
    public var isIndeterminate: Bool { reason == .indeterminate }
}

extension FailureReason {
    public static let indeterminate = Self(rawValue: "indeterminate")
    public static let unknownNamespace = Self(rawValue: "unknown-namespace")
    public static let unknownTopic = Self(rawValue: "unknown-topic")
    public static let unknownSubscription = Self(rawValue: "unknown-subscription")
    public static let unknownSession = Self(rawValue: "unknown-session")
    public static let unknownMethod = Self(rawValue: "unknown-method")
    public static let alreadyExists = Self(rawValue: "already-exists")
    public static let invalidName = Self(rawValue: "invalid-name")
    public static let invalidSetting = Self(rawValue: "invalid-setting")
    public static let invalidBatch = Self(rawValue: "invalid-batch")
    public static let checksumMismatch = Self(rawValue: "checksum-mismatch")
    public static let tooLarge = Self(rawValue: "too-large")
    public static let tooMany = Self(rawValue: "too-many")
    public static let topicInUse = Self(rawValue: "topic-in-use")
    public static let fenced = Self(rawValue: "fenced")
    public static let sequenceGap = Self(rawValue: "sequence-gap")
    public static let sequenceOverlap = Self(rawValue: "sequence-overlap")
    public static let sequenceExpired = Self(rawValue: "sequence-expired")
    public static let afterRefused = Self(rawValue: "after-refused")
    public static let stale = Self(rawValue: "stale")
    /// A verdict on a message whose predecessor of the same key has none yet.
    public static let outOfOrder = Self(rawValue: "out-of-order")
    public static let alreadySettled = Self(rawValue: "already-settled")
    public static let diskFull = Self(rawValue: "disk-full")
    public static let overloaded = Self(rawValue: "overloaded")
    public static let journalFailed = Self(rawValue: "journal-failed")
    public static let damaged = Self(rawValue: "damaged")
    public static let draining = Self(rawValue: "draining")
    public static let protocolError = Self(rawValue: "protocol-error")
    public static let unsupportedVersion = Self(rawValue: "unsupported-version")
}
