package import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// Hands out again what came back, and learns the lengths of what was claimed. Answers the
    /// first offset that must be read for that.
    func serveAgain(
        _ subscription: SubscriptionState, _ now: Now, _ outbox: inout Outbox
    ) -> Offset? {
        var missing: Offset?
        while let offset = firstWanted(subscription) {
            guard let batch = subscription.batchAtHand(holding: offset) else {
                let isToSize = subscription.window.slot(offset)?.pointee.state == .leased
                if isToSize || subscription.activity.rotation.contains(where: \.isEligible) {
                    missing = offset
                }
                break
            }
            guard serveAgain(subscription, batch, now, &outbox) else { break }
        }
        // Batches that nothing is wanted of any more.
        let wanted = subscription.wanted.first ?? .max
        subscription.supply.again.removeAll { $0.baseOffset + Offset($0.count) <= wanted }
        return missing
    }

    /// The lowest offset whose batch is needed; forgets those that need it no more.
    private func firstWanted(_ subscription: SubscriptionState) -> Offset? {
        while let offset = subscription.wanted.first {
            if offset < subscription.window.end, let slot = subscription.window.slot(offset) {
                if slot.pointee.state == .returned { return offset }
                if slot.pointee.state == .leased, slot.pointee.has(Slot.unsized) { return offset }
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
            guard let slot = subscription.window.slot(offset),
                let length = walk.length(at: offset)
            else {
                subscription.supply.again.removeAll { $0.baseOffset == batch.baseOffset }
                blockReads(subscription, .damagedBatch(batch), now)
                return false
            }
            if slot.pointee.state == .leased {
                subscription.wanted.pop()
                size(slot, length, subscription)
                continue
            }
            if left == 0 || holder?.hasRoom(bytes: UInt64(length)) != true {
                holder = nextFitting(subscription, UInt64(length))
                left = 32
            }
            guard let holder else { return false }
            subscription.wanted.pop()
            left -= 1
            handOutAgain(slot, offset, length, holder, now)
            let run = DeliveryRun(
                first: offset, count: 1, handout: slot.pointee.handout,
                failed: slot.pointee.failed)
            outbox.add(run, batch, holder)
        }
        return true
    }

    /// The next consumer, in turn, with room for a message of this length.
    private func nextFitting(_ subscription: SubscriptionState, _ bytes: UInt64) -> Holder? {
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

    private func handOutAgain(
        _ slot: UnsafeMutablePointer<Slot>, _ offset: Offset, _ length: UInt32, _ holder: Holder,
        _ now: Now
    ) {
        precondition(slot.pointee.state == .returned, "only what came back is handed out again")
        precondition(!slot.pointee.has(Slot.inFlight), "its return is not durable")
        holder.subscription.counts.leave(.returned)
        slot.pointee.state = .leased
        lease(slot, offset, to: holder, until: .min, epoch: epoch, now)
        slot.pointee.b = length
        holder.bytesOut += UInt64(length)
    }

    /// A claimed message's length is known now.
    private func size(
        _ slot: UnsafeMutablePointer<Slot>, _ length: UInt32, _ subscription: SubscriptionState
    ) {
        slot.pointee.flags &= ~Slot.unsized
        slot.pointee.b = length
        let group = subscription.leases.groups[Int(slot.pointee.a)]
        guard let holder = subscription.leases.holder(group.holder) else { return }
        precondition(holder.unsizedOut > 0, "claimed messages are miscounted")
        holder.unsizedOut -= 1
        holder.bytesOut += UInt64(length)
    }

    // MARK: reads

    /// Asks for batches: those of messages handed out again and fresh ones in turn.
    func requestRead(
        _ subscription: SubscriptionState, missing: Offset?, _ now: Now,
        _ effects: inout [Effect]
    ) {
        let supply = subscription.supply
        guard supply.reading == nil, now.clock >= supply.retryAt else { return }
        let from = supply.freshEnd ?? subscription.window.end
        let wantsFresh =
            from < subscription.topic.nextOffset && !subscription.isWindowFull
            && supply.freshBytes < configuration.prefetchBytes / 2
            && subscription.activity.rotation.contains { $0.limit.messages > 0 }
        if let missing, !(wantsFresh && supply.lastWasAgain) {
            read(subscription, from: missing, .again, &effects)
        } else if wantsFresh {
            read(subscription, from: from, .fresh, &effects)
        }
    }

    private func read(
        _ subscription: SubscriptionState, from offset: Offset, _ purpose: Supply.Purpose,
        _ effects: inout [Effect]
    ) {
        let id = ReadID(rawValue: reads.next)
        reads.next += 1
        reads.subscriptions[id.rawValue] = subscription.id
        subscription.supply.reading = (id, purpose)
        subscription.supply.lastWasAgain = purpose == .again
        effects.append(
            .read(
                ReadRequest(
                    id: id, topic: subscription.topic.id, from: offset,
                    maximumBytes: configuration.prefetchBytes)))
    }

    /// The host has read what the core asked for.
    package func loaded(
        _ id: ReadID, _ result: Result<[StoredBatch], Failure>, now: Now, effects: inout [Effect]
    ) {
        guard case .running = mode,
            let owner = reads.subscriptions.removeValue(forKey: id.rawValue),
            let subscription = directory.subscriptions[owner],
            let reading = subscription.supply.reading, reading.id == id
        else { return }
        subscription.supply.reading = nil
        switch result {
        case .failure(let failure): blockReads(subscription, failure, now)
        case .success(let batches):
            subscription.supply.failure = nil
            guard subscription.activity.consumers > 0 else { break }
            switch reading.purpose {
            case .fresh: takeFresh(batches, subscription, now)
            case .again: takeAgain(batches, subscription, now)
            }
        }
        markDirty(subscription)
        finishEvent(now, &effects)
    }

    private func takeFresh(
        _ batches: [StoredBatch], _ subscription: SubscriptionState, _ now: Now
    ) {
        for batch in batches where batch.topic == subscription.topic.id {
            let next = subscription.supply.freshEnd ?? subscription.window.end
            let end = batch.baseOffset + Offset(batch.count)
            guard end > next else { continue }
            guard batch.baseOffset <= next,
                subscription.supply.fresh.isEmpty || batch.baseOffset == next
            else { break }
            subscription.supply.append(batch)
        }
        if subscription.supply.fresh.isEmpty,
            subscription.window.end < subscription.topic.nextOffset
        {
            blockReads(subscription, .missing(subscription.window.end), now)
        }
    }

    private func takeAgain(
        _ batches: [StoredBatch], _ subscription: SubscriptionState, _ now: Now
    ) {
        subscription.supply.again = batches.filter { $0.topic == subscription.topic.id }
        guard let wanted = subscription.wanted.first,
            subscription.batchAtHand(holding: wanted) == nil,
            batches.first.map({ $0.baseOffset > wanted }) ?? true
        else { return }
        blockReads(subscription, .missing(wanted), now)
    }

    /// What is to be read cannot be read: tries again in a second.
    func blockReads(_ subscription: SubscriptionState, _ failure: Failure, _ now: Now) {
        subscription.supply.failure = failure
        subscription.supply.retryAt = now.clock.addingSaturating(1_000_000_000)
        setReadTimer(subscription)
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
