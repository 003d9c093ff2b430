import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// Puts a piece of a checkpoint in the place of what is known of it.
    func replay(_ section: Section) throws(Failure) {
        switch section {
        case .namespace(let section):
            lastCycle = max(lastCycle, section.cycle)
            directory.nextTopic = max(directory.nextTopic, section.nextTopic)
            directory.nextSubscription = max(directory.nextSubscription, section.nextSubscription)
            directory.forgotten.removeAll()
            for (name, topic) in section.forgotten { directory.forgotten[name] = topic }
        case .topic(let section): replay(section)
        case .producers(let id, let producers):
            guard let topic = directory.topics[id] else { break }
            for kept in producers { replay(kept, topic) }
        case .subscription(let section): try replay(section)
        case .window(let id, let from, let pieces):
            guard let subscription = directory.subscriptions[id] else { break }
            try replay(pieces, from: from, subscription)
        case .heldKeys(let id, let keys):
            guard let subscription = directory.subscriptions[id] else { break }
            for key in keys { subscription.heldKeys.insert(key.offset, key.key) }
        case .deadLetters(let id, let range, let pieces):
            guard let subscription = directory.subscriptions[id] else { break }
            try replay(pieces, in: range, subscription)
        case .dedupIDs(let id, let entries):
            guard let table = directory.topics[id]?.dedup else { break }
            for entry in entries { table.restore(entry) }
        case .transactions(let records):
            for record in records { transactions.insert(record.applied, clock: record.clock) }
        }
    }

    private func replay(_ section: TopicSection) {
        let created = section.created
        directory.nextTopic = max(directory.nextTopic, created.id.rawValue &+ 1)
        let topic = directory.topics[created.id] ?? TopicState(created)
        directory.topics[created.id] = topic
        directory.topicNames[created.name] = created.id
        topic.nextOffset = max(topic.nextOffset, section.nextOffset)
        topic.lastAppendNanos = max(topic.lastAppendNanos, section.lastAppendNanos)
        topic.releasedEnd = max(topic.releasedEnd, section.releasedEnd)
        topic.marks.restore(section.marks, markBytes: section.markBytes)
        topic.released = RangeSet()
    }

    private func replay(_ kept: KeptProducer, _ topic: TopicState) {
        let time = Now(clock: kept.lastUsed, wall: 0)
        let state = topic.producers[kept.id] ?? addProducer(kept.id, to: topic, time)
        state.epoch = kept.epoch
        state.next = kept.next
        state.lastUsed = kept.lastUsed
        state.stored = .init(kept.stored)
        state.isDurable = true
    }

    private func replay(_ section: SubscriptionSection) throws(Failure) {
        let created = section.created
        directory.nextSubscription = max(directory.nextSubscription, created.id.rawValue &+ 1)
        guard let topic = directory.topics[created.topic] else {
            throw .corruptEntry("subscription \(created.name) stands before its topic")
        }
        if let known = directory.subscriptions[created.id] {
            // Known from an earlier checkpoint or its creation: its window is whole.
            known.ceiling = Ceiling(value: max(known.ceiling.value, section.ceiling))
            known.totals = section.totals
            known.restoreFlow(section)
            known.update(created.settings)
            return
        }
        let subscription = SubscriptionState(
            created, topic: topic, settledBelow: section.settledBelow)
        subscription.ceiling = Ceiling(value: max(section.ceiling, section.settledBelow))
        subscription.totals = section.totals
        subscription.restoreFlow(section)
        insert(subscription, topic)
    }

    private func replay(
        _ pieces: [WindowPiece], from: Offset, _ subscription: SubscriptionState
    ) throws(Failure) {
        let window = subscription.window
        let end = pieces.reduce(from) { $0 + $1.count }
        guard end <= max(subscription.topic.nextOffset, window.end),
            end <= max(subscription.ceiling.value, window.end),
            end < window.settledBelow || end - window.settledBelow <= Window.maximumSpan
        else { throw .corruptEntry("a window reaches past what was handed out") }
        var position = from
        for piece in pieces {
            switch piece {
            case .open(let count):
                guard count <= NamespaceMachine.maximumOpenRun else {
                    throw .corruptEntry("a window has too many open messages")
                }
                window.extend(to: position + count)
                for offset in position..<position + count {
                    restore(offset, KeptMessage(failed: 0, returns: 0), subscription)
                }
            case .acked(let count): settle(position, count, .acked, subscription)
            case .dead(let count): settle(position, count, .dead, subscription)
            case .message(let kept):
                window.extend(to: position + 1)
                restore(position, kept, subscription)
            }
            position += piece.count
        }
        window.advance()
        work.touched.append(subscription)
    }

    /// More messages than can be tracked at once, ceiling included.
    static var maximumOpenRun: UInt64 { 20_000_000 }

    private func settle(
        _ first: Offset, _ count: UInt64, _ state: SlotState, _ subscription: SubscriptionState
    ) {
        var offset = max(first, subscription.window.settledBelow)
        let known = min(first + count, subscription.window.end)
        while offset < known {
            if let before = subscription.window.settleInChunk(offset, as: state) {
                forget(before, offset, subscription)
            }
            offset += 1
        }
        subscription.window.extendSettled(to: first + count)
    }

    private func restore(
        _ offset: Offset, _ kept: KeptMessage, _ subscription: SubscriptionState
    ) {
        guard let slot = subscription.window.openChunkSlot(offset) else { return }
        put(kept, offset, slot, subscription)
    }

    /// Makes an unsettled message what a checkpoint says.
    private func put(
        _ kept: KeptMessage, _ offset: Offset, _ slot: UnsafeMutablePointer<Slot>,
        _ subscription: SubscriptionState
    ) {
        forget(slot.pointee, offset, subscription)
        slot.pointee = Slot(kept)
        subscription.counts.enter(slot.pointee.state)
        if let cause = kept.dying {
            subscription.deaths.insert(DyingMessage(offset: offset, cause: cause))
        }
        subscription.extensions[offset] = kept.extendedUntil
        subscription.setHistory(kept.history, offset, slot)
    }

    /// What was known of an unsettled message is replaced.
    private func forget(_ before: Slot, _ offset: Offset, _ subscription: SubscriptionState) {
        if before.has(Slot.historied) { subscription.histories.remove(offset) }
        leave(before, offset, subscription)
    }

    /// Dead letters and revived messages of a range take the place of what is known of it.
    private func replay(
        _ pieces: [DeadPiece], in range: Range<Offset>, _ subscription: SubscriptionState
    ) throws(Failure) {
        let window = subscription.window
        while let record = subscription.dead.first(from: range.lowerBound),
            record.offset < range.upperBound
        {
            _ = subscription.dead.remove(record.offset)
            directory.deadLetters -= 1
        }
        while let offset = window.nextRevived(from: range.lowerBound), offset < range.upperBound {
            guard let before = window.dropRevived(offset) else { break }
            forget(before, offset, subscription)
        }
        for piece in pieces {
            guard piece.offset < window.end else {
                throw .corruptEntry("a dead letter is above what was handed out")
            }
            switch piece {
            case .dead(let record):
                if subscription.dead.insert(record) { directory.deadLetters += 1 }
            case .revived(let offset, let kept):
                window.revive(offset, Slot(state: .returned))
                subscription.counts.enter(.returned)
                guard let slot = window.slot(offset) else {
                    preconditionFailure("it was just revived")
                }
                put(kept, offset, slot, subscription)
            }
        }
    }
}

extension Slot {
    /// What a checkpoint kept of an unsettled message.
    init(_ kept: KeptMessage) {
        self.init()
        state = kept.due != nil ? .waiting : kept.returns > 0 ? .returned : .unseen
        if kept.dying != nil { state = .dying }
        failed = kept.failed
        returns = kept.returns
        abandoned = kept.abandoned
        suspicion = kept.suspicion
        if let due = kept.due { self.due = due }
        if kept.extendedUntil != nil { flags |= Slot.extended }
    }
}
