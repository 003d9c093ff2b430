package import ChaskiModel

/// Why messages of a subscription, or one message, are not being handed out at a moment.
package struct Explanation: Hashable, Sendable {
    package var subscription: SubscriptionInfo
    package var flow: FlowInfo
    /// The message asked for, and where it stands; nil where the subscription was asked for.
    package var offset: Offset?
    package var state: MessageState?
    /// The decisive one first. Empty where what waits goes out at the next opportunity.
    package var causes: [Cause]

    /// One cause, with the figures that prove it.
    package struct Cause: Hashable, Sendable {
        package var kind: Kind
        /// One sentence with the figures; times are told apart.
        package var text: String
        /// Broker clock: since when, and when it ends or is looked at again.
        package var sinceNanos: Int64?
        package var untilNanos: Int64?
        package var offset: Offset?
        package var session: SessionID?
        /// How many there are, of how many at most.
        package var count: UInt64?
        package var limit: UInt64?
        package var bytes: UInt64?
        package var byteLimit: UInt64?
        package var failure: Failure?

        init(_ kind: Kind, _ text: String) {
            self.kind = kind
            self.text = text
        }
    }

    /// The text is what is said on the wire.
    package enum Kind: String, Hashable, Sendable, CaseIterable {
        // Nothing is wrong.
        case caughtUp = "caught-up"
        case notPublished = "not-published"
        case beforeStart = "before-start"
        case acked
        case dead
        // The whole subscription is held back.
        case journal
        case noConsumer = "no-consumer"
        case paused
        case breaker
        case rateLimit = "rate-limit"
        case stalled
        case windowFull = "window-full"
        case ceiling
        case reading
        case credit
        case silent
        // Messages wait for something of their own.
        case leased
        case verdict
        case suspicion
        case busyKey = "busy-key"
        case heldKey = "held-key"
        case backoff
        case dying
        case deadStoreFull = "dead-store-full"
        case awaitingResume = "awaiting-resume"
        case behind
    }

    package func has(_ kind: Kind) -> Bool { causes.contains { $0.kind == kind } }

    /// Whether a cause says why messages that wait for nothing of their own stay where they are.
    package var tellsWhatHoldsBack: Bool {
        causes.contains { cause in
            switch cause.kind {
            case .journal, .noConsumer, .paused, .breaker, .rateLimit, .stalled, .windowFull,
                .ceiling, .reading, .credit, .silent, .suspicion,
                .busyKey, .heldKey:
                true
            case .caughtUp, .notPublished, .beforeStart, .acked, .dead, .leased, .verdict,
                .backoff, .dying, .deadStoreFull, .awaitingResume, .behind:
                false
            }
        }
    }
}

/// What may hold a whole subscription back, as it stands at a moment. Times are of the wall clock.
package struct FlowInfo: Hashable, Sendable {
    package struct PauseInfo: Hashable, Sendable {
        package var sinceWallNanos: Int64
        /// nil until it is resumed.
        package var untilWallNanos: Int64?
    }

    package enum BreakerState: String, Hashable, Sendable, CaseIterable {
        case closed
        case open
        case halfOpen = "half-open"
    }

    package struct BreakerInfo: Hashable, Sendable {
        package var position: BreakerSwitch
        package var state: BreakerState
        /// Verdicts of the window, or those that opened it.
        package var acked: UInt64
        package var failed: UInt64
        package var failureThousandths: UInt32
        /// Since when it is open or half-open.
        package var sinceWallNanos: Int64?
        /// Open: when the first probe may go out.
        package var probeWallNanos: Int64?
        /// Half-open: the message that is out.
        package var probe: Offset?
    }

    /// nil while it is not paused.
    package var pause: PauseInfo?
    /// nil without a breaker.
    package var breaker: BreakerInfo?
    /// Messages that the rate limit allows at once now; nil without one.
    package var tokens: UInt64?
    /// Messages tracked.
    package var tracked: UInt64
}
