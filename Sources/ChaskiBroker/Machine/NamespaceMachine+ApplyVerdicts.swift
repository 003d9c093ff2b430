import ChaskiModel
import DequeModule

extension NamespaceMachine {
    func apply(_ settled: Settled, _ time: Now) {
        guard let subscription = directory.subscriptions[settled.subscription] else { return }
        guard fits(settled.ranges, subscription) else { return }
        switch settled.verb {
        case .ack: applyAck(settled, subscription, time)
        case .retry, .fail: applyFailure(settled, subscription, time)
        case .release:
            for range in settled.ranges { comeBack(range, subscription) }
        case .extend: applyExtension(settled, subscription, time)
        }
        judgeBreaker(subscription, time)
        finish(subscription, settled.session)
    }

    func apply(_ returned: Returned, _ time: Now) {
        guard let subscription = directory.subscriptions[returned.subscription] else { return }
        guard fits(returned.ranges, subscription) else { return }
        if returned.together == 1 {
            abandon(returned, subscription, time)
        } else {
            let suspicion = Suspicion(together: returned.together)
            for range in returned.ranges { comeBack(range, subscription, suspicion) }
        }
        if returned.together > 0, isRunning, let session = sessions.byID[returned.session] {
            session.noteLapse(of: returned.ranges)
        }
        finish(subscription, returned.session)
    }

    /// In replay the cursor follows what was settled; beyond what could have been handed out the
    /// journal is corrupt.
    private func fits(_ ranges: [EntryRange], _ subscription: SubscriptionState) -> Bool {
        let end = ranges.last?.end ?? 0
        if end <= subscription.window.end { return true }
        precondition(!isRunning, "a verdict on what was never handed out")
        guard end <= subscription.ceiling.value, end <= subscription.topic.nextOffset,
            end - subscription.window.end <= Self.maximumOpenRun,
            end - subscription.window.settledBelow <= Window.maximumSpan
        else {
            stop(.corruptEntry("a verdict on offset \(end - 1), which nobody can have had"))
            return false
        }
        subscription.window.extend(to: end)
        return true
    }

    /// After a verdict: what it makes possible.
    private func finish(_ subscription: SubscriptionState, _ session: SessionID) {
        subscription.window.advance()
        work.touched.append(subscription)
        guard isRunning else { return }
        markDirty(subscription)
        guard let session = sessions.byID[session] else { return }
        if session.apart != nil { settleApart(session) }
        if let holder = session.holders[subscription.id] { retireIfIdle(holder) }
    }

    private func applyAck(_ settled: Settled, _ subscription: SubscriptionState, _ time: Now) {
        let window = subscription.window
        let ordinal = session(settled.session, time)?.ordinal ?? 0
        let seconds = Self.seconds(time.clock)
        var tally = LeaseTally()
        var acked: UInt64 = 0
        for range in settled.ranges {
            for offset in range.first..<range.end {
                guard let before = window.settle(offset, as: .acked, a: ordinal, b: seconds)
                else { continue }
                acked += 1
                if before.handout != range.handout {
                    // In replay, between the sections of a checkpoint: its history is not read.
                    window.slot(offset)?.pointee.returns = range.handout &- 1
                }
                if before.state == .leased, before.flags & ~(Slot.inFlight | Slot.ackInFlight) == 0
                {
                    if before.a != tally.group { tally.flush(subscription, next: before.a) }
                    tally.count += 1
                    tally.bytes += UInt64(before.b)
                } else {
                    if before.state == .leased {
                        subscription.noteVerdict(acked: 1, group: before.a)
                    }
                    if before.has(Slot.historied) { subscription.histories.remove(offset) }
                    leave(before, offset, subscription)
                }
                if let order = subscription.order { laneChanged(offset, order, subscription) }
            }
        }
        tally.flush(subscription, next: .max)
        subscription.totals.acked &+= acked
    }

    /// Makes a message wait for its time.
    func wait(
        _ waiting: Slot, _ slot: UnsafeMutablePointer<Slot>, _ offset: Offset,
        _ subscription: SubscriptionState
    ) {
        precondition(waiting.state == .waiting, "it is to wait")
        let before = slot.pointee
        leave(before, offset, subscription)
        slot.pointee = waiting
        slot.pointee.flags = before.flags & Slot.historied
        subscription.counts.enter(.waiting)
        guard isRunning else { return }
        if let order = subscription.order { laneChanged(offset, order, subscription) }
        subscription.retries.push(RetryDue(due: waiting.due, offset: offset))
        setRetryTimer(subscription)
    }

    /// Back among what is to be handed out, with nothing spent.
    func comeBack(
        _ range: EntryRange, _ subscription: SubscriptionState, _ suspicion: Suspicion = .none
    ) {
        for offset in range.first..<range.end {
            guard let slot = subscription.window.slot(offset), !slot.pointee.isSettled else {
                continue
            }
            let before = slot.pointee
            leave(before, offset, subscription)
            var back = Slot(state: .returned)
            back.failed = before.failed
            back.abandoned = before.abandoned
            back.suspicion = suspicion.sharpening(before.suspicion)
            back.returns = max(before.returns, range.handout)
            back.flags = before.flags & Slot.historied
            slot.pointee = back
            subscription.counts.enter(.returned)
            if isRunning { queueAgain(back, offset, subscription) }
        }
    }

    /// What came back joins what is to be handed out again.
    func queueAgain(_ slot: Slot, _ offset: Offset, _ subscription: SubscriptionState) {
        precondition(slot.state == .returned, "it did not come back")
        if let order = subscription.order {
            // What was not looked at yet will be.
            guard offset < order.scanned else { return }
            if order.laneOf[offset] != nil {
                laneChanged(offset, order, subscription)
                return
            }
        }
        push(slot, offset, subscription)
    }

    func push(_ slot: Slot, _ offset: Offset, _ subscription: SubscriptionState) {
        if slot.suspicion > 0 {
            subscription.suspects.push(offset)
        } else {
            subscription.wanted.push(offset)
        }
    }

    private func applyExtension(_ settled: Settled, _ subscription: SubscriptionState, _ time: Now)
    {
        let deadline = time.clock.addingSaturating(settled.delayNanos ?? 0)
        let holder =
            isRunning ? sessions.byID[settled.session]?.holders[subscription.id] : nil
        if let holder, holder.extendsInFlight > 0 { holder.extendsInFlight -= 1 }
        for range in settled.ranges {
            for offset in range.first..<range.end {
                guard let slot = subscription.window.slot(offset), !slot.pointee.isSettled,
                    slot.pointee.handout == range.handout
                else { continue }
                let until = max(deadline, subscription.extensions[offset] ?? .min)
                subscription.extensions[offset] = until
                slot.pointee.flags |= Slot.extended
                if let holder { move(slot, offset, holder, until: until) }
            }
        }
        if let holder { setTimer(for: holder) }
    }

    /// Puts a leased message into a group with a later deadline.
    private func move(
        _ slot: UnsafeMutablePointer<Slot>, _ offset: Offset, _ holder: Holder, until: Int64
    ) {
        guard slot.pointee.state == .leased else { return }
        let subscription = holder.subscription
        let old = slot.pointee.a
        guard subscription.leases.groups[Int(old)].deadline < until else { return }
        let epoch = subscription.leases.groups[Int(old)].epoch
        let round = subscription.leases.groups[Int(old)].round
        let group = leaseGroup(of: holder, deadline: until, round: round)
        guard group != old else { return }
        subscription.leases.lowerEpoch(group, to: epoch)
        // The holder keeps what it has: only the group changes.
        subscription.leases.move(from: old, to: group, offset: offset)
        slot.pointee.a = group
    }

    /// Undoes what a slot that changes its state counted for.
    func leave(_ slot: Slot, _ offset: Offset, _ subscription: SubscriptionState) {
        subscription.counts.leave(slot.state)
        if slot.state == .unresolved { subscription.order?.laneOf[offset]?.unresolved -= 1 }
        if slot.has(Slot.extended) { subscription.extensions[offset] = nil }
        if slot.state == .dying { subscription.deaths.remove(offset) }
        guard slot.state == .leased else { return }
        subscription.flow.breaker.left(offset)
        if slot.has(Slot.unsized) {
            let group = subscription.leases.groups[Int(slot.a)]
            subscription.leases.holder(group.holder)?.unsizedOut -= 1
        }
        subscription.leases.leave(slot.a, count: 1, bytes: UInt64(slot.b))
    }

    /// The journal cannot be followed any further.
    func stop(_ failure: Failure) {
        if case .stopped = mode { return }
        mode = .stopped(failure)
    }
}

/// Messages of one lease group that are acked, counted together.
private struct LeaseTally {
    var group: UInt32 = .max
    var count: Int32 = 0
    var bytes: UInt64 = 0

    mutating func flush(_ subscription: SubscriptionState, next: UInt32) {
        if count > 0 {
            subscription.counts.leased -= UInt64(count)
            subscription.noteVerdict(acked: UInt64(count), group: group)
            subscription.leases.leave(group, count: count, bytes: bytes)
        }
        group = next
        count = 0
        bytes = 0
    }
}
