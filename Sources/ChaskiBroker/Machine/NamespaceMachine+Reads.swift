package import ChaskiModel

extension NamespaceMachine {
    /// Asks for batches: those of messages handed out again and fresh ones in turn.
    func requestRead(
        _ subscription: SubscriptionState, missing: Offset?, _ now: Now,
        _ effects: inout [Effect]
    ) {
        let supply = subscription.supply
        guard supply.reading == nil else { return }
        let from = supply.freshEnd ?? subscription.position
        let wantsFresh =
            from < subscription.topic.nextOffset
            && (!subscription.isWindowFull || subscription.position < subscription.window.end)
            && supply.freshBytes < configuration.prefetchBytes / 2
            && subscription.activity.rotation.contains { $0.limit.messages > 0 }
            && now.clock >= supply.freshBlock?.retryAt ?? .min
        if subscription.wanted.first == nil, subscription.suspects.first == nil,
            subscription.unsized.first == nil
        {
            subscription.supply.againBlock = nil
        }
        if let missing, now.clock >= supply.againBlock?.retryAt ?? .min,
            !(wantsFresh && supply.lastWasAgain)
        {
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
        subscription.supply.reading = (id, purpose, offset)
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
        if isRunning, let fetch = reads.fetches.removeValue(forKey: id.rawValue) {
            fetched(fetch, result, &effects)
            return
        }
        if isRunning, let owner = reads.deaths.removeValue(forKey: id.rawValue) {
            deathLoaded(owner, result, now)
            finishEvent(now, &effects)
            return
        }
        guard case .running = mode,
            let owner = reads.subscriptions.removeValue(forKey: id.rawValue),
            let subscription = directory.subscriptions[owner],
            let reading = subscription.supply.reading, reading.id == id
        else { return }
        subscription.supply.reading = nil
        switch result {
        case .failure(let failure): block(reading.purpose, of: subscription, failure, now)
        case .success(let batches):
            subscription.supply.set(nil, reading.purpose)
            guard subscription.activity.consumers > 0 else { break }
            switch reading.purpose {
            case .fresh: takeFresh(batches, subscription, now)
            case .again: takeAgain(batches, reading.from, subscription, now)
            }
        }
        markDirty(subscription)
        finishEvent(now, &effects)
    }

    private func takeFresh(
        _ batches: [StoredBatch], _ subscription: SubscriptionState, _ now: Now
    ) {
        for batch in batches where batch.topic == subscription.topic.id {
            let next = subscription.supply.freshEnd ?? subscription.position
            let end = batch.baseOffset + Offset(batch.count)
            guard end > next else { continue }
            guard batch.baseOffset <= next,
                subscription.supply.fresh.isEmpty || batch.baseOffset == next
            else { break }
            subscription.supply.append(batch)
        }
        if subscription.supply.fresh.isEmpty,
            subscription.position < subscription.topic.nextOffset
        {
            block(.fresh, of: subscription, .missing(subscription.position), now)
        }
    }

    private func takeAgain(
        _ batches: [StoredBatch], _ from: Offset, _ subscription: SubscriptionState, _ now: Now
    ) {
        subscription.supply.again = batches.filter { $0.topic == subscription.topic.id }
        guard let slot = subscription.window.slot(from), !slot.pointee.isSettled,
            subscription.batchAtHand(holding: from) == nil,
            batches.first.map({ $0.baseOffset > from }) ?? true
        else { return }
        block(.again, of: subscription, .missing(from), now)
    }

    /// What is to be read cannot be read: tries again in a second.
    func block(
        _ purpose: Supply.Purpose, of subscription: SubscriptionState, _ failure: Failure,
        _ now: Now
    ) {
        let at = now.clock.addingSaturating(1_000_000_000)
        subscription.supply.set(Supply.Block(failure: failure, retryAt: at), purpose)
        setReadTimer(subscription, at: at)
    }

    /// Tells consumers, once, that messages cannot be read, and later that they can again.
    func tellStall(_ subscription: SubscriptionState, _ effects: inout [Effect]) {
        let failure = subscription.supply.failure
        guard failure != nil || subscription.supply.isStallTold else { return }
        subscription.supply.isStallTold = failure != nil
        var told: [ConsumerID] = []
        for holder in subscription.activity.connected where holder.toldStall != failure {
            holder.toldStall = failure
            if let consumer = holder.consumer { told.append(consumer) }
        }
        if !told.isEmpty { effects.append(.stalled(subscription.id, told, failure)) }
    }
}

extension Failure {
    static func missing(_ offset: Offset) -> Failure {
        Failure(.dataLoss, .damaged, "the message at offset \(offset) cannot be found on disk")
    }

    static func damagedBatch(_ batch: StoredBatch) -> Failure {
        Failure(.dataLoss, .damaged, "the batch at offset \(batch.baseOffset) is damaged")
    }
}
