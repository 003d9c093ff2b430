import ChaskiModel
import DequeModule

/// How an ordered subscription looks at messages for the first time, and again after a restart.
extension NamespaceMachine {
    /// What one round of looking at messages remembers from one to the next.
    private struct Round {
        var holder: Holder?
        /// Messages that the holder gets before it is another's turn.
        var left = 0
        var group: (holder: Int32, index: UInt32)?
        /// What was handed out last and to whom, for the history.
        var noted: (holder: Holder, handouts: [EntryRange])?
        /// Something that came back found its place: it is to be served.
        var hasJoined = false
    }

    /// Looks at the messages at hand in their order: each is handed out, or waits behind those of
    /// its key. Stops where it would be handed out and nobody has room.
    func serveOrdered(
        _ subscription: SubscriptionState, _ order: KeyOrder, _ now: Now, _ outbox: inout Outbox
    ) {
        var round = Round()
        defer {
            flush(round.noted)
            if round.hasJoined { markDirty(subscription) }
        }
        // What was settled meanwhile is gone from the disk: it cannot be waited for.
        passSettled(subscription, order)
        while !subscription.supply.fresh.isEmpty {
            passSettled(subscription, order)
            guard !subscription.supply.fresh.isEmpty else { return }
            let supply = subscription.supply.fresh[0]
            if supply.end <= order.scanned {
                subscription.supply.dropFirst()
                continue
            }
            guard supply.batch.baseOffset <= order.scanned else {
                block(.fresh, of: subscription, .missing(order.scanned), now)
                return
            }
            switch scan(supply, subscription, order, now, &round, &outbox) {
            case .through: continue
            case .stopped: return
            case .damaged:
                subscription.supply.dropFirst()
                block(.fresh, of: subscription, .damagedBatch(supply.batch), now)
                return
            }
        }
    }

    /// After a restart most of what lies below the cursor is settled, and need not be read.
    private func passSettled(_ subscription: SubscriptionState, _ order: KeyOrder) {
        let window = subscription.window
        guard order.scanned < window.end else { return }
        order.scanned = window.nextOpen(from: order.scanned) ?? window.end
        while let first = subscription.supply.fresh.first, first.end <= order.scanned {
            subscription.supply.dropFirst()
        }
    }

    private enum Scan { case through, stopped, damaged }

    /// Looks at the messages of one batch from where the order stands.
    private func scan(
        _ supply: SupplyBatch, _ subscription: SubscriptionState, _ order: KeyOrder, _ now: Now,
        _ round: inout Round, _ outbox: inout Outbox
    ) -> Scan {
        var walk = supply
        let batch = supply.batch
        let outcome = batch.bytes.withSpan { span -> Scan in
            while order.scanned < walk.end {
                let offset = order.scanned
                while batch.baseOffset + Offset(walk.index) < offset {
                    guard BatchWalk.next(span, &walk.position) != nil else { return .damaged }
                    walk.index += 1
                }
                var position = walk.position
                guard let found = BatchWalk.nextKeyed(span, &position) else { return .damaged }
                if offset < subscription.window.end {
                    join(offset, found.key, subscription, order)
                    round.hasJoined = true
                } else {
                    guard offset < subscription.ceiling.value, !subscription.isWindowFull,
                        take(offset, found, batch, subscription, order, now, &round, &outbox)
                    else { return .stopped }
                }
                walk.position = position
                walk.index += 1
                order.scanned = offset + 1
            }
            return .through
        }
        if !subscription.supply.fresh.isEmpty { subscription.supply.fresh[0] = walk }
        // Chunks may shrink of which messages were only passed over.
        if !subscription.window.cooled.isEmpty, work.touched.last !== subscription {
            work.touched.append(subscription)
        }
        return outcome
    }

    // MARK: fresh messages

    /// Hands a fresh message out, or puts it behind those of its key. False where nobody has room.
    private func take(
        _ offset: Offset, _ found: BatchWalk.Keyed, _ batch: StoredBatch,
        _ subscription: SubscriptionState, _ order: KeyOrder, _ now: Now, _ round: inout Round,
        _ outbox: inout Outbox
    ) -> Bool {
        if let key = found.key {
            let lane = order.lanes[key]
            let isHeld = subscription.holdsKey(key)
            if isHeld || lane != nil {
                let lane = lane ?? order.makeLane(key)
                guard !isHeld, !lane.hasPending, lane.out < subscription.runLength,
                    subscription.flow.allowance > 0,
                    let holder = subscription.leases.holder(lane.holder), holder.consumer != nil,
                    holder.hasRoom(bytes: UInt64(found.length))
                else {
                    pass(offset, lane, subscription)
                    return true
                }
                join(offset, lane, holder, subscription, order)
                handOut(offset, found.length, batch, holder, subscription, now, &round, &outbox)
                return true
            }
        }
        guard subscription.flow.allowance > 0 else { return false }
        if round.left == 0 || round.holder?.hasRoom(bytes: UInt64(found.length)) != true {
            round.holder = nextFitting(subscription, UInt64(found.length))
            round.left = 32
        }
        guard let holder = round.holder else { return false }
        round.left -= 1
        if let key = found.key {
            join(offset, order.makeLane(key), holder, subscription, order)
        }
        handOut(offset, found.length, batch, holder, subscription, now, &round, &outbox)
        return true
    }

    /// The next message of a lane goes to a holder.
    private func join(
        _ offset: Offset, _ lane: Lane, _ holder: Holder, _ subscription: SubscriptionState,
        _ order: KeyOrder
    ) {
        lane.front.append(offset)
        order.note(offset, in: lane)
        laneHandedOut(offset, holder, lane, subscription)
    }

    private func pass(_ offset: Offset, _ lane: Lane, _ subscription: SubscriptionState) {
        subscription.window.pass(offset)
        subscription.counts.enter(.passed)
        lane.backlog.append(offset)
    }

    private func handOut(
        _ offset: Offset, _ length: UInt32, _ batch: StoredBatch, _ holder: Holder,
        _ subscription: SubscriptionState, _ now: Now, _ round: inout Round, _ outbox: inout Outbox
    ) {
        precondition(offset < subscription.ceiling.value, "handed out above the ceiling")
        subscription.flow.handedOut(offset, 1)
        if round.group?.holder != holder.index {
            let deadline = now.clock.addingSaturating(holder.leaseNanos)
            round.group = (holder.index, leaseGroup(of: holder, deadline: deadline))
        }
        guard let group = round.group?.index else { return }
        subscription.window.extend(to: offset + 1)
        if let slot = subscription.window.slot(offset) {
            slot.pointee.state = .leased
            slot.pointee.a = group
            slot.pointee.b = length
        }
        subscription.leases.add(group, run: offset..<offset + 1)
        subscription.counts.enter(.leased)
        holder.messagesOut += 1
        holder.bytesOut += UInt64(length)
        if round.noted?.holder !== holder {
            flush(round.noted)
            round.noted = (holder, [])
        }
        round.noted?.handouts.append(offset: offset, handout: 1)
        outbox.add(DeliveryRun(first: offset, count: 1, handout: 1, failed: 0), batch, holder)
    }

    private func flush(_ noted: (holder: Holder, handouts: [EntryRange])?) {
        guard let (holder, handouts) = noted else { return }
        note(handouts: handouts, holder)
    }

    // MARK: after a restart

    /// A message that was looked at before the restart joins its lane again.
    private func join(
        _ offset: Offset, _ key: UInt64?, _ subscription: SubscriptionState, _ order: KeyOrder
    ) {
        guard let slot = subscription.window.slot(offset), !slot.pointee.isSettled else { return }
        guard let key else {
            // `queueAgain` leaves alone what was not looked at.
            if slot.pointee.state == .returned { push(slot.pointee, offset, subscription) }
            return
        }
        let lane = order.lanes[key] ?? order.makeLane(key)
        order.note(offset, in: lane)
        if slot.pointee.state == .unresolved { lane.unresolved += 1 }
        if slot.pointee.staysWithHolder {
            let holder = subscription.leases.groups[Int(slot.pointee.a)].holder
            if let place = placeBehindRun(of: holder, lane, subscription) {
                lane.front.insert(offset, at: place)
                lane.outLimit = max(lane.outLimit, place + 1, subscription.runLength)
                if place == lane.out {
                    lane.out += 1
                    lane.holder = holder
                }
                return
            }
            lane.outOfTurn.insert(offset)
        }
        // One that waits to die is never handed out: it leaves from where it is. Redriven ones let pass
        // what sessions claim behind them.
        let isNext = !lane.hasPending
        let passes = lane.backlog.isEmpty && subscription.window.isRevived(offset)
        if isNext || passes || slot.pointee.state == .dying {
            lane.front.append(offset)
            if isNext { wantNext(of: lane, order, subscription) }
        } else {
            lane.backlog.append(offset)
        }
    }

    /// Where in `front` a message goes that a holder has, behind the others of its key that it has,
    /// those included whose verdict is on its way: an atomic request that is refused leaves them with
    /// it. Nil where an earlier one is somebody else's, comes back, or waits; what was redriven waits
    /// until its key is idle.
    private func placeBehindRun(
        of holder: Int32, _ lane: Lane, _ subscription: SubscriptionState
    ) -> Int? {
        guard lane.outOfTurn.isEmpty, lane.backlog.isEmpty, lane.out == 0 || lane.holder == holder
        else { return nil }
        let waits = lane.front[lane.out...].firstIndex {
            guard let slot = subscription.window.slot($0)?.pointee else { return true }
            return slot.state != .leased || slot.has(Slot.returning)
                || subscription.leases.groups[Int(slot.a)].holder != holder
        }
        guard let waits else { return lane.front.endIndex }
        let areRedriven = lane.front[waits...].allSatisfy { subscription.window.isRevived($0) }
        return areRedriven ? waits : nil
    }
}
