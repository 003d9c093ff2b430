package import ChaskiModel

/// How a hand-out of a message ended, or what else is part of its history.
package enum AttemptEnd: UInt8, Hashable, Sendable, CaseIterable {
    /// Failed, to be retried.
    case retry = 1
    /// Failed for good.
    case fail = 2
    /// Whoever held it alone vanished.
    case abandoned = 3
    /// Failed as a breaker's probe, which spends no attempt.
    case probe = 4
    /// No hand-out: somebody took it out of the dead letters, to be delivered again.
    case redriven = 5

    /// Whether it is one of the attempts that are counted.
    package var isAttempt: Bool {
        switch self {
        case .retry, .fail, .abandoned: true
        case .probe, .redriven: false
        }
    }
}

/// One entry of a message's history for a subscription.
///
/// It says when a hand-out ended; when it began is in the journal's hand-out entries.
package struct Attempt: Hashable, Sendable {
    package var end: AttemptEnd
    /// The hand-out number; of a redrive: the last one given before.
    package var handout: UInt32
    /// Who had it; 0 where nobody did or it is not known.
    package var session: SessionID
    /// When it ended: broker clock and wall clock, nanoseconds.
    package var endedClockNanos: Int64
    package var endedWallNanos: Int64
    /// What the consumer said; of a redrive: what whoever asked for it said. At most 1 KiB.
    package var reason: String
    /// A short word or number for programs, at most 64 bytes.
    package var code: String
    /// After which delay it was to be handed out again; nil where it died, or with no delay.
    package var delayNanos: Int64?
}

/// What is kept of a message's past on a subscription.
package struct MessagePast: Hashable, Sendable {
    /// Attempts in all its lives, also those that are not listed.
    package var attempts: UInt32
    /// How often it was redriven.
    package var redriven: UInt32
    /// In order of time: all of it, or the first and the latest 31.
    package var listed: [Attempt]
}
