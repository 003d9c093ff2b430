import ChaskiModel

extension NamespaceMachine {
    /// Dead letters that one request takes out of the store, at most.
    static var maximumLettersPerRequest: Int { 10_000 }

    func redrive(
        _ request: RequestID, _ name: String, _ ranges: [Range<Offset>], _ note: String,
        _ effects: inout [Effect]
    ) {
        guard let subscription = findForDeadLetters(request, name, &effects) else { return }
        let chosen = choose(ranges, subscription)
        let redriven = Redriven(
            subscription: subscription.id,
            note: StateEncoding.cut(note, StateEncoding.reasonBytes), ranges: chosen.ranges)
        propose(.redriven(redriven), chosen, subscription, request, &effects)
    }

    func purge(
        _ request: RequestID, _ name: String, _ ranges: [Range<Offset>], _ effects: inout [Effect]
    ) {
        guard let subscription = findForDeadLetters(request, name, &effects) else { return }
        let chosen = choose(ranges, subscription)
        let purged = Purged(subscription: subscription.id, cause: .asked, ranges: chosen.ranges)
        propose(.purged(purged), chosen, subscription, request, &effects)
    }

    private func findForDeadLetters(
        _ request: RequestID, _ name: String, _ effects: inout [Effect]
    ) -> SubscriptionState? {
        guard let subscription = directory.subscription(named: name),
            !subscription.activity.isDeleting
        else {
            effects.append(.reply(request, .failure(.unknownSubscription(name))))
            return nil
        }
        return subscription
    }

    private struct Chosen {
        var ranges: [Range<Offset>] = []
        var count: UInt64 = 0
        /// Where to go on; nil where that was all.
        var next: Offset?
    }

    /// The dead letters in ranges that are not on their way out; at most as many as one request
    /// takes.
    private func choose(_ ranges: [Range<Offset>], _ subscription: SubscriptionState) -> Chosen {
        var chosen = Chosen()
        for range in ranges {
            var position = range.lowerBound
            while let record = subscription.dead.first(from: position),
                record.offset < range.upperBound
            {
                position = record.offset + 1
                if record.isLeaving { continue }
                guard chosen.count < UInt64(Self.maximumLettersPerRequest) else {
                    chosen.next = record.offset
                    return chosen
                }
                chosen.ranges.append(offset: record.offset)
                chosen.count += 1
            }
        }
        return chosen
    }

    private func propose(
        _ entry: StateEntry, _ chosen: Chosen, _ subscription: SubscriptionState,
        _ request: RequestID, _ effects: inout [Effect]
    ) {
        let reply = PendingReply.lettersTaken(count: chosen.count, next: chosen.next)
        guard chosen.count > 0 else {
            effects.append(.reply(request, .success(.lettersTaken(count: 0, next: chosen.next))))
            return
        }
        guard propose(.entry(entry), reply, request, &effects) else { return }
        for range in chosen.ranges {
            for offset in range { subscription.dead.mark(offset, isLeaving: true) }
        }
    }

    // MARK: Effects of entries

    /// Each counts again from no failure, keeps its hand-out number and what happened to it.
    func apply(_ redriven: Redriven, _ time: Now) {
        guard let subscription = directory.subscriptions[redriven.subscription] else { return }
        // In a replay a letter may not be there, for the checkpoint took it after it was redriven:
        // what the entry names counts.
        subscription.totals.redriven &+= redriven.ranges.offsetTotal
        for range in redriven.ranges {
            for offset in range {
                guard let record = removeLetter(offset, subscription) else { continue }
                revive(record, redriven.note, subscription, time)
                freeKey(offset, subscription)
            }
        }
        work.touched.append(subscription)
        if isRunning { markDirty(subscription) }
    }

    private func revive(
        _ record: DeadRecord, _ note: String, _ subscription: SubscriptionState, _ time: Now
    ) {
        let window = subscription.window
        guard record.offset < window.end else { return }
        var slot = Slot(state: .returned)
        slot.returns = record.handedOut
        window.revive(record.offset, slot)
        var history = record.history
        history.append(
            Attempt(
                end: .redriven, handout: record.handedOut, session: SessionID(rawValue: 0),
                endedClockNanos: time.clock, endedWallNanos: time.wall, reason: note, code: "",
                delayNanos: nil))
        guard let place = window.slot(record.offset) else {
            preconditionFailure("it was just revived")
        }
        subscription.setHistory(history, record.offset, place)
        subscription.counts.enter(.returned)
        guard isRunning else { return }
        // Those that it held back come behind it.
        if let order = subscription.order, record.offset < order.scanned,
            order.laneOf[record.offset] == nil,
            let key = subscription.heldKeys.byOffset[record.offset]
        {
            order.enter(record.offset, key) { window.slot($0)?.pointee.state == .leased }
        }
        queueAgain(slot, record.offset, subscription)
    }

    func apply(_ purged: Purged) {
        guard let subscription = directory.subscriptions[purged.subscription] else { return }
        switch purged.cause {
        case .asked: subscription.totals.purged &+= purged.ranges.offsetTotal
        case .retention: subscription.totals.expired &+= purged.ranges.offsetTotal
        }
        for range in purged.ranges {
            for offset in range where removeLetter(offset, subscription) != nil {
                subscription.window.noteCleaned(offset)
                freeKey(offset, subscription)
            }
        }
        work.touched.append(subscription)
        if isRunning { setDeadTimer(subscription) }
    }

    func removeLetter(_ offset: Offset, _ subscription: SubscriptionState) -> DeadRecord? {
        guard let record = subscription.dead.remove(offset) else { return nil }
        directory.deadLetters -= 1
        assert(directory.deadLetters >= 0, "dead letters are miscounted")
        return record
    }

    // MARK: Retention

    /// Sets the timer to when the oldest has been kept for long enough.
    func setDeadTimer(_ subscription: SubscriptionState) {
        guard let oldest = subscription.dead.oldest() else { return }
        let at = oldest.diedNanos.addingSaturating(
            subscription.settings.deadLetters.retentionNanos)
        guard at < .max else { return }
        if let set = subscription.activity.deadTimer, set <= at { return }
        subscription.activity.deadTimer = at
        timers.heap.push(
            Timer(at: at, kind: .deadLetters, subscription: subscription.id.rawValue))
    }

    /// Proposes the removal of those that have been kept for long enough.
    func expireDeadLetters(_ subscription: SubscriptionState, _ now: Now) {
        guard !subscription.activity.isDeleting else { return }
        let retention = subscription.settings.deadLetters.retentionNanos
        var offsets: [Offset] = []
        while offsets.count < Self.maximumLettersPerRequest,
            let oldest = subscription.dead.oldest(),
            oldest.diedNanos.addingSaturating(retention) <= now.clock
        {
            subscription.dead.mark(oldest.offset, isLeaving: true)
            offsets.append(oldest.offset)
        }
        guard !offsets.isEmpty else {
            setDeadTimer(subscription)
            return
        }
        var ranges: [Range<Offset>] = []
        for offset in offsets.sorted() { ranges.append(offset: offset) }
        let purged = Purged(subscription: subscription.id, cause: .retention, ranges: ranges)
        // Its effect sets the timer for the rest.
        tail.control.append(TailItem(.entry(.purged(purged)), .done, []))
    }
}

extension [Range<Offset>] {
    /// How many offsets they have.
    var offsetTotal: UInt64 { reduce(0) { $0 &+ ($1.upperBound - $1.lowerBound) } }

    /// Appends one offset, above all others; it continues the last range where it can.
    mutating func append(offset: Offset) {
        if let last, last.upperBound == offset {
            self[count - 1] = last.lowerBound..<offset + 1
        } else {
            append(offset..<offset + 1)
        }
    }
}
