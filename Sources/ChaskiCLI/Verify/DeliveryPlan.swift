/// What is to become of each message of a delivery run, by its value: so that whoever judges knows
/// which must be dead, and which must have come out at the other end.
package struct DeliveryPlan: Sendable {
    package enum Fate: String, CaseIterable, Sendable {
        /// Acknowledged.
        case ack
        /// Acknowledged and published to the other topic in one atomic request.
        case atomic
        /// Fails until it is dead.
        case exhaust
        /// Fails for good at once.
        case fail
    }

    /// What happens to it before that, at its first attempt.
    package enum Detour: String, CaseIterable, Sendable {
        case none
        /// Retried after a delay of its own, or after the backoff.
        case delay, backoff
        /// Given back.
        case release
    }

    package var fate: Fate
    package var detour: Detour
    /// Of the detour, or between the failures that kill it.
    package var delayNanos: Int64

    /// Failures that kill.
    package static let maximumFailures: UInt32 = 3
    /// Keys, of which every other one is handled atomically.
    package static let keys: UInt64 = 97

    /// Of 1,000 messages 5 fail for good, 5 until they are dead, 20 once with a delay of up to 2 s, 10
    /// once with backoff; 10 are given back.
    package init(of value: VerifyValue) {
        var random = SplitMix(seed: value.number &* 0x9E37 &+ UInt64(value.producer) &+ 7)
        let choice = random.next() % 1_000
        let isAtomic = value.number % Self.keys % 2 == 0
        fate = isAtomic ? .atomic : .ack
        detour = .none
        delayNanos = 0
        switch choice {
        case 0..<5: fate = .fail
        case 5..<10:
            fate = .exhaust
            delayNanos = 50_000_000
        case 10..<30:
            detour = .delay
            delayNanos = 100_000_000 + Int64(random.next() % 1_900) * 1_000_000
        case 30..<40: detour = .backoff
        case 40..<50: detour = .release
        default: break
        }
    }

    package enum Step: Hashable, Sendable {
        case ack, atomic, fail, release
        /// With the delay given; nil for the backoff.
        case retry(Int64?)
    }

    /// What whoever has it does with a hand-out.
    package func step(failed: UInt32, handout: UInt32) -> Step {
        switch (fate, detour) {
        case (.fail, _): .fail
        case (.exhaust, _): .retry(delayNanos)
        case (_, .delay) where failed == 0: .retry(delayNanos)
        case (_, .backoff) where failed == 0: .retry(nil)
        case (_, .release) where handout == 1: .release
        case (.atomic, _): .atomic
        case (.ack, _): .ack
        }
    }
}
