import ChaskiModel
import DequeModule

/// What one round of serving a subscription hands out, by consumer.
struct Outbox {
    private(set) var consumers: [(holder: Holder, deliveries: [Delivery])] = []

    var isEmpty: Bool { consumers.isEmpty }

    /// Adds a run; runs of one batch for one consumer share a delivery.
    mutating func add(_ run: DeliveryRun, _ batch: StoredBatch, _ holder: Holder) {
        var place = consumers.count - 1
        while place >= 0, consumers[place].holder !== holder { place -= 1 }
        if place < 0 {
            consumers.append((holder, []))
            place = consumers.count - 1
        }
        let last = consumers[place].deliveries.count - 1
        guard last >= 0, consumers[place].deliveries[last].batch.baseOffset == batch.baseOffset
        else {
            consumers[place].deliveries.append(Delivery(batch: batch, runs: [run]))
            return
        }
        let end = consumers[place].deliveries[last].runs.count - 1
        let before = consumers[place].deliveries[last].runs[end]
        if before.first + Offset(before.count) == run.first,
            before.handout == run.handout, before.failed == run.failed
        {
            consumers[place].deliveries[last].runs[end].count += run.count
        } else {
            consumers[place].deliveries[last].runs.append(run)
        }
    }
}

extension NamespaceMachine {
    /// Hands out what can be handed out, asks for what must be read, raises the ceiling.
    func serve(_ subscription: SubscriptionState, _ now: Now, _ effects: inout [Effect]) {
        guard case .running = mode, !subscription.activity.isDeleting,
            subscription.activity.consumers > 0,
            directory.subscriptions[subscription.id] === subscription
        else { return }
        var outbox = Outbox()
        let unsized = learnLengths(subscription, now)
        openGate(subscription, now)
        var suspect: Offset?
        var again: Offset?
        // Until all keys are known, what comes back may be of one that somebody has.
        if subscription.knowsKeys {
            suspect = serveSuspects(subscription, now, &outbox)
            again = serveAgain(subscription, now, &outbox)
        }
        // Lengths first, unless what they are in cannot be read.
        let missing =
            subscription.supply.againBlock == nil
            ? unsized ?? suspect ?? again : suspect ?? again ?? unsized
        if let order = subscription.order {
            serveOrdered(subscription, order, now, &outbox)
        } else {
            serveFresh(subscription, now, &outbox)
        }
        closeGate(subscription, now)
        wantCeiling(subscription)
        requestRead(subscription, missing: missing, now, &effects)
        for (holder, deliveries) in outbox.consumers {
            guard let consumer = holder.consumer else { continue }
            effects.append(.deliver(consumer, subscription.id, deliveries))
        }
        if !outbox.isEmpty { scheduleHandoutFlush(now) }
        tellStall(subscription, &effects)
    }

    /// The next consumer with room, in turn; nil when none has any.
    private func nextEligible(_ subscription: SubscriptionState) -> Holder? {
        let rotation = subscription.activity.rotation
        for step in 0..<rotation.count {
            let place = (subscription.activity.turn + step) % rotation.count
            if rotation[place].isEligible {
                subscription.activity.turn = (place + 1) % rotation.count
                return rotation[place]
            }
        }
        return nil
    }

    /// How many messages of a batch of so many one consumer gets before it is the next one's turn:
    /// the batch goes to as many consumers as get about 32 each, in equal shares. So nobody gets
    /// what is left over of every batch.
    private func quantum(_ subscription: SubscriptionState, _ available: UInt32) -> Int {
        let eligible = max(1, subscription.activity.rotation.count { $0.isEligible })
        let count = max(1, Int(available))
        let shares = min(eligible, (count + 31) / 32)
        return (count + shares - 1) / shares
    }

    // MARK: fresh messages

    private func serveFresh(
        _ subscription: SubscriptionState, _ now: Now, _ outbox: inout Outbox
    ) {
        while !subscription.isWindowFull, !subscription.supply.fresh.isEmpty,
            subscription.flow.allowance > 0
        {
            let cursor = subscription.window.end
            let first = subscription.supply.fresh[0]
            if first.end <= cursor {
                subscription.supply.dropFirst()
                continue
            }
            guard first.batch.baseOffset <= cursor else {
                block(.fresh, of: subscription, .missing(cursor), now)
                return
            }
            let stop = min(first.end, subscription.ceiling.value)
            guard stop > cursor, let holder = nextEligible(subscription) else { return }
            let most = [
                UInt64(quantum(subscription, first.batch.count)), stop - cursor,
                subscription.flow.allowance,
                UInt64(subscription.settings.maximumUnsettled) - subscription.counts.tracked,
                UInt64(holder.limit.messages - holder.messagesOut),
                Window.maximumSpan - (cursor - subscription.window.settledBelow),
            ].reduce(.max, min)
            guard measure(subscription, holder, most) else {
                subscription.supply.dropFirst()
                block(.fresh, of: subscription, .damagedBatch(first.batch), now)
                return
            }
            // Without room for the first the consumer would not have been eligible, unless for
            // its bytes: then it waits, and others may go on.
            if work.lengths.isEmpty {
                if !anyoneElseFits(subscription, holder) { return }
                continue
            }
            handOutFresh(subscription, holder, first.batch, now, &outbox)
        }
    }

    /// Whether a consumer other than this one has room for the next fresh message.
    private func anyoneElseFits(_ subscription: SubscriptionState, _ holder: Holder) -> Bool {
        let first = subscription.supply.fresh[0]
        var position = first.position
        let length = first.batch.bytes.withSpan { BatchWalk.next($0, &position) } ?? 0
        return subscription.activity.rotation.contains {
            $0 !== holder && $0.consumer != nil && $0.hasRoom(bytes: UInt64(length))
        }
    }

    /// Walks the first batch at hand from the cursor on, and notes in `work.lengths` the payload
    /// lengths of what the holder has room for, at most `most`. False where the batch is damaged.
    private func measure(
        _ subscription: SubscriptionState, _ holder: Holder, _ most: UInt64
    ) -> Bool {
        work.lengths.removeAll(keepingCapacity: true)
        let cursor = subscription.window.end
        var supply = subscription.supply.fresh[0]
        var bytesOut = holder.bytesOut
        let isFirst = holder.messagesOut == 0
        let limit = holder.limit.bytes
        let walked = supply.batch.bytes.withSpan { span -> Bool in
            while supply.batch.baseOffset + Offset(supply.index) < cursor {
                guard BatchWalk.next(span, &supply.position) != nil else { return false }
                supply.index += 1
            }
            var position = supply.position
            while work.lengths.count < Int(truncatingIfNeeded: most) {
                guard let length = BatchWalk.next(span, &position) else { return false }
                bytesOut &+= UInt64(length)
                if bytesOut > limit, !(isFirst && work.lengths.isEmpty) { break }
                work.lengths.append(length)
                supply.position = position
                supply.index += 1
            }
            return true
        }
        subscription.supply.fresh[0] = supply
        return walked
    }

    /// Hands out the messages from the cursor on whose lengths are in `work.lengths`.
    private func handOutFresh(
        _ subscription: SubscriptionState, _ holder: Holder, _ batch: StoredBatch, _ now: Now,
        _ outbox: inout Outbox
    ) {
        let window = subscription.window
        let first = window.end
        let count = work.lengths.count
        let end = first + Offset(count)
        precondition(end <= subscription.ceiling.value, "handed out above the ceiling")
        subscription.flow.handedOut(first, UInt64(count))
        let deadline = now.clock.addingSaturating(holder.leaseNanos)
        let group = leaseGroup(of: holder, deadline: deadline)
        window.extend(to: end)
        var bytes: UInt64 = 0
        for place in 0..<count {
            guard let slot = window.slot(first + Offset(place)) else {
                preconditionFailure("a fresh message has a slot")
            }
            let length = work.lengths[place]
            slot.pointee.state = .leased
            slot.pointee.a = group
            slot.pointee.b = length
            bytes &+= UInt64(length)
        }
        holder.messagesOut += UInt32(count)
        holder.bytesOut += bytes
        subscription.counts.leased += UInt64(count)
        subscription.leases.add(group, run: first..<end)
        let handout = EntryRange(first: first, count: UInt32(count), handout: 1)
        note(handouts: CollectionOfOne(handout), holder)
        let run = DeliveryRun(first: first, count: UInt32(count), handout: 1, failed: 0)
        outbox.add(run, batch, holder)
    }
}

extension ArraySlice<UInt8> {
    /// Calls `body` with the bytes.
    @inline(__always)
    func withSpan<Result>(_ body: (RawSpan) -> Result) -> Result { body(span.bytes) }
}
