import ChaskiModel

extension NamespaceMachine {
    /// Hands out again what came back. Answers the first offset that must be read for that.
    func serveAgain(
        _ subscription: SubscriptionState, _ now: Now, _ outbox: inout Outbox
    ) -> Offset? {
        var missing: Offset?
        while let offset = firstWanted(subscription) {
            guard let batch = subscription.batchAtHand(holding: offset) else {
                if subscription.flow.allowance > 0,
                    subscription.activity.rotation.contains(where: \.isEligible)
                {
                    missing = offset
                }
                break
            }
            guard serveAgain(subscription, batch, now, &outbox) else { break }
        }
        // Batches that nothing is wanted of any more.
        let wanted = min(
            subscription.wanted.first ?? .max, subscription.suspects.first ?? .max,
            subscription.unsized.first ?? .max)
        subscription.supply.again.removeAll { $0.baseOffset + Offset($0.count) <= wanted }
        return missing
    }

    /// The lowest offset whose batch is needed; forgets those that need it no more.
    private func firstWanted(_ subscription: SubscriptionState) -> Offset? {
        while let offset = subscription.wanted.first {
            if offset < subscription.window.end, let slot = subscription.window.slot(offset) {
                if slot.pointee.state == .returned, slot.pointee.suspicion == 0 { return offset }
                if slot.pointee.state == .passed { return offset }
            }
            subscription.wanted.pop()
        }
        return nil
    }

    /// Goes through what is wanted of one batch. False when it must stop: no consumer has room, or
    /// the batch is damaged.
    private func serveAgain(
        _ subscription: SubscriptionState, _ batch: StoredBatch, _ now: Now,
        _ outbox: inout Outbox
    ) -> Bool {
        let end = batch.baseOffset + Offset(batch.count)
        var walk = SupplyBatch(batch)
        var holder: Holder?
        var left = 0
        while let offset = firstWanted(subscription), offset < end {
            guard var slot = subscription.window.slot(offset),
                let length = walk.length(at: offset)
            else {
                subscription.supply.again.removeAll { $0.baseOffset == batch.baseOffset }
                block(.again, of: subscription, .damagedBatch(batch), now)
                return false
            }
            guard subscription.flow.allowance > 0 else { return false }
            var chosen: Holder?
            if let order = subscription.order {
                switch turn(of: offset, walk.key(at: offset), order, subscription) {
                case .later:
                    subscription.wanted.pop()
                    continue
                case .only(let index):
                    chosen = subscription.leases.holder(index)
                    guard chosen?.consumer != nil, chosen?.hasRoom(bytes: UInt64(length)) == true
                    else {
                        // Its lane wants it again when something of the run is settled.
                        subscription.wanted.pop()
                        continue
                    }
                case .anybody: break
                }
            }
            if chosen == nil, left == 0 || holder?.hasRoom(bytes: UInt64(length)) != true {
                holder = nextFitting(subscription, UInt64(length))
                left = 32
            }
            guard let taker = chosen ?? holder else { return false }
            subscription.wanted.pop()
            if chosen == nil { left -= 1 }
            if slot.pointee.state == .passed, let own = subscription.window.takePassed(offset) {
                slot = own
            }
            handOutAgain(slot, offset, length, taker, now)
            let run = DeliveryRun(
                first: offset, count: 1, handout: slot.pointee.handout,
                failed: slot.pointee.failed)
            outbox.add(run, batch, taker)
        }
        return true
    }

    /// The next consumer, in turn, with room for a message of this length.
    func nextFitting(_ subscription: SubscriptionState, _ bytes: UInt64) -> Holder? {
        let rotation = subscription.activity.rotation
        for step in 0..<rotation.count {
            let place = (subscription.activity.turn + step) % rotation.count
            if rotation[place].consumer != nil, rotation[place].hasRoom(bytes: bytes) {
                subscription.activity.turn = (place + 1) % rotation.count
                return rotation[place]
            }
        }
        return nil
    }

    func handOutAgain(
        _ slot: UnsafeMutablePointer<Slot>, _ offset: Offset, _ length: UInt32, _ holder: Holder,
        _ now: Now
    ) {
        let state = slot.pointee.state
        precondition(state == .returned || state == .passed, "it is not to be handed out")
        precondition(!slot.pointee.has(Slot.inFlight), "its return is not durable")
        let subscription = holder.subscription
        subscription.flow.handedOut(offset, 1)
        subscription.counts.leave(state)
        slot.pointee.state = .leased
        if let order = subscription.order, let lane = order.laneOf[offset] {
            laneHandedOut(offset, holder, lane, subscription)
            if slot.pointee.suspicion == 0 { wantNext(of: lane, order, subscription) }
        }
        lease(slot, offset, to: holder, until: .min, epoch: epoch, now)
        slot.pointee.b = length
        holder.bytesOut += UInt64(length)
    }
}

extension SubscriptionState {
    /// A batch in memory that holds `offset`.
    func batchAtHand(holding offset: Offset) -> StoredBatch? {
        if let batch = supply.againBatch(holding: offset) { return batch }
        guard let first = supply.fresh.first, first.batch.baseOffset <= offset, offset < first.end
        else { return nil }
        return first.batch
    }
}

extension SupplyBatch {
    /// What orders the message that `length(at:)` was asked for last; nil without a key.
    func key(at offset: Offset) -> UInt64? {
        precondition(batch.baseOffset + Offset(index) == offset, "not where the walk stands")
        var position = position
        return batch.bytes.withSpan { BatchWalk.nextKeyed($0, &position)?.key }
    }

    /// Payload length of the message at `offset`, at or behind the last one asked for; nil where
    /// the batch is damaged or does not hold it.
    mutating func length(at offset: Offset) -> UInt32? {
        guard offset >= batch.baseOffset, offset < end else { return nil }
        let wanted = offset - batch.baseOffset
        var walked = self
        let length = batch.bytes.withSpan { span -> UInt32? in
            while UInt64(walked.index) < wanted {
                guard BatchWalk.next(span, &walked.position) != nil else { return nil }
                walked.index += 1
            }
            var position = walked.position
            return BatchWalk.next(span, &position)
        }
        self = walked
        return length
    }
}
