import ChaskiBroker
import ChaskiModel

/// The retry policy: when a message that failed comes again, and which failure is its last.
extension Oracle {
    /// A retry took effect, in the group that was written last.
    func applyRetry(
        _ settle: PendingSettle, _ offset: Offset, _ subscription: SubscriptionModel
    ) {
        let policy = subscription.settings.retry
        let clock = lastGroupClock
        var fate = Fate()
        subscription.withRecord(offset) {
            $0.endedBy = .retry
            if $0.probe == .no { $0.failedLow += 1 }
            if $0.probe != .yes {
                $0.failedHigh += 1
                fate = Fate($0, policy, at: clock)
                $0.firstFailureLow = min($0.firstFailureLow, clock)
            }
            if $0.probe == .no {
                $0.firstFailureHigh = min($0.firstFailureHigh, clock)
            } else {
                fate.mustDie = false
            }
            $0.state = fate.mustDie ? .dead : .waiting
            $0.mayBeSettled = $0.mayBeSettled || fate.mayDie
            $0.dueFrom = clock.addingCapped(retryDelay(settle, $0, subscription))
        }
        checkRetry(settle, offset, subscription, fate, policy, clock)
    }

    /// Whether a failure is a message's last.
    private struct Fate {
        var mayDie = false
        var mustDie = false

        init() {}

        /// - Parameter record: with the failure counted, but not yet as its first.
        init(_ record: MessageRecord, _ policy: RetryPolicy, at clock: Int64) {
            mayDie = record.failedHigh >= policy.maximumFailures
            mustDie = record.failedLow >= policy.maximumFailures
            guard let age = policy.maximumAgeNanos else { return }
            if record.firstFailureLow.addingCapped(age) <= clock { mayDie = true }
            if record.firstFailureHigh.addingCapped(age) <= clock { mustDie = true }
        }
    }

    /// What the broker made of it must be what the policy says.
    private func checkRetry(
        _ settle: PendingSettle, _ offset: Offset, _ subscription: SubscriptionModel, _ fate: Fate,
        _ policy: RetryPolicy, _ clock: Int64
    ) {
        guard let state = stateOf(subscription, offset) else { return }
        let record = subscription.withRecord(offset) { $0 }
        func name() -> String { "\(subscription.name)@\(offset)" }
        switch state {
        case .dead(let letter): checkDeath(name(), letter.cause, letter.failed, fate, policy)
        case .dying(let cause, let failed): checkDeath(name(), cause, failed, fate, policy)
        case .waiting(let failed, let due):
            if fate.mustDie {
                return violated("retry", "\(name()) failed \(failed) times, and is not dead")
            }
            checkDue(due, failed, settle, record, subscription, clock)
            subscription.withRecord(offset) { $0.dueFrom = due }
        default:
            if fate.mustDie { violated("retry", "\(name()) should be dead, and is \(state)") }
        }
    }

    private func checkDeath(
        _ name: String, _ cause: DeathCause, _ failed: UInt32, _ fate: Fate, _ policy: RetryPolicy
    ) {
        guard fate.mayDie else {
            return violated(
                "retry",
                "\(name) is dead (\(cause)) after \(failed) failures, of "
                    + "\(policy.maximumFailures) within \(policy.maximumAgeNanos ?? .max) ns")
        }
        let isLast = failed >= policy.maximumFailures
        if isLast != (cause == .maximumFailures) {
            violated("retry", "\(name) died of \(cause) at failure \(failed)")
        }
        if cause == .maximumAge { tookEffect(.retryPolicy) }
    }

    private func checkDue(
        _ due: Int64, _ failed: UInt32, _ settle: PendingSettle, _ record: MessageRecord,
        _ subscription: SubscriptionModel, _ clock: Int64
    ) {
        let policy = subscription.settings.retry
        let wait = due - clock
        let most: Int64
        switch (record.probe, settle.command.delayNanos) {
        case (.yes, _): most = settle.openNanos
        case (.no, let given?): most = given
        case (.no, nil):
            most = policy.bound(failed)
            jitter.note(wait, of: most, failed)
            if failed > 1, policy.multiplierThousandths > 1_000 { tookEffect(.retryPolicy) }
        case (.perhaps, _): return
        }
        let least = record.probe == .no && settle.command.delayNanos == nil ? 0 : most
        if wait < least || wait > most {
            violated(
                "retry",
                "\(subscription.name) waits \(wait) ns after failure \(failed), not \(least) to "
                    + "\(most)")
        }
    }

    /// Full jitter: delays are spread evenly between 0 and their bounds.
    func checkJitter() {
        guard let mean = jitter.deviation else { return }
        violated("retry", "backoffs are on average \(mean) of their bounds, not half of them")
    }
}

/// How long backoffs were, as shares of their bounds; of second and later failures only, for which
/// the multiplier matters.
struct JitterModel {
    private var count = 0
    private var sum = 0.0

    mutating func note(_ wait: Int64, of most: Int64, _ failed: UInt32) {
        guard failed > 1, most > 1_000 else { return }
        count += 1
        sum += Double(wait) / Double(most)
    }

    /// The mean, where chance cannot explain it: six standard deviations of even shares.
    var deviation: Double? {
        guard count >= 20 else { return nil }
        let mean = sum / Double(count)
        let tolerance = 6 * (1.0 / 12 / Double(count)).squareRoot()
        return abs(mean - 0.5) > tolerance ? mean : nil
    }
}

extension RetryPolicy {
    /// The longest delay after so many failures, rounded up.
    fileprivate func bound(_ failed: UInt32) -> Int64 {
        var bound = Double(minimumBackoffNanos)
        for _ in 1..<max(1, failed) where bound < Double(maximumBackoffNanos) {
            bound *= Double(multiplierThousandths) / 1_000
        }
        return min(maximumBackoffNanos, Int64(min(bound + 1, 1e18).rounded(.up)))
    }
}

extension Int64 {
    fileprivate func addingCapped(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
