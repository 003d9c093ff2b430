package import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// The group in flight is on disk: applies it, answers, delivers.
    package func durable(now: Now, effects: inout [Effect]) {
        guard case .running = mode, let flight = tail.inFlight else { return }
        tail.inFlight = nil
        lastDurable = flight.time
        for extra in flight.extras { apply(extra, flight.time, &effects) }
        for item in flight.items {
            if item.refusal == nil { supersede(behind: item) }
            for entry in item.entries { apply(entry, flight.time, &effects) }
            if item.refusal == nil, let work = item.publish { appended(item, work, flight.time) }
            if item.refusal == nil, let work = item.atomic { appended(work, flight.time) }
            if item.refusal == nil, let work = item.letters { appended(work, flight.time) }
            if !item.opensProducer { answer(item, &effects) }
        }
        for item in flight.items where item.opensProducer { answerOpening(item, &effects) }
        if flight.hasSections { sectionsDurable(flight) }
        shrinkCooled()
        releaseTouched(&effects)
        releaseDue()
        purgeExpiring()
        purgeTransactions(at: lastDurable.clock)
        finishEvent(now, &effects)
    }

    /// A producer goes on behind all that it sent, also behind what an older connection of it sent
    /// after the opening and that waits for a later group.
    private func answerOpening(_ item: TailItem, _ effects: inout [Effect]) {
        guard case .producerOpened(let topic, let producer) = item.reply else { return }
        guard let known = directory.topics[topic]?.producers[producer], !known.pending.isEmpty
        else { return answer(item, &effects) }
        item.work = .barrier
        item.entries = []
        tail.queue(item)
    }

    private func answer(_ item: TailItem, _ effects: inout [Effect]) {
        guard !item.requests.isEmpty else { return }
        if let refusal = item.refusal {
            for request in item.requests { effects.append(.reply(request, .failure(refusal))) }
            return
        }
        let reply: Reply
        switch item.reply {
        case .done: reply = .done
        case .topicCreated(let id): reply = .topicCreated(id)
        case .subscriptionCreated(let id): reply = .subscriptionCreated(id)
        case .settled(let accepted, let rejected):
            reply = .settled(accepted: accepted, rejected: rejected)
        case .lettersTaken(let count, let next): reply = .lettersTaken(count: count, next: next)
        case .redriveEdited:
            guard case .redrivenEdited(let edited)? = item.entries.first else {
                preconditionFailure("an edited redrive has its entry")
            }
            reply = .redrivenEdited(offset: edited.appended.baseOffset)
        case .producerOpened(let id, let producer):
            guard let topic = directory.topics[id] else {
                let failure = Failure.unknownTopic(id)
                for request in item.requests { effects.append(.reply(request, .failure(failure))) }
                return
            }
            let next = topic.producers[producer]?.next ?? 0
            reply = .producerOpened(nextSequence: next)
        case .atomic:
            guard case .atomic(let applied)? = item.entries.first else {
                preconditionFailure("an atomic request has its entry")
            }
            for (place, request) in item.requests.enumerated() {
                let reply = Reply.atomic(published: applied.published, isRepeat: place > 0)
                effects.append(.reply(request, .success(reply)))
            }
            return
        case .published:
            guard case .published(let published)? = item.entries.first else {
                preconditionFailure("a publish has its entry")
            }
            for (place, request) in item.requests.enumerated() {
                let reply = published.reply(isRepeat: place > 0)
                effects.append(.reply(request, .success(reply)))
            }
            return
        }
        for request in item.requests { effects.append(.reply(request, .success(reply))) }
    }

    /// A publish is durable: takes it off the tail, hands its batch on without a read.
    private func appended(_ item: TailItem, _ work: PublishWork, _ time: Now) {
        guard let topic = directory.topics[work.topic] else { return }
        topic.queuedBytes -= min(topic.queuedBytes, UInt64(work.bytes))
        if let producer = topic.producers[work.producer] {
            if producer.pending.first === item {
                producer.pending.removeFirst()
            } else {
                producer.pending.removeAll { $0 === item }
            }
        }
        if let stored = item.stored { append(stored, item.dedupIDs, to: topic, time) }
    }

    /// A batch of ours is in the log.
    func append(_ stored: StoredBatch, _ ids: [DedupEntry], to topic: TopicState, _ time: Now) {
        append(stored.baseOffset, stored.count, stored.bytes.count, to: topic)
        remember(ids, of: topic, time)
        for subscription in topic.subscriptions where subscription.activity.consumers > 0 {
            let supply = subscription.supply
            let next = supply.freshEnd ?? subscription.position
            if next == stored.baseOffset, supply.freshBytes < configuration.prefetchBytes {
                subscription.supply.append(stored)
            }
            markDirty(subscription)
        }
    }

    /// Nothing of the group was written: publishes and atomic requests fail with `failure`, those that were not yet in
    /// a group too; the rest is proposed again in order.
    package func refused(_ failure: Failure, now: Now, effects: inout [Effect]) {
        guard case .running = mode, let flight = tail.inFlight else { return }
        tail.inFlight = nil
        let hadBatch = flight.items.contains {
            $0.stored != nil || !($0.atomic?.gathered.isEmpty ?? true)
                || $0.letters?.stored != nil
        }
        var control: [TailItem] = []
        var advances: [TailItem] = []
        for item in flight.items {
            item.entries = []
            item.stored = nil
            item.dedupIDs = []
            switch item.work {
            case .publish(let work): fail(item, work, failure, &effects)
            case .atomic(let work): fail(item, work, failure, &effects)
            case .letters(let work): fail(item, work, failure, &effects)
            case .advance: advances.append(item)
            default: control.append(item)
            }
        }
        for item in control.reversed() { tail.control.prepend(item) }
        tail.controlTaken -= flight.controlCount
        dropPublishesOnly(failure, &effects)
        for item in advances.reversed() { tail.publishes.prepend(item) }
        restore(flight.extras)
        if flight.hasSections { checkpoint = CheckpointCycle(number: nextCycle()) }
        if !hadBatch {
            tail.holdUntil = now.clock.addingSaturating(100_000_000)
            timers.heap.push(Timer(at: tail.holdUntil, kind: .wake))
        }
        finishEvent(now, &effects)
    }

    /// Fails all queued publishes and atomic requests; producers' openings and skips stay.
    private func dropPublishesOnly(_ failure: Failure, _ effects: inout [Effect]) {
        let queued = tail.publishes
        tail.publishes.removeAll()
        for item in queued {
            tail.queuedBytes -= item.queuedBytes
            switch item.work {
            case .publish(let work): fail(item, work, failure, &effects)
            case .atomic(let work): fail(item, work, failure, &effects)
            case .letters(let work): fail(item, work, failure, &effects)
            default: tail.publishes.append(item)
            }
        }
    }

    /// What rode along in a refused group rides with the next.
    private func restore(_ extras: [StateEntry]) {
        for extra in extras {
            switch extra {
            case .ceilingRaised(let id, _):
                guard let subscription = directory.subscriptions[id],
                    !subscription.activity.wantsCeiling
                else { break }
                subscription.activity.wantsCeiling = true
                work.ceilings.append(subscription)
            case .clock: tail.wantsClock = true
            case .handedOut, .producerForgotten:
                tail.control.append(TailItem(.entry(extra), .done, []))
            default: preconditionFailure("does not ride along")
            }
        }
    }

    /// The journal is at its end: it is not known what of the tail is on disk. Nothing is taken
    /// from here on.
    package func failed(_ failure: Failure, effects: inout [Effect]) {
        if case .stopped = mode { return }
        let unknown = Failure(
            .unavailable, .indeterminate,
            "the journal failed; it is not known whether this took effect: \(failure.message)")
        let items = (tail.inFlight?.items ?? []) + tail.control + tail.publishes
        for item in items {
            for request in item.requests { effects.append(.reply(request, .failure(unknown))) }
        }
        abandonFetches(failure, &effects)
        tail = Tail()
        transactions.pending.removeAll()
        checkpoint = nil
        mode = .stopped(failure)
    }
}

extension Published {
    /// What the publisher is told.
    func reply(isRepeat: Bool) -> Reply {
        let base = storedCount > 0 ? baseOffset : duplicates.first?.offset ?? baseOffset
        return .published(
            baseOffset: base, appendTimeNanos: appendTimeNanos, duplicate: isRepeat,
            duplicates: duplicates)
    }
}
