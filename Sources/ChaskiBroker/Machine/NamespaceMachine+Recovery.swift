package import ChaskiModel

extension NamespaceMachine {
    /// Applies one entry of the journal, in journal order. What cannot be understood fences the
    /// namespace: `replayFailure` tells why.
    package func replay(_ entry: JournalEntry, time: Now) {
        guard case .replaying = mode else { return }
        lastDurable = Now(clock: max(lastDurable.clock, time.clock), wall: time.wall)
        do throws(Failure) {
            switch entry.kind {
            case .batch: try replayBatch(entry, time)
            case .state:
                var effects: [Effect] = []
                apply(try StateEntry(decoding: entry.body), time, &effects)
            case .section: try replay(try Section(decoding: entry.body))
            }
        } catch {
            stop(error)
        }
        shrinkCooled()
        for subscription in work.touched { _ = subscription.window.takeCleaned() }
        work.touched.removeAll(keepingCapacity: true)
    }

    private func replayBatch(_ entry: JournalEntry, _ time: Now) throws(Failure) {
        guard let topic = directory.topics[entry.topic] else { return }
        guard entry.count > 0, entry.baseOffset == topic.nextOffset,
            entry.baseOffset <= Offset(Int64.max) - Offset(entry.count)
        else {
            throw .corruptEntry(
                "a batch at offset \(entry.baseOffset) where \(topic.nextOffset) comes next")
        }
        append(entry.baseOffset, entry.count, entry.body.count, to: topic)
        guard topic.dedup != nil else { return }
        let ids = try DedupEntry.entries(
            of: entry.body, baseOffset: entry.baseOffset, clock: time.clock)
        remember(ids, of: topic, time)
    }

    /// The journal is replayed: from now on commands are taken, and tokens carry `epoch`.
    ///
    /// What may have been handed out before the restart waits `resumeGraceNanos` for its session.
    package func recovered(epoch: UInt32, now: Now) {
        guard case .replaying = mode else { return }
        mode = .running
        self.epoch = epoch
        var effects: [Effect] = []
        var hasUnresolved = false
        for subscription in directory.subscriptionsByID {
            resolve(subscription)
            subscription.dead.sortByAge()
            setDeadTimer(subscription)
            if subscription.counts.unresolved > 0 { hasUnresolved = true }
            if !subscription.deaths.isEmpty { setDeathTimer(subscription, at: now.clock) }
        }
        for topic in directory.topicsByID {
            for producer in topic.producers.values {
                producer.tailEpoch = producer.epoch
                producer.tailNext = producer.next
            }
            releaseAll(of: topic, &effects)
            releaseFront(of: topic, &effects)
            // What was given up before the restart need not be so now, with a dead letter in its
            // chunk; its files may be gone all the same.
            let settled = min(topic.lowestUnsettled ?? 0, topic.nextOffset)
            topic.releasedEnd = max(topic.releasedEnd, settled)
        }
        countDedupIDs()
        transactions.arrange()
        purgeTransactions(at: lastDurable.clock)
        for session in sessions.byID.values { session.lastSeen = now.clock }
        guard hasUnresolved else { return }
        let until = now.clock.addingSaturating(configuration.resumeGraceNanos)
        timers.restartGraceUntil = until
        timers.heap.push(Timer(at: until, kind: .restartGrace))
    }

    /// The cursor goes to where hand-outs may have reached; whatever is unsettled below may be
    /// held by somebody, except what waits for a time that is still to come.
    private func resolve(_ subscription: SubscriptionState) {
        let window = subscription.window
        let reached = min(subscription.ceiling.value, subscription.topic.nextOffset)
        let widest = window.settledBelow &+ Window.maximumSpan
        window.extend(to: max(window.end, min(reached, widest)))
        window.advance()
        subscription.counts = WindowCounts()
        var retries: [RetryDue] = []
        var position = window.firstOpen
        while let offset = window.nextOpen(from: position) {
            position = offset + 1
            if let slot = window.slot(offset) {
                if slot.pointee.state == .waiting, slot.pointee.due > lastDurable.clock {
                    retries.append(RetryDue(due: slot.pointee.due, offset: offset))
                } else if slot.pointee.state != .dying {
                    slot.pointee.state = .unresolved
                    slot.pointee.a = 0
                    slot.pointee.b = 0
                }
                subscription.counts.enter(slot.pointee.state)
            }
        }
        for offset in subscription.heldKeys.byOffset.keys.sorted()
        where !subscription.isDeadOrDying(offset) {
            subscription.heldKeys.remove(offset)
        }
        subscription.order?.scanned = window.nextOpen(from: window.firstOpen) ?? window.end
        subscription.retries = Heap(retries)
        setRetryTimer(subscription)
    }
}
