package import ChaskiMessages
package import ChaskiModel

extension Chaski_V1_SubscriptionSettings {
    /// As they are said on the wire, every value given.
    package init(_ settings: SubscriptionSettings) { self.init(SubscriptionChange(settings)) }

    /// What the change names.
    package init(_ change: SubscriptionChange) {
        self.init()
        switch change.start {
        case .earliest: start.earliest = true
        case .latest: start.latest = true
        case .offset(let offset): start.offset = offset
        case nil: break
        }
        if let nanos = change.minimumBackoffNanos {
            retry.minimumBackoffNanos = UInt64(clamping: nanos)
        }
        if let nanos = change.maximumBackoffNanos {
            retry.maximumBackoffNanos = UInt64(clamping: nanos)
        }
        if let failures = change.maximumFailures { retry.maximumFailures = failures }
        if let nanos = change.leaseNanos { leaseNanos = UInt64(clamping: nanos) }
        if let messages = change.maximumUnsettled { maximumUnsettled = messages }
        if let rate = change.rateLimit { rateLimit = rate }
        if let change = change.breaker { breaker = Chaski_V1_BreakerPolicy(change) }
        if let times = change.maximumAbandoned { maximumAbandoned = times }
        if change.isOrdered ?? (change.runLength != nil || change.afterDeath != nil) {
            order = .with {
                if let messages = change.runLength { $0.runLength = messages }
                switch change.afterDeath {
                case .goOn: $0.afterDeath = .goOn
                case .hold: $0.afterDeath = .hold
                case nil: break
                }
            }
        }
        if let thousandths = change.multiplierThousandths {
            retry.multiplier = Double(thousandths) / 1_000
        }
        if let nanos = change.maximumAgeNanos { retry.maximumAgeNanos = UInt64(clamping: nanos) }
        if let letters = change.maximumDeadLetters { deadLetter.maximum = letters }
        if let nanos = change.deadLetterRetentionNanos {
            deadLetter.retentionNanos = UInt64(clamping: nanos)
        }
        if let topic = change.forwardDeadTo { deadLetter.forwardTo = topic }
    }
}

extension SubscriptionSettings {
    /// As a message says them, with the defaults for what it leaves out.
    package init(_ message: Chaski_V1_SubscriptionSettings) {
        self = SubscriptionChange(message).applied(to: SubscriptionSettings())
    }
}

extension SubscriptionChange {
    /// What a message gives. The core checks it: what cannot be is handed on as the nearest value
    /// that it refuses.
    package init(_ message: Chaski_V1_SubscriptionSettings) {
        self.init()
        switch message.start.position {
        case .earliest: start = .earliest
        case .latest: start = .latest
        case .offset(let offset): start = .offset(offset)
        case nil: break
        }
        let retry = message.retry
        if retry.hasMinimumBackoffNanos {
            minimumBackoffNanos = Int64(clamping: retry.minimumBackoffNanos)
        }
        if retry.hasMaximumBackoffNanos {
            maximumBackoffNanos = Int64(clamping: retry.maximumBackoffNanos)
        }
        if retry.hasMaximumFailures { maximumFailures = retry.maximumFailures }
        if message.hasLeaseNanos { leaseNanos = Int64(clamping: message.leaseNanos) }
        if message.hasMaximumUnsettled { maximumUnsettled = message.maximumUnsettled }
        if message.hasRateLimit { rateLimit = message.rateLimit }
        if message.hasBreaker { breaker = BreakerChange(message.breaker) }
        if message.hasMaximumAbandoned { maximumAbandoned = message.maximumAbandoned }
        if message.hasOrder {
            isOrdered = true
            if message.order.hasRunLength { runLength = message.order.runLength }
            switch message.order.afterDeath {
            case .goOn: afterDeath = .goOn
            case .hold: afterDeath = .hold
            case .unspecified, .UNRECOGNIZED: break
            }
        }
        if retry.hasMultiplier {
            let thousandths = (retry.multiplier * 1_000).rounded()
            multiplierThousandths =
                thousandths > 0 && thousandths < 1_000_000 ? UInt32(thousandths) : 0
        }
        if retry.hasMaximumAgeNanos {
            maximumAgeNanos = Int64(clamping: retry.maximumAgeNanos)
        }
        let dead = message.deadLetter
        if dead.hasMaximum { maximumDeadLetters = dead.maximum }
        if dead.hasRetentionNanos {
            deadLetterRetentionNanos = Int64(clamping: dead.retentionNanos)
        }
        if dead.hasForwardTo { forwardDeadTo = dead.forwardTo }
    }
}
