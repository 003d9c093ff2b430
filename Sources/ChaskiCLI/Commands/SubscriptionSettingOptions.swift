import ArgumentParser
import ChaskiModel

/// The settings of a subscription, for creating and updating one.
struct SubscriptionSettingOptions: ParsableArguments {
    @Option(
        help: .duration("Upper bound of the first retry's delay (1s)."))
    var minBackoff: DurationArgument?

    @Option(help: .duration("Upper bound of any delay (10m)."))
    var maxBackoff: DurationArgument?

    @Option(help: ArgumentHelp("Failures after which a message is dead (10).", valueName: "count"))
    var maxFailures: UInt32?

    @Option(
        help: ArgumentHelp(
            "What each delay's upper bound is of the one before, 1 to 100 (2).",
            valueName: "factor"))
    var backoffFactor: Double?

    @Option(
        help: .duration(
            "A message that fails so long after its first failure is dead; 0s: no limit (0s)."))
    var maxAge: DurationArgument?

    @Option(help: ArgumentHelp("Dead letters kept at most (100000).", valueName: "count"))
    var maxDeadLetters: UInt32?

    @Option(help: .duration("How long dead letters are kept (14d)."))
    var deadLetterRetention: DurationArgument?

    @Option(
        help: ArgumentHelp(
            "Topic that gets a copy of each message that dies; \"\": none (none).",
            valueName: "topic"))
    var forwardDeadTo: String?

    @Option(
        help: .duration("How long a delivery may stay without a verdict or heartbeat (30s)."))
    var lease: DurationArgument?

    @Option(help: ArgumentHelp("Messages tracked at once (100000).", valueName: "count"))
    var maxUnsettled: UInt32?

    @Option(
        help: ArgumentHelp(
            "Messages handed out per second, in bursts of up to a second's worth; 0: no limit (0).",
            valueName: "count"))
    var rate: UInt32?

    @OptionGroup var breaker: BreakerOptions

    @Option(
        help: ArgumentHelp(
            "Times that whoever holds a message alone may vanish before it is dead (3).",
            valueName: "count"))
    var maxAbandoned: UInt32?

    @Option(
        help: ArgumentHelp(
            "Ordered: messages of a key that a consumer may have at once (16).",
            valueName: "count"))
    var run: UInt32?

    @Option(help: "Ordered: what a dead message does to its key's next: go-on or hold (go-on).")
    var afterDeath: AfterDeathArgument?

    /// What the options name.
    var change: SubscriptionChange {
        var change = SubscriptionChange()
        change.minimumBackoffNanos = minBackoff?.nanos
        change.maximumBackoffNanos = maxBackoff?.nanos
        change.maximumFailures = maxFailures
        change.multiplierThousandths = backoffFactor.flatMap {
            UInt32(exactly: ($0 * 1_000).rounded())
        }
        change.maximumAgeNanos = maxAge?.nanos
        change.maximumDeadLetters = maxDeadLetters
        change.deadLetterRetentionNanos = deadLetterRetention?.nanos
        change.forwardDeadTo = forwardDeadTo
        change.leaseNanos = lease?.nanos
        change.maximumUnsettled = maxUnsettled
        change.rateLimit = rate
        change.breaker = breaker.change
        change.maximumAbandoned = maxAbandoned
        change.runLength = run
        change.afterDeath = afterDeath?.policy
        return change
    }

    func validate() throws {
        if let minBackoff, let maxBackoff, minBackoff.nanos > maxBackoff.nanos {
            throw ValidationError("--min-backoff must not be above --max-backoff.")
        }
        let longest: Int64 = 366 * 86_400_000_000_000
        for (name, value) in [("min", minBackoff), ("max", maxBackoff)] {
            if let value, value.nanos > longest {
                throw ValidationError("--\(name)-backoff must be at most 366d.")
            }
        }
        if let backoffFactor, !(1...100).contains(backoffFactor) {
            throw ValidationError("--backoff-factor must be between 1 and 100.")
        }
        if let maxAge, maxAge.nanos != 0, maxAge.nanos < 1_000_000 {
            throw ValidationError("--max-age must be at least 1ms, or 0s for no limit.")
        }
        if let maxDeadLetters, !(1...10_000_000).contains(maxDeadLetters) {
            throw ValidationError("--max-dead-letters must be between 1 and 10000000.")
        }
        if let deadLetterRetention, deadLetterRetention.nanos < 1_000_000_000 {
            throw ValidationError("--dead-letter-retention must be at least 1s.")
        }
        if maxFailures == 0 { throw ValidationError("--max-failures must be at least 1.") }
        if let lease, !(1_000_000...604_800_000_000_000).contains(lease.nanos) {
            throw ValidationError("--lease must be between 1ms and 7d.")
        }
        if let rate, rate > 10_000_000 { throw ValidationError("--rate is at most 10000000.") }
        if let maxUnsettled, !(1...10_000_000).contains(maxUnsettled) {
            throw ValidationError("--max-unsettled must be between 1 and 10000000.")
        }
        if let maxAbandoned, !(1...255).contains(maxAbandoned) {
            throw ValidationError("--max-abandoned must be between 1 and 255.")
        }
        if let run, !(1...1_000).contains(run) {
            throw ValidationError("--run must be between 1 and 1000.")
        }
    }
}

enum AfterDeathArgument: String, ExpressibleByArgument, CaseIterable {
    case goOn = "go-on"
    case hold

    var policy: OrderPolicy.AfterDeath {
        switch self {
        case .goOn: .goOn
        case .hold: .hold
        }
    }
}

extension OrderPolicy.AfterDeath {
    /// As an option says it.
    var argument: AfterDeathArgument {
        switch self {
        case .goOn: .goOn
        case .hold: .hold
        }
    }
}
