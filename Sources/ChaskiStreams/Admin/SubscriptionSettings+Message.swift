package import ChaskiMessages
package import ChaskiModel

extension SubscriptionSettings {
    /// The settings that a request asks for, with the defaults for what it leaves out. The core
    /// checks them: what cannot be is handed on as the nearest value that it refuses.
    package init(_ message: Chaski_V1_SubscriptionSettings) {
        self.init()
        switch message.start.position {
        case .earliest, nil: start = .earliest
        case .latest: start = .latest
        case .offset(let offset): start = .offset(offset)
        }
        if message.retry.hasMinimumBackoffNanos {
            retry.minimumBackoffNanos = Int64(clamping: message.retry.minimumBackoffNanos)
        }
        if message.retry.hasMaximumBackoffNanos {
            retry.maximumBackoffNanos = Int64(clamping: message.retry.maximumBackoffNanos)
        }
        if message.retry.hasMaximumFailures {
            retry.maximumFailures = message.retry.maximumFailures
        }
        if message.hasLeaseNanos { leaseNanos = Int64(clamping: message.leaseNanos) }
        if message.hasMaximumUnsettled { maximumUnsettled = message.maximumUnsettled }
    }

    /// As it is said on the wire, every value given.
    package var asMessage: Chaski_V1_SubscriptionSettings {
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
