package import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// When `timerFired` is wanted next, nanoseconds of the broker clock; nil for never.
    package var nextTimerNanos: Int64? {
        guard isRunning else { return nil }
        return timers.heap.first?.at
    }

    /// A timer of the host's fired, or may have.
    package func timerFired(now: Now, effects: inout [Effect]) {
        guard isRunning else { return }
        if let first = timers.heap.first,
            now.clock.addingSaturating(-configuration.pauseDetectionNanos) > first.at
        {
            // Heartbeats that came meanwhile have not been handled yet.
            timers.guardUntil = now.clock.addingSaturating(configuration.pauseGraceNanos)
        }
        var due: [Timer] = []
        while let first = timers.heap.first, first.at <= now.clock {
            due.append(first)
            timers.heap.pop()
        }
        for timer in due { fire(timer, now) }
        finishEvent(now, &effects)
    }

    private func fire(_ timer: Timer, _ now: Now) {
        let subscription = directory.subscriptions[SubscriptionID(rawValue: timer.subscription)]
        switch timer.kind {
        case .wake: break
        case .lease:
            guard let holder = subscription?.leases.holder(timer.holder),
                holder.session.ordinal == timer.session, holder.timer == timer.at
            else { break }
            holder.timer = nil
            lapse(holder, now)
            setTimer(for: holder)
        case .retry:
            guard let subscription, subscription.activity.retryTimer == timer.at else { break }
            subscription.activity.retryTimer = nil
            if timer.at <= lastDurable.clock {
                releaseDue(subscription)
                markDirty(subscription)
            } else {
                tail.wantsClock = true
                work.due.append(subscription)
            }
        case .read:
            guard let subscription, subscription.activity.readTimer == timer.at else { break }
            subscription.activity.readTimer = nil
            for block in [subscription.supply.freshBlock, subscription.supply.againBlock] {
                if let block, block.retryAt > now.clock {
                    setReadTimer(subscription, at: block.retryAt)
                }
            }
            markDirty(subscription)
        case .deadLetters:
            guard let subscription, subscription.activity.deadTimer == timer.at else { break }
            subscription.activity.deadTimer = nil
            expireDeadLetters(subscription, now)
        case .deaths:
            if let subscription { deathTimerFired(subscription, timer.at) }
        case .gate:
            if let subscription { gateTimerFired(subscription, timer.at) }
        case .restartGrace: endRestartGrace(now)
        case .transactions: transactionTimerFired(now)
        case .dedup: dedupTimerFired(TopicID(rawValue: timer.subscription), now)
        case .handouts:
            guard let at = tail.handoutsDueAt, at <= now.clock else { break }
            tail.handoutsDueAt = nil
            if !sessions.unjournaled.isEmpty { tail.wantsClock = true }
        }
    }

    private func endRestartGrace(_ now: Now) {
        guard let until = timers.restartGraceUntil else { return }
        let at = max(until, timers.guardUntil)
        guard at <= now.clock else {
            timers.heap.push(Timer(at: at, kind: .restartGrace))
            return
        }
        timers.restartGraceUntil = nil
        lapseUnresolved(now)
    }

    /// Sets the holder's timer to when its next lease runs out.
    func setTimer(for holder: Holder) {
        guard var at = nextLapse(of: holder), at < .max else { return }
        at = max(at, timers.guardUntil)
        // While an extension is on its way its outcome is waited for.
        if holder.extendsInFlight > 0 { return }
        if let set = holder.timer, set <= at { return }
        holder.timer = at
        timers.heap.push(
            Timer(
                at: at, kind: .lease, subscription: holder.subscription.id.rawValue,
                holder: holder.index, session: holder.session.ordinal))
    }

    /// Sets the subscription's timer to its first retry.
    func setRetryTimer(_ subscription: SubscriptionState) {
        guard let first = subscription.retries.first, first.due < .max else { return }
        if let set = subscription.activity.retryTimer, set <= first.due { return }
        subscription.activity.retryTimer = first.due
        timers.heap.push(
            Timer(at: first.due, kind: .retry, subscription: subscription.id.rawValue))
    }

    func setReadTimer(_ subscription: SubscriptionState, at: Int64) {
        if let set = subscription.activity.readTimer, set <= at { return }
        subscription.activity.readTimer = at
        timers.heap.push(Timer(at: at, kind: .read, subscription: subscription.id.rawValue))
    }

    /// Hand-outs reach the journal within a second even when nothing else does.
    func scheduleHandoutFlush(_ now: Now) {
        guard tail.handoutsDueAt == nil, !sessions.unjournaled.isEmpty else { return }
        let at = now.clock.addingSaturating(1_000_000_000)
        tail.handoutsDueAt = at
        timers.heap.push(Timer(at: at, kind: .handouts))
    }

    // MARK: retries

    /// Retries that are due by a time that is on disk: so that after a crash the clock stands past
    /// the due time of everything that was handed out.
    func releaseDue() {
        guard !work.due.isEmpty else { return }
        let due = work.due
        work.due.removeAll(keepingCapacity: true)
        for subscription in due where directory.subscriptions[subscription.id] === subscription {
            releaseDue(subscription)
            markDirty(subscription)
        }
    }

    func releaseDue(_ subscription: SubscriptionState) {
        while let first = subscription.retries.first, first.due <= lastDurable.clock {
            subscription.retries.pop()
            guard first.offset < subscription.window.end,
                let slot = subscription.window.slot(first.offset),
                slot.pointee.state == .waiting, slot.pointee.due == first.due
            else { continue }
            subscription.counts.leave(.waiting)
            slot.pointee.state = .returned
            slot.pointee.a = 0
            slot.pointee.b = 0
            subscription.counts.enter(.returned)
            queueAgain(slot.pointee, first.offset, subscription)
        }
        setRetryTimer(subscription)
    }

    // MARK: the hand-out ceiling

    /// Proposes a higher ceiling where the cursor comes near.
    func wantCeiling(_ subscription: SubscriptionState) {
        guard !subscription.activity.wantsCeiling,
            subscription.ceiling.proposed == subscription.ceiling.value,
            subscription.activity.rotation.contains(where: { $0.limit.messages > 0 })
        else { return }
        let cursor = subscription.window.end
        let least = max(1, configuration.minimumCeilingStep)
        let step = max(subscription.ceiling.step, least)
        guard
            subscription.ceiling.value < cursor &+ step / 2 || subscription.ceiling.value == cursor
        else { return }
        let raised =
            cursor
            &+ subscription.nextCeilingStep(
                lastDurable.clock, least: least, most: configuration.maximumCeilingStep)
        guard raised > subscription.ceiling.value, raised <= Offset(Int64.max) else { return }
        subscription.ceiling.proposed = raised
        subscription.activity.wantsCeiling = true
        work.ceilings.append(subscription)
    }
}

extension SubscriptionState {
    /// A step that is used up within a second doubles; one that lasts long halves. Never past what
    /// may be tracked.
    fileprivate func nextCeilingStep(_ clock: Int64, least: UInt64, most: UInt64) -> UInt64 {
        let since = clock.subtractingReportingOverflow(ceiling.raisedAt)
        if ceiling.step == 0 {
            ceiling.step = least
        } else if !since.overflow, since.partialValue < 1_000_000_000 {
            ceiling.step = min(max(least, most), ceiling.step * 2)
        } else {
            ceiling.step = max(least, ceiling.step / 2)
        }
        ceiling.raisedAt = clock
        let room =
            UInt64(settings.maximumUnsettled)
            - min(
                UInt64(settings.maximumUnsettled), counts.tracked)
        return max(1, min(ceiling.step, room))
    }
}
