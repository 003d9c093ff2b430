import ChaskiBroker
import ChaskiModel

/// What must hold when faults have stopped and everything had its time: A1, A9, R3, liveness.
extension Oracle {
    /// Whether every subscription is through with its topic, as far as the model knows.
    var isDrained: Bool {
        subscriptionOrder.allSatisfy { $0.removed || undelivered($0) == nil }
    }

    /// How many messages the slowest subscription of a topic has before it, about.
    func largestBacklog(of id: TopicID) -> Offset {
        guard let topic = topics[id] else { return 0 }
        var largest: Offset = 0
        for subscription in topic.subscriptions where !subscription.removed {
            let settled = max(Offset(subscription.window.lowerBound), subscription.startHigh)
            largest = max(largest, topic.end - min(settled, topic.end))
        }
        return largest
    }

    /// The first offset that a subscription still owes.
    func undelivered(_ subscription: SubscriptionModel) -> Offset? {
        _ = subscription.window
        var offset = subscription.startHigh
        if !subscription.messages.isEmpty {
            offset = max(
                offset, Offset(min(subscription.window.lowerBound, subscription.messages.count)))
        }
        while offset < subscription.topic.end {
            if !subscription.mayBeOver(offset) { return offset }
            offset += 1
        }
        return nil
    }

    /// - Parameter lag: what the broker says of a subscription.
    func checkDrained(lag: (SubscriptionID) -> UInt64?) {
        for subscription in subscriptionOrder where !subscription.removed {
            guard let lag = lag(subscription.id) else {
                violated("A1", "subscription \(subscription.name) is gone")
                continue
            }
            if let offset = undelivered(subscription) {
                let check = lag == 0 ? "A1" : "liveness"
                violated(
                    check,
                    "\(subscription.name)/\(subscription.topic.name)@\(offset) was never settled; "
                        + "lag \(lag), end \(subscription.topic.end)")
            } else if lag != 0 {
                violated("A9", "\(subscription.name) is through, and its lag is \(lag)")
            }
        }
    }

    /// Everything that was asked in this life has been answered.
    func checkAnswered() {
        if let least = pending.keys.min(by: { $0.rawValue < $1.rawValue }) {
            violated(
                "liveness", "\(pending.count) requests are unanswered, \(least.rawValue) first")
        }
        for (index, publication) in publications.enumerated()
        where publication.answeredBase != nil && publication.storedBase == nil {
            violated("P1", "publication \(index) was confirmed and is not stored")
        }
    }

    /// The whole of a topic, as it can be read: nothing may be missing that was not released.
    func checkLog(_ topic: TopicModel, _ batches: [StoredBatch]) {
        var next: Offset = 0
        for batch in batches {
            guard batch.baseOffset + Offset(batch.count) <= topic.end, batch.baseOffset >= next
            else {
                return violated("P8", "\(topic.name) holds more than was written")
            }
            checkGap(topic, next..<batch.baseOffset)
            let (publication, index) = topic.log[Int(batch.baseOffset)]
            if index != 0 || !isContent(batch.bytes, of: Int(publication)) {
                violated("P1", "\(topic.name)@\(batch.baseOffset) does not hold what was stored")
            }
            next = batch.baseOffset + Offset(batch.count)
        }
        checkGap(topic, next..<topic.end)
    }

    private func checkGap(_ topic: TopicModel, _ range: Range<Offset>) {
        guard let missing = topic.firstRetained(in: range) else { return }
        violated("R3", "\(topic.name)@\(missing) cannot be read, and was never released")
    }
}

extension Oracle {
    /// Q2, Q3: the dead letters that the broker lists are those of the model, once each.
    func checkDead(
        _ subscription: SubscriptionModel, _ listed: [(Offset, failed: UInt32, cause: DeathCause)],
        dying: Set<Offset>
    ) {
        var last: Offset?
        for (offset, failed, cause) in listed {
            if let last, offset <= last { violated("Q2", "dead letters are listed out of order") }
            last = offset
            guard offset < Offset(subscription.messages.count) else {
                violated("Q3", "\(subscription.name)@\(offset) is dead and was never handed out")
                continue
            }
            if cause == .abandoned { learnAbandoned(subscription, offset) }
            let record = subscription.messages[Int(offset)]
            if record.state != .dead, !record.mayBeSettled {
                violated("Q3", "\(subscription.name)@\(offset) is dead without a cause")
            }
            subscription.withRecord(offset) { $0.state = .dead }
            if cause == .maximumFailures, failed < subscription.leastFailuresEver {
                violated("Q3", "\(subscription.name)@\(offset) died after \(failed) failures")
            }
            if failed < record.failedLow {
                violated("A7", "\(subscription.name)@\(offset): \(failed) failures")
            }
        }
        let offsets = Set(listed.map(\.0))
        for (index, record) in subscription.messages.enumerated()
        where record.state == .dead && !offsets.contains(Offset(index))
            && !dying.contains(Offset(index))
        {
            violated("Q1", "\(subscription.name)@\(index) died and is not among the dead letters")
        }
    }

    /// Q3: the broker says that whoever held this message alone vanished too often. Clients see no
    /// more of it than that each hand-out ended without a verdict.
    func learnAbandoned(
        _ subscription: SubscriptionModel, _ offset: Offset, at clock: Int64? = nil
    ) {
        guard offset < Offset(subscription.messages.count) else { return }
        let record = subscription.messages[Int(offset)]
        guard record.state != .dead else { return }
        if record.state != .leased || record.alone + 1 < subscription.leastAbandoned {
            violated(
                "Q3",
                "\(subscription.name)@\(offset) died abandoned, as \(record.state), after "
                    + "\(record.alone) hand-outs alone")
        }
        forget(outstandingOf: record)
        tookEffect(.abandonment)
        if let clock { noteDeath(offset, subscription, from: clock) }
        subscription.withRecord(offset) { $0.state = .dead }
        supersede(after: offset, subscription)
    }
}
