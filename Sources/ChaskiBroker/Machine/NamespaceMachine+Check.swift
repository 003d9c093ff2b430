import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// The first thing found that must not be, for tests and the simulator; nil when all is well.
    /// Looks at everything: slow.
    package func checkInvariants() -> String? {
        for topic in directory.topicsByID {
            if let text = check(topic) { return "topic \(topic.name): \(text)" }
        }
        for subscription in directory.subscriptionsByID {
            if let text = check(subscription) {
                return "subscription \(subscription.created.name): \(text)"
            }
        }
        let producers = directory.topics.values.reduce(0) { $0 + $1.producers.count }
        if producers != ages.count { return "\(producers) producers, counted \(ages.count)" }
        let queued = tail.publishes.reduce(0) { $0 + $1.queuedBytes }
        let ids = directory.topics.values.reduce(0) { $0 + ($1.dedup?.liveCount ?? 0) }
        if isRunning, ids != dedup.live { return "\(ids) dedup ids, counted \(dedup.live)" }
        if queued != tail.queuedBytes {
            return "\(queued) bytes queued, counted \(tail.queuedBytes)"
        }
        for (consumer, holder) in sessions.consumers where holder.consumer != consumer {
            return "consumer \(consumer.rawValue) is not its holder's"
        }
        return nil
    }

    private func check(_ topic: TopicState) -> String? {
        for producer in topic.producers.values {
            if producer.next > producer.tailNext, isRunning {
                return "a producer's tail is behind what is durable"
            }
            var sequence: UInt64 = 0
            for stored in producer.stored {
                if stored.sequence < sequence { return "a producer's sequences overlap" }
                if stored.offset + stored.count > topic.nextOffset { return "a phantom batch" }
                sequence = stored.endSequence
            }
            if sequence > producer.next { return "a stored sequence is not below the next" }
        }
        for range in topic.released.ranges {
            if range.upperBound > topic.nextOffset { return "\(range) is released, not published" }
            for subscription in topic.subscriptions {
                if let open = subscription.window.nextOpen(from: range.lowerBound),
                    open < range.upperBound
                {
                    return "\(open) is released, but unsettled for \(subscription.created.name)"
                }
                if range.upperBound > max(subscription.window.end, subscription.created.startOffset)
                    || subscription.pins(range)
                {
                    return "\(range) is released too early for \(subscription.created.name)"
                }
            }
        }
        return nil
    }

    /// Conservation: each message is in exactly one state, and all counts agree with it.
    private func check(_ subscription: SubscriptionState) -> String? {
        let window = subscription.window
        if let text = window.inconsistency() { return text }
        var counts = WindowCounts()
        var perGroup: [UInt32: (count: Int32, bytes: UInt64)] = [:]
        var unsized: [Int32: UInt32] = [:]
        var position = window.firstOpen
        var extended = 0
        var historied = 0
        var dying = 0
        while let offset = window.nextOpen(from: position) {
            position = offset + 1
            guard let slot = window.slot(offset)?.pointee else { return "\(offset) has no slot" }
            if slot.state == .unseen, isRunning { return "\(offset) is below the cursor, unseen" }
            if slot.has(Slot.claimed) { return "\(offset) is still marked as claimed" }
            counts.enter(slot.state)
            if slot.has(Slot.extended) { extended += 1 }
            if slot.has(Slot.historied) { historied += 1 }
            if slot.state == .dying { dying += 1 }
            if slot.state == .dying, subscription.deaths.cause(of: offset) == nil {
                return "\(offset) is to die, nobody knows why"
            }
            if subscription.dead[offset] != nil { return "\(offset) is dead and unsettled" }
            guard slot.state == .leased else {
                if slot.state != .unresolved, slot.has(Slot.inFlight) {
                    return "\(offset) has a verdict on its way without a lease"
                }
                continue
            }
            perGroup[slot.a, default: (0, 0)].count += 1
            perGroup[slot.a, default: (0, 0)].bytes += UInt64(slot.b)
            if slot.has(Slot.unsized) {
                unsized[subscription.leases.groups[Int(slot.a)].holder, default: 0] += 1
            }
        }
        if isRunning, counts != subscription.counts {
            return "counted \(subscription.counts), found \(counts)"
        }
        if dying != subscription.deaths.count {
            return "\(subscription.deaths.count) are to die, found \(dying)"
        }
        if extended != subscription.extensions.count {
            return "\(subscription.extensions.count) extensions, found \(extended)"
        }
        if historied != subscription.histories.count {
            return "\(subscription.histories.count) histories, found \(historied)"
        }
        if isRunning, window.end > max(subscription.ceiling.value, window.settledBelow) {
            return "the cursor \(window.end) is above the ceiling \(subscription.ceiling.value)"
        }
        if window.settledBelow
            > max(subscription.topic.nextOffset, subscription.created.startOffset)
        {
            return "settled what was not published"
        }
        if let order = subscription.order, isRunning, let text = check(order, subscription) {
            return text
        }
        return checkLeases(subscription, perGroup, unsized)
    }

    private func check(_ order: KeyOrder, _ subscription: SubscriptionState) -> String? {
        let window = subscription.window
        if order.scanned > window.end { return "looked at \(order.scanned), above the cursor" }
        var passed: UInt64 = 0
        var unresolved: [UInt64: Int] = [:]
        for (offset, lane) in order.laneOf.all
        where window.slot(offset)?.pointee.state == .unresolved {
            unresolved[lane.key, default: 0] += 1
        }
        for (key, lane) in order.lanes.all {
            if lane.unresolved != unresolved[key] ?? 0 {
                return "\(lane.unresolved) of a key wait for sessions, not \(unresolved[key] ?? 0)"
            }
            for offset in lane.outOfTurn
            where order.laneOf[offset] != lane || window.slot(offset)?.pointee.state != .leased {
                return "\(offset) keeps a key, and nobody has it"
            }
            if lane.key != key { return "a lane is not its key's" }
            if lane.isEmpty { return "a lane is empty" }
            if lane.out > lane.outLimit {
                return "\(lane.out) of a key are out, more than a run of \(lane.outLimit)"
            }
            for (place, offset) in lane.front.enumerated() {
                guard let slot = window.slot(offset)?.pointee, !slot.isSettled else {
                    return "\(offset) is settled and in a lane"
                }
                if order.laneOf[offset] != lane { return "\(offset) is not in its lane" }
                if place < lane.out {
                    let group = subscription.leases.groups[Int(slot.a)]
                    if !slot.staysWithHolder || group.holder != lane.holder {
                        return "\(offset) is with another than its lane says"
                    }
                } else if place == lane.out, slot.staysWithHolder,
                    !lane.outOfTurn.contains(offset)
                {
                    return "\(offset) is out, and its lane does not know"
                }
                if slot.state == .passed { passed += 1 }
            }
            passed += UInt64(lane.backlog.count)
        }
        // Messages that came back wait in backlogs too, after a restart.
        if passed < subscription.counts.passed {
            return "\(subscription.counts.passed) passed over, \(passed) in lanes"
        }
        return nil
    }

    private func checkLeases(
        _ subscription: SubscriptionState, _ perGroup: [UInt32: (count: Int32, bytes: UInt64)],
        _ unsized: [Int32: UInt32]
    ) -> String? {
        var perHolder: [Int32: (count: UInt32, bytes: UInt64)] = [:]
        for (index, group) in subscription.leases.groups.enumerated() {
            let found = perGroup[UInt32(index)] ?? (0, 0)
            if found.count != group.live {
                return "lease group \(index) has \(found.count) messages, counted \(group.live)"
            }
            perHolder[group.holder, default: (0, 0)].count += UInt32(found.count)
            perHolder[group.holder, default: (0, 0)].bytes += found.bytes
        }
        var consumers = 0
        for case let holder? in subscription.leases.holders {
            let found = perHolder[holder.index] ?? (0, 0)
            if found.count != holder.messagesOut || found.bytes != holder.bytesOut {
                return "a holder has \(found), counted \(holder.messagesOut), \(holder.bytesOut)"
            }
            if holder.unsizedOut != unsized[holder.index] ?? 0 { return "unsized are miscounted" }
            if holder.session.holders[subscription.id] !== holder { return "a holder is orphaned" }
            if holder.consumer != nil { consumers += 1 }
        }
        if consumers != subscription.activity.consumers { return "consumers are miscounted" }
        let connected = subscription.activity.connected
        if connected.count != consumers { return "the connected holders are miscounted" }
        let served = connected.filter { !$0.isSilent }
        if subscription.activity.rotation.map(\.index)
            != (served.isEmpty ? connected : served).map(\.index)
        {
            return "the rotation is wrong"
        }
        return nil
    }
}
