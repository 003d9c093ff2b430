import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// What of a session's claims holds: it keeps what it has, and gets back what it had before a
    /// restart. The slots are marked `claimed`.
    func takeClaims(_ claims: [TokenRange], _ holder: Holder, _ now: Now) -> [TokenRange] {
        let subscription = holder.subscription
        let window = subscription.window
        var held: [TokenRange] = []
        for claim in claims where claim.epoch <= epoch {
            let end = min(claim.first + Offset(claim.count), window.end)
            var offset = max(claim.first, window.firstOpen)
            while offset < end {
                if let slot = window.slot(offset), keep(slot, offset, claim, holder, now) {
                    slot.pointee.flags |= Slot.claimed
                    if let last = held.last, last.first + Offset(last.count) == offset,
                        last.handout == claim.handout
                    {
                        held[held.count - 1].count += 1
                    } else {
                        let range = TokenRange(
                            epoch: epoch, first: offset, count: 1, handout: claim.handout)
                        held.append(range)
                    }
                }
                offset += 1
            }
        }
        return held
    }

    /// Whether one claim holds.
    private func keep(
        _ slot: UnsafeMutablePointer<Slot>, _ offset: Offset, _ claim: TokenRange, _ holder: Holder,
        _ now: Now
    ) -> Bool {
        let subscription = holder.subscription
        guard slot.pointee.handout == claim.handout else { return false }
        switch slot.pointee.state {
        case .leased:
            let group = subscription.leases.groups[Int(slot.pointee.a)]
            // One on its way back, or with a verdict on its way, is the session's no more.
            return group.holder == holder.index && claim.epoch >= group.epoch
                && !slot.pointee.has(Slot.inFlight) && !subscription.isOutOfTurn(offset)
        case .unresolved:
            // Handed out before the restart; nobody else can have this hand-out number.
            guard claim.epoch < epoch, !slot.pointee.has(Slot.inFlight) else { return false }
            if let order = subscription.order {
                guard isTurn(of: offset, holder, order, subscription) else { return false }
                order.laneOf[offset]?.unresolved -= 1
            }
            subscription.counts.leave(.unresolved)
            slot.pointee.state = .leased
            slot.pointee.flags |= Slot.unsized
            let until = subscription.extensions[offset] ?? .min
            lease(slot, offset, to: holder, until: until, epoch: claim.epoch, now)
            if let lane = subscription.order?.laneOf[offset] {
                laneHandedOut(offset, holder, lane, subscription, isClaim: true)
            }
            holder.unsizedOut += 1
            subscription.unsized.push(offset)
            return true
        case .unseen, .returned, .waiting, .acked, .dead, .passed, .dying: return false
        }
    }

    /// Puts one message into a lease group that ends at `deadline` or with the usual lease.
    func lease(
        _ slot: UnsafeMutablePointer<Slot>, _ offset: Offset, to holder: Holder,
        until deadline: Int64, epoch: UInt32, _ now: Now
    ) {
        let subscription = holder.subscription
        let usual = now.clock.addingSaturating(holder.leaseNanos)
        let group = leaseGroup(of: holder, deadline: max(usual, deadline))
        subscription.leases.lowerEpoch(group, to: epoch)
        subscription.leases.add(group, run: offset..<offset + 1)
        subscription.counts.enter(.leased)
        slot.pointee.a = group
        slot.pointee.b = 0
        holder.messagesOut += 1
        let handout = EntryRange(first: offset, count: 1, handout: slot.pointee.handout)
        note(handouts: CollectionOfOne(handout), holder)
    }

    func clearClaims(_ held: [TokenRange], _ subscription: SubscriptionState) {
        for range in held {
            for offset in range.first..<range.first + Offset(range.count) {
                subscription.window.slot(offset)?.pointee.flags &= ~Slot.claimed
            }
        }
    }

    /// Gives back what a holder has (without a verdict on its way) where `isMeant`: as an entry,
    /// effective when durable. Answers whether there was any.
    @discardableResult
    func returnLeases(
        of holder: Holder, cause: ReturnCause, where isMeant: (Slot) -> Bool
    ) -> Bool {
        var hasAny = false
        for reference in holder.groups where holder.subscription.leases.contains(reference) {
            if returnGroup(reference.index, holder, cause: cause, where: isMeant) { hasAny = true }
        }
        return hasAny
    }

    @discardableResult
    func returnGroup(
        _ index: UInt32, _ holder: Holder, cause: ReturnCause, together: UInt32 = 0,
        where isMeant: (Slot) -> Bool
    ) -> Bool {
        let subscription = holder.subscription
        var ranges: [EntryRange] = []
        for run in subscription.leases.groups[Int(index)].runs {
            for offset in run {
                guard let slot = subscription.window.slot(offset), slot.pointee.state == .leased,
                    slot.pointee.a == index, !slot.pointee.has(Slot.inFlight),
                    isMeant(slot.pointee)
                else { continue }
                slot.pointee.flags |= Slot.inFlight | Slot.returning
                ranges.append(offset: offset, handout: slot.pointee.handout)
            }
        }
        proposeReturn(ranges, subscription.id, holder.session.id, cause, together: together)
        supersede(after: ranges, holder)
        return !ranges.isEmpty
    }

    /// Entries of at most `Limits.settleRanges` ranges each.
    func proposeReturn(
        _ ranges: [EntryRange], _ subscription: SubscriptionID, _ session: SessionID,
        _ cause: ReturnCause, together: UInt32 = 0
    ) {
        let sorted = ranges.sortedByOffset()
        var start = 0
        while start < sorted.count {
            let end = min(sorted.count, start + Limits.settleRanges)
            let returned = Returned(
                subscription: subscription, session: session, cause: cause, together: together,
                ranges: Array(sorted[start..<end]))
            tail.control.append(TailItem(.entry(.returned(returned)), .done, []))
            start = end
        }
    }
}

extension [EntryRange] {
    /// Appends one offset; it continues the last run where it can.
    @inline(__always)
    mutating func append(offset: Offset, handout: UInt32) {
        if let last = self.last, last.end == offset, last.handout == handout, last.count < .max {
            self[count - 1].count += 1
        } else {
            append(EntryRange(first: offset, count: 1, handout: handout))
        }
    }
}
