import ChaskiModel

extension NamespaceMachine {
    /// Spends an attempt of each: they wait, or die.
    func applyFailure(_ settled: Settled, _ subscription: SubscriptionState, _ time: Now) {
        for range in settled.ranges {
            for offset in range.first..<range.end {
                guard let slot = subscription.window.slot(offset), !slot.pointee.isSettled else {
                    continue
                }
                if slot.pointee.state == .leased {
                    subscription.noteVerdict(failed: 1, group: slot.pointee.a)
                }
                let spent: UInt32 = settled.isProbe || slot.pointee.failed == .max ? 0 : 1
                let failures = slot.pointee.failed + spent
                subscription.totals.failed &+= settled.isProbe ? 0 : 1
                var attempt = Attempt(
                    end: settled.isProbe ? .probe : settled.verb == .fail ? .fail : .retry,
                    handout: range.handout, session: settled.session,
                    endedClockNanos: time.clock, endedWallNanos: time.wall,
                    reason: settled.reason, code: settled.code, delayNanos: nil)
                let cause =
                    settled.isProbe
                    ? nil : subscription.death(settled.verb, failures, slot, offset, time)
                if let cause, settled.mayDie || subscription.forwardsDead {
                    record(attempt, offset, slot, subscription)
                    beginToDie(offset, cause, failed: failures, subscription, time)
                    continue
                }
                // What should die and cannot waits for the store to have room.
                if cause != nil { parked(subscription) }
                let policy = subscription.settings.retry
                let delay =
                    cause != nil
                    ? policy.maximumBackoffNanos
                    : settled.delayNanos
                        ?? policy.delay(afterFailure: failures, seed: settled.seed, offset: offset)
                attempt.delayNanos = delay
                record(attempt, offset, slot, subscription)
                // Whoever fails it lives: it is suspected no more.
                var waiting = Slot(state: .waiting)
                waiting.failed = failures
                waiting.abandoned = slot.pointee.abandoned
                waiting.returns = range.handout
                waiting.due = time.clock.addingSaturating(delay)
                wait(waiting, slot, offset, subscription)
            }
        }
    }

    /// Adds to the history of an unsettled message.
    func record(
        _ attempt: Attempt, _ offset: Offset, _ slot: UnsafeMutablePointer<Slot>,
        _ subscription: SubscriptionState
    ) {
        precondition(!slot.pointee.isSettled, "its history is the dead store's, or over")
        if slot.pointee.has(Slot.historied) {
            subscription.histories.update(offset) { $0.history.append(attempt) }
            return
        }
        var history = MessageHistory()
        history.append(attempt)
        subscription.setHistory(history, offset, slot)
    }

    /// The message dies; where it is to be forwarded it waits for that.
    func beginToDie(
        _ offset: Offset, _ cause: DeathCause, failed: UInt32, _ subscription: SubscriptionState,
        _ time: Now
    ) {
        guard subscription.forwardsDead else {
            die(offset, cause, failed: failed, subscription, time)
            return
        }
        guard let slot = subscription.window.slot(offset), !slot.pointee.isSettled else { return }
        let before = slot.pointee
        leave(before, offset, subscription)
        var dying = Slot(state: .dying)
        dying.failed = failed
        dying.abandoned = before.abandoned
        dying.returns = before.returns
        dying.flags = before.flags & Slot.historied
        slot.pointee = dying
        subscription.counts.enter(.dying)
        subscription.deaths.insert(DyingMessage(offset: offset, cause: cause))
        guard isRunning else { return }
        if let order = subscription.order { laneChanged(offset, order, subscription) }
        markDying(subscription)
    }

    /// The message takes its history along to the dead letters.
    func die(
        _ offset: Offset, _ cause: DeathCause, failed: UInt32, _ subscription: SubscriptionState,
        _ time: Now
    ) {
        guard let slot = subscription.window.slot(offset), !slot.pointee.isSettled else { return }
        let history = subscription.takeHistory(offset, slot)
        guard let before = subscription.window.settle(offset, as: .dead) else { return }
        leave(before, offset, subscription)
        let record = DeadRecord(
            offset: offset, cause: cause, failed: failed, handedOut: before.handout,
            diedNanos: time.clock, history: history)
        if subscription.dead.insert(record) { directory.deadLetters += 1 }
        if let order = subscription.order { laneChanged(offset, order, subscription) }
        if isRunning { setDeadTimer(subscription) }
    }
}

extension SubscriptionState {
    /// Whether a failure kills, and why.
    fileprivate func death(
        _ verb: Verb, _ failures: UInt32, _ slot: UnsafeMutablePointer<Slot>, _ offset: Offset,
        _ time: Now
    ) -> DeathCause? {
        if verb == .fail { return .failedOnPurpose }
        if failures >= settings.retry.maximumFailures { return .maximumFailures }
        guard let age = settings.retry.maximumAgeNanos, slot.pointee.has(Slot.historied),
            let first = histories[offset]?.history.firstFailure
        else { return nil }
        return first.addingSaturating(age) <= time.clock ? .maximumAge : nil
    }

    /// Gives an unsettled message a history, in place of any other.
    func setHistory(
        _ history: MessageHistory, _ offset: Offset, _ slot: UnsafeMutablePointer<Slot>
    ) {
        guard !history.isEmpty else {
            _ = takeHistory(offset, slot)
            return
        }
        slot.pointee.flags |= Slot.historied
        histories.insert(HistoryRecord(offset: offset, history: history))
    }

    /// Takes the history of an unsettled message away.
    func takeHistory(_ offset: Offset, _ slot: UnsafeMutablePointer<Slot>) -> MessageHistory {
        guard slot.pointee.has(Slot.historied) else { return MessageHistory() }
        slot.pointee.flags &= ~Slot.historied
        guard let record = histories.remove(offset) else {
            preconditionFailure("a message that says so has a history")
        }
        return record.history
    }
}

extension RetryPolicy {
    /// Full jitter: between 0 and the bound. Equal arguments give equal delays.
    func delay(afterFailure failures: UInt32, seed: UInt64, offset: Offset) -> Int64 {
        precondition(failures > 0, "a delay follows a failure")
        let bound = self.bound(afterFailure: failures)
        guard bound > 0 else { return 0 }
        let random = SplitMix64.mix(seed ^ SplitMix64.mix(offset &+ 0x9E37_79B9_7F4A_7C15))
        return Int64((random.multipliedFullWidth(by: UInt64(bound) + 1)).high)
    }

    /// The minimum times the multiplier to the failures before, at most the maximum. Binary fixed
    /// point with 32 places behind the point, so that no multiplier is lost to rounding.
    func bound(afterFailure failures: UInt32) -> Int64 {
        let maximum = UInt128(UInt64(max(0, maximumBackoffNanos))) << 32
        var bound = min(UInt128(UInt64(max(0, minimumBackoffNanos))) << 32, maximum)
        guard bound > 0, multiplierThousandths > 1_000 else { return Int64(bound >> 32) }
        // Each step grows by a thousandth at least: 44,000 steps lead from 1 ns past any maximum.
        var left = failures - 1
        while left > 0, bound < maximum {
            bound = min(maximum, bound * UInt128(multiplierThousandths) / 1_000)
            left -= 1
        }
        return Int64(bound >> 32)
    }
}
