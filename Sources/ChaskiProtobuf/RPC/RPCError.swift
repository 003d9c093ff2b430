/// Why a call failed: one of gRPC's sixteen codes, a text for people and, where there is one, a
/// reason for programs.
public struct RPCError: Error, Sendable, Hashable, CustomStringConvertible {
    /// gRPC's status codes, with gRPC's numbers.
    public enum Code: Int, Sendable, Hashable, CaseIterable {
        case cancelled = 1
        case unknown = 2
        case invalidArgument = 3
        case deadlineExceeded = 4
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case aborted = 10
        case outOfRange = 11
        case unimplemented = 12
        case internalError = 13
        case unavailable = 14
        case dataLoss = 15
        case unauthenticated = 16
    }

    /// What kind of failure it is.
    public var code: Code
    /// For people; never compared by programs.
    public var message: String
    /// A short word for programs, as `no-instance`; empty for none.
    public var reason: String
    /// How long to wait before trying again, where waiting helps.
    public var retryAfter: Duration?
    /// Pairs that the handler added.
    public var metadata: RPCMetadata

    /// Describes a failure.
    public init(
        _ code: Code, _ message: String, reason: String = "", retryAfter: Duration? = nil,
        metadata: RPCMetadata = [:]
    ) {
        self.code = code
        self.message = message
        self.reason = reason
        self.retryAfter = retryAfter
        self.metadata = metadata
    }

    /// What the caller learns of an error that a handler threw: an `RPCError` as it is, of others
    /// the code only, since their texts were not written for strangers.
    public init(thrownByHandler error: any Error) {
        switch error {
        case let error as RPCError: self = error
        case is CancellationError: self.init(.cancelled, "the call was cancelled")
        default: self.init(.unknown, "the handler failed")
        }
    }

    /// `code: message (reason)`.
    public var description: String {
        reason.isEmpty ? "\(code): \(message)" : "\(code): \(message) (\(reason))"
    }
}
