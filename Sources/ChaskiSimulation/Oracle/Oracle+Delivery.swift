import ChaskiBroker
import ChaskiModel

/// What may be handed out, to whom, and when: P1, P2, P6, P8, A2, A3, A7, T1, F1, R1.
extension Oracle {
    func delivered(
        _ consumerID: ConsumerID, _ id: SubscriptionID, _ deliveries: [Delivery], now: Now
    ) {
        guard let number = consumerNumbers[consumerID], consumers[number].open else {
            return violated("F1", "a delivery to \(consumerID), which is not open")
        }
        guard let subscription = subscriptions[id], !subscription.removed,
            consumers[number].subscription === subscription
        else {
            return violated("A1", "a delivery of subscription \(id.rawValue) to a stranger")
        }
        let count = deliveries.reduce(0) { $0 + $1.runs.reduce(0) { $0 + UInt64($1.count) } }
        checkFlow(subscription, count, now: now)
        for delivery in deliveries {
            checkContent(delivery, subscription.topic)
            for run in delivery.runs {
                for step in 0..<run.count {
                    handedOut(run.first + Offset(step), run, number, subscription, now: now)
                }
            }
        }
        checkLimit(of: number, subscription, now: now)
        noteAlone(number, now: now)
    }

    /// Whoever holds one message and nothing else may vanish with it alone. Looked at whenever the
    /// broker hears of a consumer, and when it gives or takes something.
    func noteAlone(_ number: Int, now: Now) {
        guard let subscription = consumers[number].subscription else { return }
        var certain: [Int] = []
        var perhaps: [Int] = []
        for index in subscription.window where certain.count < 2 {
            let record = subscription.messages[index]
            guard record.state == .leased, record.consumer == Int32(number),
                now.clock < leaseEnd(record)
            else { continue }
            // With an earlier message of its key it may have come back.
            let held = orderExpectation(Offset(index), .extend, subscription, now: now) == .accept
            if held { certain.append(index) } else { perhaps.append(index) }
        }
        guard certain.count < 2 else { return }
        for index in certain.isEmpty ? perhaps : certain
        where !subscription.messages[index].wasAlone {
            subscription.messages[index].wasAlone = true
            subscription.messages[index].alone += 1
        }
    }

    /// The count kept along holds lapsed leases too, so that only an excess is counted anew.
    private func checkLimit(of number: Int, _ subscription: SubscriptionModel, now: Now) {
        let limit = Int(consumers[number].limit.messages)
        guard consumers[number].outstanding > limit else { return }
        let held = held(by: number, subscription, now: now)
        if held > limit {
            violated("F1", "consumer \(number) holds \(held) messages; its limit is \(limit)")
        }
    }

    /// Messages that a consumer holds, without those that have a verdict under way.
    private func held(by number: Int, _ subscription: SubscriptionModel, now: Now) -> Int {
        var held = 0
        for index in subscription.window {
            let record = subscription.messages[index]
            if record.state == .leased, record.consumer == Int32(number), record.underWayCount == 0,
                now.clock < leaseEnd(record),
                // With an earlier message of its key it may have come back.
                orderExpectation(Offset(index), .extend, subscription, now: now) == .accept
            {
                held += 1
            }
        }
        return held
    }

    /// A batch that leaves the process is one whose write returned, as it was published.
    func checkContent(_ delivery: Delivery, _ topic: TopicModel) {
        let batch = delivery.batch
        let end = batch.baseOffset + Offset(batch.count)
        guard batch.topic == topic.id, batch.count > 0 else {
            return violated("A1", "a batch of another topic was handed out")
        }
        guard end <= topic.end else {
            return violated(
                "P2", "\(topic.name)@\(batch.baseOffset) was handed out before it was on disk")
        }
        let (publication, index) = topic.log[Int(batch.baseOffset)]
        if index != 0 || !isContent(batch.bytes, of: Int(publication)) {
            violated(
                "P1", "\(topic.name)@\(batch.baseOffset) shows another content than was stored")
        }
        for run in delivery.runs
        where run.first < batch.baseOffset || run.first + Offset(run.count) > end || run.count == 0
        {
            violated("P8", "a run of deliveries outside its batch")
        }
    }

    private func handedOut(
        _ offset: Offset, _ run: DeliveryRun, _ consumer: Int, _ subscription: SubscriptionModel,
        now: Now
    ) {
        guard offset < subscription.topic.end else { return }
        func name() -> String { "\(subscription.name)/\(subscription.topic.name)@\(offset)" }
        if offset < subscription.startLow {
            violated("A1", "\(name()) lies before the start at \(subscription.startLow)")
        }
        let record = subscription.withRecord(offset) { $0 }
        switch record.state {
        case .acked: violated("A2", "\(name()) was handed out after its ack was confirmed")
        case .dead: violated("Q1", "\(name()) was handed out although it is dead")
        case .purged: violated("Q1", "\(name()) was handed out after it was purged")
        case .leased:
            let end = leaseEnd(record)
            if now.clock < end {
                violated(
                    "A3",
                    "\(name()) was handed out to consumer \(consumer), \(end - now.clock) ns before "
                        + "the lease of consumer \(record.consumer) ends")
            }
        case .waiting:
            if now.clock < record.dueFrom - 1_000_000 {
                violated(
                    "T1",
                    "\(name()) was handed out \(record.dueFrom - now.clock) ns before it is due")
            }
        case .pending: break
        }
        if letters.kept[subscription.id]?.copied[offset] != nil {
            violated("Q1", "\(name()) was handed out after it was forwarded as dead")
        }
        checkCounters(record, run, name: name)
        if record.isRedriven { checkKeyIsIdle(offset, subscription, now: now) }
        if run.handout > 1 { supersede(after: offset, subscription) }
        checkHandOutOrder(offset, consumer, subscription, now: now)
        forget(outstandingOf: record)
        let lease = leaseNanos(of: consumer, subscription)
        subscription.withRecord(offset) {
            $0.state = .leased
            $0.mayBeSettled = false
            $0.endedBy = nil
            $0.underWay = 0
            $0.underWayCount = 0
            $0.epoch = epoch
            $0.firstEpoch = epoch
            $0.handout = run.handout
            $0.consumer = Int32(consumer)
            $0.isSuperseded = false
            $0.isRedriven = false
            $0.wasAlone = false
            $0.failedLow = run.failed
            $0.failedHigh = max($0.failedHigh, run.failed)
            $0.leaseUntil = now.clock + lease
            $0.extendedUntil = .min
            $0.probe = .no
        }
        consumers[consumer].outstanding += 1
    }

    private func checkCounters(_ record: MessageRecord, _ run: DeliveryRun, name: () -> String) {
        if record.epoch == epoch, run.handout <= record.handout {
            violated("A4", "\(name()) was handed out twice under number \(run.handout)")
        }
        if run.handout == 0 { violated("A4", "\(name()) bears hand-out number 0") }
        if run.failed < record.failedLow {
            violated(
                "A7", "\(name()) failed \(record.failedLow) times; the delivery says \(run.failed)")
        }
        if run.failed > record.failedHigh {
            violated(
                "A7",
                "\(name()) failed at most \(record.failedHigh) times; the delivery says \(run.failed)"
            )
        }
    }

    /// The moment before which the broker must not give a leased message to anybody else.
    func leaseEnd(_ record: MessageRecord) -> Int64 {
        guard record.consumer >= 0, !record.isSuperseded else { return record.leaseUntil }
        let holder = consumers[Int(record.consumer)]
        guard holder.heartbeatsSince < record.leaseUntil, holder.connected else {
            return record.leaseUntil
        }
        return max(record.leaseUntil, holder.heartbeat + holder.heartbeatLease)
    }

    /// A heartbeat renews what has not run out.
    func beat(_ consumer: Int, now: Now) {
        guard let subscription = consumers[consumer].subscription else { return }
        let last = consumers[consumer].heartbeat
        if last == .min || now.clock >= last + consumers[consumer].heartbeatLease {
            consumers[consumer].heartbeatsSince = now.clock
        }
        consumers[consumer].heartbeat = now.clock
        consumers[consumer].heartbeatLease = leaseNanos(of: consumer, subscription)
        noteAlone(consumer, now: now)
    }

    /// A delivery that counted against its consumer's limit no longer does.
    func forget(outstandingOf record: MessageRecord) {
        guard record.state == .leased, record.underWayCount == 0, record.consumer >= 0 else {
            return
        }
        consumers[Int(record.consumer)].outstanding -= 1
    }

    /// Storage may forget a range only when every subscription of the topic is through with it.
    func released(_ id: TopicID, _ range: Range<Offset>) {
        guard let topic = topics[id] else {
            return violated("R1", "offsets of topic \(id.rawValue) released, which never was")
        }
        guard range.upperBound <= topic.end else {
            return violated("R1", "\(topic.name) ends at \(topic.end); \(range) was released")
        }
        topic.release(range)
        checkUnneeded(range, of: topic)
        checkLettersKept(range, of: topic)
    }

    /// A dead message stays to be read, until it is purged.
    private func checkLettersKept(_ range: Range<Offset>, of topic: TopicModel) {
        func isKept(_ offset: Offset, _ subscription: SubscriptionModel) -> Bool {
            guard offset < Offset(subscription.messages.count) else { return false }
            return subscription.messages[Int(offset)].state == .dead
                && letters.kept[subscription.id]?.leaving.contains(offset) != true
        }
        for subscription in topic.subscriptions
        where !subscription.removed && !isChanging(subscription.name) {
            for offset in range where isKept(offset, subscription) {
                learnDeaths()
                guard isKept(offset, subscription) else { continue }
                violated(
                    "R1",
                    "\(topic.name)@\(offset) was released, and is dead for \(subscription.name)")
                return
            }
        }
    }

    /// After a restart new subscriptions begin no earlier: there may be less below than the broker
    /// can know.
    func passedOver(_ id: TopicID, below end: Offset) {
        guard let topic = topics[id], end > topic.releasedMaximum else { return }
        checkUnneeded(topic.releasedEnd..<end, of: topic, isGone: false)
        topic.passedOver = end
    }

    /// - Parameter isGone: false where only new subscriptions begin later: what was redriven lies
    ///   below, and is kept.
    private func checkUnneeded(_ range: Range<Offset>, of topic: TopicModel, isGone: Bool = true) {
        for subscription in topic.subscriptions
        where !subscription.removed && !isChanging(subscription.name) {
            for offset in range where !subscription.mayBeOver(offset) {
                if !isGone, wasRedriven(offset, subscription) { continue }
                // It may have died since, which clients are not told.
                learnDeaths()
                guard !subscription.mayBeOver(offset) else { continue }
                violated(
                    "R1", "\(topic.name)@\(offset) was released, and \(subscription.name) needs it")
                return
            }
        }
    }
}
