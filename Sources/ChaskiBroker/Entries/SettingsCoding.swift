import ChaskiModel

/// The tags of a subscription's settings, in the order in which they are written. A tag that is
/// not known stops the replay: a newer broker wrote it, and meant something by it.
private enum SettingTag: UInt64 {
    case start = 1
    case minimumBackoff = 2
    case maximumBackoff = 3
    case maximumFailures = 4
    case lease = 5
    case maximumUnsettled = 6
    case multiplier = 7
    case maximumAge = 8
    case maximumDeadLetters = 9
    case deadLetterRetention = 10
    case forwardDeadTo = 11
    case rateLimit = 14
    case breaker = 15
    case order = 12
    case maximumAbandoned = 13
}

extension TaggedFields {
    fileprivate mutating func add(_ tag: SettingTag, _ write: (inout [UInt8]) -> Void) {
        add(tag.rawValue, write)
    }
}

extension [UInt8] {
    /// What differs from the defaults.
    mutating func append(settings: SubscriptionSettings) {
        let standard = SubscriptionSettings()
        var fields = TaggedFields()
        if settings.start != standard.start {
            fields.add(.start) { $0.append(start: settings.start) }
        }
        let retry = settings.retry
        if retry.minimumBackoffNanos != standard.retry.minimumBackoffNanos {
            fields.add(.minimumBackoff) { $0.append(zigzag: retry.minimumBackoffNanos) }
        }
        if retry.maximumBackoffNanos != standard.retry.maximumBackoffNanos {
            fields.add(.maximumBackoff) { $0.append(zigzag: retry.maximumBackoffNanos) }
        }
        if retry.maximumFailures != standard.retry.maximumFailures {
            fields.add(.maximumFailures) { $0.append(varint: UInt64(retry.maximumFailures)) }
        }
        if settings.leaseNanos != standard.leaseNanos {
            fields.add(.lease) { $0.append(zigzag: settings.leaseNanos) }
        }
        if settings.maximumUnsettled != standard.maximumUnsettled {
            fields.add(.maximumUnsettled) { $0.append(varint: UInt64(settings.maximumUnsettled)) }
        }
        if retry.multiplierThousandths != standard.retry.multiplierThousandths {
            fields.add(.multiplier) { $0.append(varint: UInt64(retry.multiplierThousandths)) }
        }
        if let age = retry.maximumAgeNanos { fields.add(.maximumAge) { $0.append(zigzag: age) } }
        let dead = settings.deadLetters
        if dead.maximum != standard.deadLetters.maximum {
            fields.add(.maximumDeadLetters) { $0.append(varint: UInt64(dead.maximum)) }
        }
        if dead.retentionNanos != standard.deadLetters.retentionNanos {
            fields.add(.deadLetterRetention) { $0.append(zigzag: dead.retentionNanos) }
        }
        if let target = dead.forwardTo { fields.add(.forwardDeadTo) { $0.append(text: target) } }
        if let order = settings.order {
            fields.add(.order) {
                $0.append(varint: UInt64(order.runLength))
                $0.append(order.afterDeath.rawValue)
            }
        }
        if settings.maximumAbandoned != standard.maximumAbandoned {
            fields.add(.maximumAbandoned) { $0.append(varint: UInt64(settings.maximumAbandoned)) }
        }
        if let rate = settings.rateLimit {
            fields.add(.rateLimit) { $0.append(varint: UInt64(rate)) }
        }
        if let breaker = settings.breaker {
            fields.add(.breaker) { $0.append(breaker: breaker) }
        }
        fields.write(to: &self)
    }

    private mutating func append(start: StartPosition) {
        switch start {
        case .earliest:
            append(0)
            append(varint: 0)
        case .latest:
            append(1)
            append(varint: 0)
        case .offset(let offset):
            append(2)
            append(varint: offset)
        }
    }
}

extension ByteReader {
    mutating func subscriptionSettings() throws(Failure) -> SubscriptionSettings {
        var settings = SubscriptionSettings()
        try taggedFields { tag, field throws(Failure) in
            guard let known = SettingTag(rawValue: tag) else {
                throw .corruptEntry("the setting \(tag) of a subscription is not known")
            }
            switch known {
            case .start: settings.start = try field.startPosition()
            case .minimumBackoff: settings.retry.minimumBackoffNanos = try field.zigzag()
            case .maximumBackoff: settings.retry.maximumBackoffNanos = try field.zigzag()
            case .maximumFailures: settings.retry.maximumFailures = try field.varint32()
            case .lease: settings.leaseNanos = try field.zigzag()
            case .maximumUnsettled: settings.maximumUnsettled = try field.varint32()
            case .multiplier: settings.retry.multiplierThousandths = try field.varint32()
            case .maximumAge: settings.retry.maximumAgeNanos = try field.zigzag()
            case .maximumDeadLetters: settings.deadLetters.maximum = try field.varint32()
            case .deadLetterRetention: settings.deadLetters.retentionNanos = try field.zigzag()
            case .forwardDeadTo:
                settings.deadLetters.forwardTo = try field.text(limit: Limits.nameBytes)
            case .rateLimit: settings.rateLimit = try field.rateLimit()
            case .breaker: settings.breaker = try field.breakerPolicy()
            case .order: settings.order = try field.orderPolicy()
            case .maximumAbandoned: settings.maximumAbandoned = try field.varint32()
            }
        }
        return settings
    }

    private mutating func orderPolicy() throws(Failure) -> OrderPolicy {
        let runLength = try varint32()
        guard let afterDeath = OrderPolicy.AfterDeath(rawValue: try byte()) else {
            throw .corruptEntry("what a dead message does to its key is not known")
        }
        return OrderPolicy(runLength: runLength, afterDeath: afterDeath)
    }

    private mutating func startPosition() throws(Failure) -> StartPosition {
        let kind = try byte()
        let offset = try varint()
        switch kind {
        case 0: return .earliest
        case 1: return .latest
        case 2: return .offset(offset)
        default: throw .corruptEntry("a start position is not known")
        }
    }
}
