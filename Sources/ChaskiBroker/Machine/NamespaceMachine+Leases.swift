import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// The holder's lease group for messages handed out now: the last one while it is young, else
    /// a new one.
    func leaseGroup(of holder: Holder, deadline: Int64, round: UInt32? = nil) -> UInt32 {
        let subscription = holder.subscription
        let round = round ?? subscription.flow.breaker.round
        let spread = min(10_000_000, holder.leaseNanos / 64)
        dropEmptyGroups(of: holder)
        // Groups ascend by deadline; only leases extended by name can be later than a new one.
        var place = holder.groups.count
        while place > 0 {
            let reference = holder.groups[place - 1]
            guard subscription.leases.contains(reference) else {
                holder.groups.remove(at: place - 1)
                place -= 1
                continue
            }
            let group = subscription.leases.groups[Int(reference.index)]
            if group.deadline > deadline {
                place -= 1
                continue
            }
            if deadline - group.firstDeadline <= spread, group.round == round {
                subscription.leases.raiseDeadline(reference.index, to: deadline)
                return reference.index
            }
            break
        }
        let reference = subscription.leases.addGroup(
            holder: holder.index, epoch: epoch, deadline: deadline, round: round)
        holder.groups.insert(reference, at: place)
        setTimer(for: holder)
        return reference.index
    }

    private func dropEmptyGroups(of holder: Holder) {
        while let first = holder.groups.first, !holder.subscription.leases.contains(first) {
            holder.groups.removeFirst()
        }
        // Those behind an old one that lives on, too, before they are many.
        if holder.groups.count > 64, holder.groups.count > 4 * Int(holder.messagesOut) {
            holder.groups.removeAll { !holder.subscription.leases.contains($0) }
        }
    }

    /// When the holder's next lease runs out; nil when it holds nothing.
    func nextLapse(of holder: Holder) -> Int64? {
        dropEmptyGroups(of: holder)
        guard let first = holder.groups.first else { return nil }
        guard holder.consumer != nil else { return holder.graceUntil }
        return max(holder.subscription.leases.deadline(first), holder.leaseFloor)
    }

    /// Leases of the holder that have run out go back.
    func lapse(_ holder: Holder, _ now: Now) {
        guard now.clock >= timers.guardUntil else { return }
        guard holder.extendsInFlight == 0 else { return }
        while let at = nextLapse(of: holder), at <= now.clock, let first = holder.groups.first {
            noteSilence(of: holder, now)
            let cause: ReturnCause = holder.consumer == nil ? .sessionLapsed : .leaseExpired
            let together = holder.session.heldTogether
            returnGroup(first.index, holder, cause: cause, together: together) { _ in true }
            // Whatever is left in it is on its way with a verdict.
            holder.groups.removeFirst()
        }
    }

    /// A lease of the holder runs out: whether nothing was heard for as long as a lease lasts.
    private func noteSilence(of holder: Holder, _ now: Now) {
        let lease = holder.leaseNanos
        guard holder.consumer != nil, !holder.isSilent,
            holder.session.lastSeen.addingSaturating(lease) <= now.clock
        else { return }
        holder.isSilent = true
        holder.subscription.activity.arrange()
    }

    /// After a restart nobody came for these: they are handed out again.
    func lapseUnresolved(_ now: Now) {
        for subscription in directory.subscriptionsByID where subscription.counts.unresolved > 0 {
            var ranges: [EntryRange] = []
            var position = subscription.window.firstOpen
            while let offset = subscription.window.nextOpen(from: position) {
                position = offset + 1
                if let slot = subscription.window.slot(offset), slot.pointee.state == .unresolved,
                    !slot.pointee.has(Slot.inFlight)
                {
                    slot.pointee.flags |= Slot.inFlight | Slot.returning
                    ranges.append(offset: offset, handout: slot.pointee.handout)
                }
            }
            proposeReturn(ranges, subscription.id, SessionID(rawValue: 0), .restart)
        }
    }

    /// Hand-outs for the history: they ride with the next group.
    func note(handouts: some Collection<EntryRange>, _ holder: Holder) {
        if holder.unjournaled.isEmpty { sessions.unjournaled.append(holder) }
        holder.unjournaled.append(contentsOf: handouts)
        let count = handouts.reduce(0) { $0 + UInt64($1.count) }
        holder.subscription.totals.handedOut &+= count
    }
}
