import ChaskiModel
import DequeModule

/// How strongly a message is suspected of killing whoever handles it.
///
/// Of what a session held when it vanished, most only sat in its buffer. All of it is handed out
/// again in groups that shrink with each session that vanishes with such a group, down to one message
/// alone; only what was alone counts as abandoned.
struct Suspicion: Hashable {
    static let none = Suspicion(level: 0)
    /// Groups shrink to about a sixteenth.
    static let divisor: UInt64 = 16

    /// 0: none. 1: alone. Each level more: in groups `divisor` times as large.
    let level: UInt8

    private init(level: UInt8) { self.level = level }

    /// What is to be thought of a message whose holder vanished with so many; 0 where it did not.
    init(together count: UInt32) {
        guard count > 0 else {
            self = .none
            return
        }
        var level: UInt8 = 1
        var size = Suspicion.divisor
        while size < UInt64(count) {
            size *= Suspicion.divisor
            level += 1
        }
        self.level = level
    }

    /// The level of a message that had one before: it never becomes less suspect by coming back.
    func sharpening(_ before: UInt8) -> UInt8 {
        if level == 0 { return before }
        return before == 0 ? level : min(before, level)
    }

    /// How many of this level are handed out together.
    static func groupSize(level: UInt8) -> UInt64 {
        precondition(level > 0, "not a suspect")
        return (1..<min(level, 8)).reduce(1) { size, _ in size * divisor }
    }
}

extension NamespaceMachine {
    /// A message whose holder vanished while it held nothing else: too often, and it is dead.
    func abandon(_ returned: Returned, _ subscription: SubscriptionState, _ time: Now) {
        for range in returned.ranges {
            for offset in range.first..<range.end {
                guard let slot = subscription.window.slot(offset), !slot.pointee.isSettled else {
                    continue
                }
                var attempt = Attempt(
                    end: .abandoned, handout: range.handout, session: returned.session,
                    endedClockNanos: time.clock, endedWallNanos: time.wall,
                    reason: "whoever held it alone vanished", code: "", delayNanos: nil)
                let before = slot.pointee
                let times = before.abandoned == .max ? .max : before.abandoned + 1
                if UInt32(times) < subscription.settings.maximumAbandoned {
                    record(attempt, offset, slot, subscription)
                    slot.pointee.abandoned = times
                    comeBack(
                        EntryRange(first: offset, count: 1, handout: range.handout), subscription,
                        Suspicion(together: 1))
                } else if returned.mayDie || subscription.forwardsDead {
                    record(attempt, offset, slot, subscription)
                    beginToDie(offset, .abandoned, failed: before.failed, subscription, time)
                } else {
                    parked(subscription)
                    attempt.delayNanos = subscription.settings.retry.maximumBackoffNanos
                    record(attempt, offset, slot, subscription)
                    var waiting = Slot(state: .waiting)
                    waiting.failed = before.failed
                    waiting.abandoned = times
                    waiting.suspicion = 1
                    waiting.returns = range.handout
                    waiting.due = time.clock.addingSaturating(
                        subscription.settings.retry.maximumBackoffNanos)
                    wait(waiting, slot, offset, subscription)
                }
            }
        }
    }

    /// Hands out suspects, each group to a session that has nothing else and gets nothing else
    /// meanwhile. Answers the offset that must be read for that.
    func serveSuspects(
        _ subscription: SubscriptionState, _ now: Now, _ outbox: inout Outbox
    ) -> Offset? {
        while let first = firstSuspect(subscription) {
            guard subscription.flow.allowance > 0 else {
                // Nobody waits, set apart, for what may be long in coming.
                if subscription.flow.isShut, let reserved = subscription.activity.reserved {
                    endApart(reserved.session)
                }
                return nil
            }
            guard let holder = holderForSuspects(subscription) else { return nil }
            guard let batch = subscription.batchAtHand(holding: first) else { return first }
            guard handOutSuspects(subscription, holder, batch, now, &outbox) else { return nil }
        }
        if let reserved = subscription.activity.reserved { endApart(reserved.session) }
        return nil
    }

    /// The lowest suspect; forgets those that are suspects no more.
    private func firstSuspect(_ subscription: SubscriptionState) -> Offset? {
        while let offset = subscription.suspects.first {
            if offset < subscription.window.end, let slot = subscription.window.slot(offset),
                slot.pointee.state == .returned, slot.pointee.suspicion > 0
            {
                return offset
            }
            subscription.suspects.pop()
        }
        return nil
    }

    /// One whose session holds nothing. Where there is none, one is chosen that gets nothing more
    /// until it holds nothing. At most half of the consumers have suspects at once.
    private func holderForSuspects(_ subscription: SubscriptionState) -> Holder? {
        let rotation = subscription.activity.rotation
        let probing = rotation.count { $0.isProbing }
        guard probing < max(1, rotation.count / 2) else { return nil }
        let open = rotation.filter {
            $0.consumer != nil && $0.limit.messages > 0
                && ($0.session.apart == nil || $0 === subscription.activity.reserved)
        }
        if let idle = open.first(where: { $0.session.held == 0 }) { return idle }
        guard subscription.activity.reserved == nil,
            let least = open.min(by: { $0.session.held < $1.session.held })
        else { return nil }
        subscription.activity.reserved = least
        least.session.apart = least
        return nil
    }

    /// Hands out the first suspects of one batch, as many as may be together. False where the batch
    /// is damaged.
    private func handOutSuspects(
        _ subscription: SubscriptionState, _ holder: Holder, _ batch: StoredBatch, _ now: Now,
        _ outbox: inout Outbox
    ) -> Bool {
        if let reserved = subscription.activity.reserved, reserved !== holder {
            endApart(reserved.session)
        }
        var walk = SupplyBatch(batch)
        var level: UInt8?
        var left = min(UInt64(holder.limit.messages), subscription.flow.allowance)
        while left > 0, let offset = firstSuspect(subscription), offset < walk.end,
            let slot = subscription.window.slot(offset),
            level == nil || level == slot.pointee.suspicion
        {
            guard let length = walk.length(at: offset) else {
                subscription.supply.again.removeAll { $0.baseOffset == batch.baseOffset }
                block(.again, of: subscription, .damagedBatch(batch), now)
                return level != nil
            }
            if let order = subscription.order {
                // Its lane says when nobody has anything of its key.
                guard case .anybody = turn(of: offset, walk.key(at: offset), order, subscription)
                else {
                    subscription.suspects.pop()
                    continue
                }
            }
            if level == nil {
                level = slot.pointee.suspicion
                left = min(left, Suspicion.groupSize(level: slot.pointee.suspicion))
            } else if holder.bytesOut &+ UInt64(length) > holder.limit.bytes {
                break
            }
            subscription.suspects.pop()
            left -= 1
            handOutAgain(slot, offset, length, holder, now)
            let run = DeliveryRun(
                first: offset, count: 1, handout: slot.pointee.handout,
                failed: slot.pointee.failed)
            outbox.add(run, batch, holder)
        }
        // Where all had to wait for others of their keys, whoever is reserved stays so.
        guard level != nil else { return true }
        subscription.activity.reserved = nil
        holder.isProbing = true
        holder.session.apart = holder
        return true
    }

    /// After a verdict of a session that is set apart: whether that is over, or can begin.
    func settleApart(_ session: SessionState) {
        guard let apart = session.apart else { return }
        if apart.isProbing {
            if apart.messagesOut == 0 { endApart(session) }
        } else if session.held == 0 {
            markDirty(apart.subscription)
        }
    }

    /// The session gets anything again.
    func endApart(_ session: SessionState) {
        guard let apart = session.apart else { return }
        session.apart = nil
        apart.isProbing = false
        if apart.subscription.activity.reserved === apart {
            apart.subscription.activity.reserved = nil
        }
        for holder in session.holders.values.sorted(by: { $0.subscription.id < $1.subscription.id })
        {
            markDirty(holder.subscription)
        }
    }
}
