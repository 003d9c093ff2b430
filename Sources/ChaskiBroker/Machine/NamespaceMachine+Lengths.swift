import ChaskiModel

extension NamespaceMachine {
    /// Learns the lengths of messages that were claimed after a restart: until then their holder
    /// gets nothing more. Answers the first whose batch must be read for that.
    func learnLengths(_ subscription: SubscriptionState, _ now: Now) -> Offset? {
        while let first = firstUnsized(subscription) {
            guard let batch = subscription.batchAtHand(holding: first) else { return first }
            var walk = SupplyBatch(batch)
            while let offset = firstUnsized(subscription), offset < walk.end {
                guard let slot = subscription.window.slot(offset),
                    let length = walk.length(at: offset)
                else {
                    subscription.supply.again.removeAll { $0.baseOffset == batch.baseOffset }
                    block(.again, of: subscription, .damagedBatch(batch), now)
                    return nil
                }
                subscription.unsized.pop()
                size(slot, length, subscription)
            }
        }
        return nil
    }

    /// The lowest message whose length is not known; forgets those that are out no more.
    private func firstUnsized(_ subscription: SubscriptionState) -> Offset? {
        while let offset = subscription.unsized.first {
            if offset < subscription.window.end, let slot = subscription.window.slot(offset),
                slot.pointee.state == .leased, slot.pointee.has(Slot.unsized)
            {
                return offset
            }
            subscription.unsized.pop()
        }
        return nil
    }

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
}
