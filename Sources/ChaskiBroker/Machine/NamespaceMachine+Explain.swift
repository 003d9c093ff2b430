package import ChaskiModel

extension NamespaceMachine {
    /// Why nothing of a subscription, or why one message, is not being handed out; nil without such
    /// a subscription. Changes nothing. Looks at every consumer; for a message only at it and, where
    /// it waits for its key, at those that wait for theirs.
    package func explain(
        subscription name: String, offset: Offset?, now: Now
    ) -> Explanation? {
        guard let subscription = directory.subscription(named: name),
            let info = self.subscription(subscription.id)
        else { return nil }
        var explanation = Explanation(
            subscription: info, flow: flow(of: subscription, now), offset: offset, state: nil,
            causes: [])
        if let offset {
            let state = messageState(subscription: name, offset: offset)
            explanation.state = state
            explain(offset, state, subscription, now, &explanation.causes)
        } else {
            explain(subscription, now, &explanation.causes)
        }
        return explanation
    }

    // MARK: a message

    private func explain(
        _ offset: Offset, _ state: MessageState?, _ subscription: SubscriptionState, _ now: Now,
        _ causes: inout [Explanation.Cause]
    ) {
        let slot =
            offset < subscription.window.end
            ? subscription.window.slot(offset)?.pointee : nil
        switch state {
        case nil: break
        case .notPublished:
            causes.append(.notPublished(next: subscription.topic.nextOffset))
        case .beforeStart:
            causes.append(.beforeStart(subscription.created.startOffset))
        case .acked: causes.append(.acked)
        case .dead(let letter): causes.append(.dead(letter, now))
        case .leased(let session, let handout, let failed, let deadline):
            if let slot, slot.has(Slot.inFlight) { causes.append(.verdict(1)) }
            causes.append(
                .leased(
                    by: session, handout: handout, failed: failed, until: deadline,
                    isConnected: isConnected(session, subscription)))
        case .waiting(let failed, let due):
            if let slot { appendParked(slot, subscription, &causes) }
            causes.append(.backoff(failed: failed, due: due, now))
            appendGate(subscription, now, &causes)
        case .dying: causes.append(.dying(1, subscription))
        case .awaitingResume: causes.append(.awaitingResume(1, until: timers.restartGraceUntil))
        case .pendingAgain:
            if let slot, slot.suspicion > 0 {
                appendJournal(now, &causes)
                appendSuspicion(subscription, &causes)
            }
            appendLane(of: offset, subscription, &causes)
            explainHandOuts(ofAll: false, subscription, now, &causes)
        case .pending:
            appendLane(of: offset, subscription, &causes)
            explainHandOuts(ofAll: false, subscription, now, &causes)
            if offset > subscription.window.end {
                let ahead = offset - subscription.window.end
                causes.append(.behind(ahead, subscription.window.end))
            }
        }
    }

    private func isConnected(_ id: SessionID, _ subscription: SubscriptionState) -> Bool {
        sessions.byID[id]?.holders[subscription.id]?.consumer != nil
    }

    // MARK: a subscription

    private func explain(
        _ subscription: SubscriptionState, _ now: Now, _ causes: inout [Explanation.Cause]
    ) {
        let counts = subscription.counts
        guard subscription.backlog > 0 else {
            causes.append(.caughtUp(next: subscription.topic.nextOffset))
            appendGate(subscription, now, &causes)
            return
        }
        explainHandOuts(ofAll: true, subscription, now, &causes)
        // What is not to be handed out now waits for something of its own.
        if counts.leased > 0 { appendLeases(subscription, now, &causes) }
        if counts.waiting > 0 {
            let first = subscription.retries.first?.due
            causes.append(.waiting(counts.waiting, first: first, now))
        }
        if counts.dying > 0 { causes.append(.dying(counts.dying, subscription)) }
        if counts.unresolved > 0 {
            causes.append(
                .awaitingResume(counts.unresolved, until: timers.restartGraceUntil))
        }
        if let order = subscription.order {
            let busy = order.lanes.all.map(\.value).filter(\.hasPending)
            appendHeld(busy, subscription, &causes)
            appendClaimed(busy, &causes)
        }
        appendFullStore(subscription, &causes)
    }

    /// Messages that wait behind dead ones of their keys.
    private func appendHeld(
        _ lanes: [Lane], _ subscription: SubscriptionState, _ causes: inout [Explanation.Cause]
    ) {
        let held = lanes.filter { subscription.holdsKey($0.key) }
        guard !held.isEmpty else { return }
        let keys = Set(held.map(\.key))
        let first = subscription.heldKeys.byOffset.filter { keys.contains($0.value) }.keys.min()
        let waiting = held.reduce(0) { $0 + $1.front.count - $1.out + $1.backlog.count }
        causes.append(.heldKeys(held.count, waiting: waiting, first: first ?? 0))
    }

    /// Why messages that wait for nothing of their own are not handed out.
    private func explainHandOuts(
        ofAll: Bool, _ subscription: SubscriptionState, _ now: Now,
        _ causes: inout [Explanation.Cause]
    ) {
        appendJournal(now, &causes)
        if subscription.activity.consumers == 0 { causes.append(.noConsumer) }
        appendGate(subscription, now, &causes)
        if let block = subscription.supply.freshBlock { causes.append(.stalled(block)) }
        if let block = subscription.supply.againBlock,
            block.failure != subscription.supply.freshBlock?.failure
        {
            causes.append(.stalled(block))
        }
        guard subscription.hasDeliverable, subscription.activity.consumers > 0 else { return }
        if !subscription.suspects.isEmpty { appendSuspicion(subscription, &causes) }
        if let order = subscription.order {
            if order.scanned < subscription.window.end {
                causes.append(.keysUnknown(from: order.scanned, to: subscription.window.end))
            }
            // Of a message its own key was told.
            if ofAll { appendBusyKeys(order, subscription, &causes) }
        }
        let isFresh = subscription.topic.nextOffset > subscription.window.end
        if isFresh { explainFresh(subscription, &causes) }
        if subscription.supply.reading != nil, subscription.supply.fresh.isEmpty {
            causes.append(.reading(from: subscription.window.end))
        }
        appendConsumers(subscription, &causes)
    }

    /// Why the cursor does not go on.
    private func explainFresh(
        _ subscription: SubscriptionState, _ causes: inout [Explanation.Cause]
    ) {
        let window = subscription.window
        if subscription.counts.tracked >= UInt64(subscription.settings.maximumUnsettled) {
            causes.append(
                .windowFull(subscription.counts.tracked, subscription.settings.maximumUnsettled))
        } else if subscription.isWindowFull {
            causes.append(.windowWide(window.settledBelow, window.end))
        }
        if window.end >= subscription.ceiling.value,
            subscription.activity.wantsCeiling
                || subscription.ceiling.proposed > subscription.ceiling.value
        {
            causes.append(.ceiling(subscription.ceiling.value, subscription.ceiling.proposed))
        }
    }

    /// Which message of its key one waits for, where that is known.
    private func appendLane(
        of offset: Offset, _ subscription: SubscriptionState, _ causes: inout [Explanation.Cause]
    ) {
        guard let order = subscription.order,
            let lane = order.laneOf[offset] ?? laneBehind(offset, order)
        else { return }
        appendHeld([lane], subscription, &causes)
        appendClaimed([lane], &causes)
        guard let first = lane.front.first ?? lane.backlog.first, first != offset else { return }
        causes.append(.busyKeys(1, waiting: lane.front.count + lane.backlog.count, first: first))
    }

    /// The lane in whose backlog one waits, which no table knows.
    private func laneBehind(_ offset: Offset, _ order: KeyOrder) -> Lane? {
        order.lanes.all.first { $0.value.backlog.contains(offset) }?.value
    }

    /// Keys that wait until what was claimed ahead of earlier ones is settled or comes back.
    private func appendClaimed(_ lanes: [Lane], _ causes: inout [Explanation.Cause]) {
        let claimed = lanes.filter { !$0.outOfTurn.isEmpty }
        guard let first = claimed.compactMap({ $0.outOfTurn.min() }).min() else { return }
        let waiting = claimed.reduce(0) {
            $0 + $1.front.count + $1.backlog.count - $1.outOfTurn.count
        }
        causes.append(.claimedKeys(claimed.count, waiting: waiting, first: first))
    }

    /// Messages that wait behind others of their keys; those behind dead ones are told apart.
    private func appendBusyKeys(
        _ order: KeyOrder, _ subscription: SubscriptionState, _ causes: inout [Explanation.Cause]
    ) {
        let busy = order.lanes.all.map(\.value).filter {
            $0.hasPending && !subscription.holdsKey($0.key)
        }
        guard let first = busy.compactMap({ $0.front.first ?? $0.backlog.first }).min() else {
            return
        }
        let waiting = busy.reduce(0) { $0 + $1.front.count - $1.out + $1.backlog.count }
        causes.append(.busyKeys(busy.count, waiting: waiting, first: first))
    }

    // MARK: what holds everything back

    private func appendJournal(_ now: Now, _ causes: inout [Explanation.Cause]) {
        switch mode {
        case .stopped(let failure): causes.append(.journal(failure))
        case .replaying:
            causes.append(
                .journal(Failure(.unavailable, .draining, "the namespace is not recovered yet")))
        case .running:
            if tail.holdUntil > now.clock { causes.append(.journalHeld(until: tail.holdUntil)) }
        }
    }

    private func appendGate(
        _ subscription: SubscriptionState, _ now: Now, _ causes: inout [Explanation.Cause]
    ) {
        guard subscription.isGated else { return }
        if let pause = subscription.flow.pause, pause.isInForce(now.clock) {
            causes.append(.paused(pause))
        }
        if let policy = subscription.settings.breaker {
            appendBreaker(subscription, policy, now, &causes)
        }
        // Before the first look for a consumer it has not begun.
        if let rate = subscription.settings.rateLimit, subscription.flow.bucket.filledAt != nil {
            var bucket = subscription.flow.bucket
            bucket.fill(rate, now.clock)
            // A high rate goes on when there is enough for a run.
            let wakes = subscription.flow.timer.map { $0 > now.clock } ?? false
            let enough = wakes ? subscription.messagesPerWake(rate) : 1
            if bucket.messages < enough {
                let next = wakes ? subscription.flow.timer : nil
                causes.append(.rateLimit(rate, next: next ?? bucket.time(of: 1, rate, now.clock)))
            }
        }
    }

    private func appendBreaker(
        _ subscription: SubscriptionState, _ policy: BreakerPolicy, _ now: Now,
        _ causes: inout [Explanation.Cause]
    ) {
        let breaker = subscription.flow.breaker
        switch (subscription.flow.breakerSwitch, breaker.state) {
        case (.open, _): causes.append(.breakerByHand)
        case (.closed, _), (.auto, .closed): break
        case (.auto, .open(let since, let until)) where until > now.clock:
            causes.append(.breakerOpen(breaker.openedBy, policy, since: since, until: until))
        case (.auto, .open): break
        case (.auto, .halfOpen(let since)):
            guard let probe = breaker.probe else { break }
            causes.append(.breakerProbes(probe, since: since))
        }
    }

    // MARK: consumers

    /// Causes told one by one for consumers; the rest is counted.
    private static var mostConsumers: Int { 20 }

    private func appendConsumers(
        _ subscription: SubscriptionState, _ causes: inout [Explanation.Cause]
    ) {
        let served = subscription.activity.rotation
        let next = subscription.nextLength
        // One with room gets the next message, unless it is too long for it.
        guard !served.contains(where: { $0.isEligible && $0.hasRoom(bytes: next ?? 0) }) else {
            return
        }
        for holder in served.prefix(Self.mostConsumers) { causes.append(.credit(holder, next)) }
        if served.count > Self.mostConsumers {
            causes.append(.moreConsumers(served.count - Self.mostConsumers))
        }
        let silent = subscription.activity.connected.filter { holder in
            holder.isSilent && !served.contains { $0 === holder }
        }
        for holder in silent.prefix(Self.mostConsumers) { causes.append(.silent(holder)) }
    }

    private func appendLeases(
        _ subscription: SubscriptionState, _ now: Now, _ causes: inout [Explanation.Cause]
    ) {
        let holders = subscription.leases.holders.compactMap { $0 }.filter { $0.messagesOut > 0 }
            .sorted {
                $0.messagesOut != $1.messagesOut
                    ? $0.messagesOut > $1.messagesOut
                    : $0.index < $1.index
            }
        for holder in holders.prefix(Self.mostConsumers) {
            causes.append(.leased(holder, nextEnd: firstDeadline(of: holder)))
        }
    }

    /// When the first lease of a holder runs out; nil where only verdicts on their way are left.
    private func firstDeadline(of holder: Holder) -> Int64? {
        guard holder.consumer != nil else { return holder.graceUntil }
        let leases = holder.subscription.leases
        guard let first = holder.groups.first(where: { leases.contains($0) }) else { return nil }
        return max(leases.deadline(first), holder.leaseFloor)
    }

    private func appendSuspicion(
        _ subscription: SubscriptionState, _ causes: inout [Explanation.Cause]
    ) {
        let suspects = subscription.suspects.elements.filter { offset in
            guard offset < subscription.window.end,
                let slot = subscription.window.slot(offset)?.pointee
            else { return false }
            return slot.state == .returned && slot.suspicion > 0
        }
        guard let first = suspects.min() else { return }
        let rotation = subscription.activity.rotation
        causes.append(
            .suspicion(
                UInt64(suspects.count), first: first,
                probing: rotation.count { $0.isProbing }, of: rotation.count))
    }

    private func appendParked(
        _ slot: Slot, _ subscription: SubscriptionState, _ causes: inout [Explanation.Cause]
    ) {
        guard slot.failed >= subscription.settings.retry.maximumFailures else { return }
        appendFullStore(subscription, &causes)
    }

    /// The subscription's store of dead letters is full, or all stores together are.
    private func appendFullStore(
        _ subscription: SubscriptionState, _ causes: inout [Explanation.Cause]
    ) {
        let own = Int(clamping: subscription.settings.deadLetters.maximum)
        if subscription.dead.count >= own {
            causes.append(.deadStoreFull(subscription.dead.count, own))
        } else if directory.deadLetters >= configuration.maximumDeadLetters {
            causes.append(
                .deadStoreFull(directory.deadLetters, configuration.maximumDeadLetters))
        }
    }
}

extension SubscriptionState {
    /// Payload length of the message that would go next, where it is at hand.
    var nextLength: UInt64? {
        if let offset = wanted.first, offset < window.end, let slot = window.slot(offset)?.pointee,
            slot.state == .returned, let batch = batchAtHand(holding: offset)
        {
            var walk = SupplyBatch(batch)
            return walk.length(at: offset).map { UInt64($0) }
        }
        guard var first = supply.fresh.first, first.batch.baseOffset <= window.end,
            window.end < first.end
        else { return nil }
        return first.length(at: window.end).map { UInt64($0) }
    }
}
