import ChaskiMessages
import ChaskiModel

extension Chaski_V1_Status {
    /// A failure as it is said on the wire. Messages longer than 4 KiB are cut.
    init(_ failure: Failure) {
        self.init()
        code = failure.code.rawValue
        reason = failure.reason.rawValue
        message = String(failure.message.prefix(4096))
        if let nanos = failure.retryAfterNanos, nanos > 0 {
            retryAfterMillis = UInt64(clamping: (nanos - 1) / 1_000_000 + 1)
        }
    }
}

extension SubscriptionSettings {
    /// The settings that a request asks for, with the defaults for what it leaves out.
    ///
    /// - Throws: `invalid-setting` for a value that cannot be.
    init(_ message: Chaski_V1_SubscriptionSettings) throws(Failure) {
        self.init()
        switch message.start.position {
        case .earliest, nil: start = .earliest
        case .latest: start = .latest
        case .offset(let offset): start = .offset(offset)
        }
        if message.retry.hasMinimumBackoffNanos {
            retry.minimumBackoffNanos = try Self.nanos(
                message.retry.minimumBackoffNanos, "minimum backoff")
        }
        if message.retry.hasMaximumBackoffNanos {
            retry.maximumBackoffNanos = try Self.nanos(
                message.retry.maximumBackoffNanos, "maximum backoff")
        }
        if message.retry.hasMaximumFailures {
            retry.maximumFailures = message.retry.maximumFailures
        }
        if message.hasLeaseNanos { leaseNanos = try Self.nanos(message.leaseNanos, "lease") }
        if message.hasMaximumUnsettled { maximumUnsettled = message.maximumUnsettled }
        try check()
    }

    /// A year: no relative time of a subscription is longer.
    private static let longestNanos: UInt64 = 366 * 86_400 * 1_000_000_000

    private static func nanos(_ value: UInt64, _ what: String) throws(Failure) -> Int64 {
        guard value <= longestNanos, let nanos = Int64(exactly: value) else {
            throw invalid("a \(what) of \(value) ns; at most a year is allowed")
        }
        return nanos
    }

    private func check() throws(Failure) {
        guard retry.maximumFailures >= 1 else {
            throw Self.invalid("maximum failures must be at least 1")
        }
        guard retry.minimumBackoffNanos <= retry.maximumBackoffNanos else {
            throw Self.invalid("the minimum backoff is above the maximum")
        }
        guard leaseNanos >= 1_000_000 else {
            throw Self.invalid("a lease must last at least 1 ms")
        }
        guard (1...10_000_000).contains(maximumUnsettled) else {
            throw Self.invalid("maximum unsettled must be between 1 and 10,000,000")
        }
    }

    private static func invalid(_ message: String) -> Failure {
        Failure(.invalidArgument, .invalidSetting, message)
    }

    /// As it is said on the wire, every value given.
    var asMessage: Chaski_V1_SubscriptionSettings {
        var message = Chaski_V1_SubscriptionSettings()
        switch start {
        case .earliest: message.start.position = .earliest(true)
        case .latest: message.start.position = .latest(true)
        case .offset(let offset): message.start.position = .offset(offset)
        }
        message.retry.minimumBackoffNanos = UInt64(clamping: retry.minimumBackoffNanos)
        message.retry.maximumBackoffNanos = UInt64(clamping: retry.maximumBackoffNanos)
        message.retry.maximumFailures = retry.maximumFailures
        message.leaseNanos = UInt64(clamping: leaseNanos)
        message.maximumUnsettled = maximumUnsettled
        return message
    }
}
