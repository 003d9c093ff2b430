import ChaskiBroker
import ChaskiModel

/// Consumers that come, go and come back: A3, A6, and what a disconnect spends (nothing).
extension Oracle {
    func takenOpen(
        _ id: RequestID, _ consumer: ConsumerID, _ session: SessionID, _ name: String,
        _ limit: ConsumerLimit, _ claims: SessionClaims, now: Now
    ) {
        precondition(consumerNumbers[consumer] == nil, "consumer ids are not reused")
        consumerNumbers[consumer] = consumers.count
        consumers.append(
            ConsumerModel(
                id: consumer, session: session, subscription: nil, subscriptionName: name,
                limit: limit))
        begin(
            id,
            .openConsumer(
                consumer, claims: claims.ranges, valid: validClaims(claims, session, name, now: now)
            ))
    }

    /// The claims that must be honoured: what the session holds, and nobody doubts.
    private func validClaims(
        _ claims: SessionClaims, _ session: SessionID, _ name: String, now: Now
    ) -> [Offset] {
        guard case .present(let id) = subscriptionNames[name], id == claims.subscription,
            let subscription = subscriptions[id]
        else { return [] }
        var valid: Set<Offset> = []
        var ordered: [Offset] = []
        for claim in claims.ranges {
            for step in 0..<claim.count {
                let offset = claim.first + Offset(step)
                guard offset < Offset(subscription.messages.count) else { continue }
                let record = subscription.messages[Int(offset)]
                guard isHeld(record, claim, by: session), now.clock < leaseEnd(record),
                    isLed(offset, by: valid, subscription)
                else { continue }
                valid.insert(offset)
                ordered.append(offset)
            }
        }
        return ordered
    }

    /// Whether all earlier messages of its key are through, or among these.
    private func isLed(
        _ offset: Offset, by claimed: Set<Offset>, _ subscription: SubscriptionModel
    ) -> Bool {
        guard subscription.settings.order != nil,
            let key = subscription.key(of: offset, publications)
        else { return true }
        return unsettled(before: offset, of: key, subscription).allSatisfy(claimed.contains)
    }

    private func isHeld(_ record: MessageRecord, _ token: TokenRange, by session: SessionID) -> Bool
    {
        record.state == .leased && record.epoch == token.epoch && record.handout == token.handout
            && record.underWayCount == 0 && !record.isSuperseded && !record.mayBeSettled
            && record.consumer >= 0 && consumers[Int(record.consumer)].session == session
    }

    func openReplied(
        _ consumer: ConsumerID, _ claims: [TokenRange], _ valid: [Offset],
        _ result: Result<Reply, Failure>, now: Now
    ) {
        guard case .success(let reply) = result else { return }
        guard case .consumerOpened(let id, let epoch, let lease, let held) = reply,
            let subscription = subscriptions[id]
        else { return violated("one reply", "an opened consumer was answered with \(reply)") }
        let number = number(of: consumer)
        if epoch != self.epoch { violated("A4", "tokens bear epoch \(epoch), not \(self.epoch)") }
        consumers[number].subscription = subscription
        consumers[number].open = true
        consumers[number].toldLeaseNanos = lease
        var kept: Set<Offset> = []
        for range in held {
            for step in 0..<range.count {
                let offset = range.first + Offset(step)
                kept.insert(offset)
                keep(offset, range, number, subscription, now: now)
            }
        }
        for offset in valid where !kept.contains(offset) {
            let record = subscription.messages[Int(offset)]
            guard record.state == .leased, record.underWayCount == 0 else { continue }
            violated(
                "A6",
                "\(subscription.name)@\(offset) was claimed in time, and not left to its session")
        }
        let session = consumers[number].session
        for index in subscription.window where !kept.contains(Offset(index)) {
            let record = subscription.messages[index]
            guard record.state == .leased, record.consumer >= 0, record.consumer != Int32(number),
                consumers[Int(record.consumer)].session == session
            else { continue }
            subscription.messages[index].leaseUntil = min(record.leaseUntil, now.clock)
            // What a restart left waits for its session still.
            guard record.epoch == epoch, record.underWayCount == 0 else { continue }
            supersede(after: Offset(index), subscription)
        }
    }

    /// A claim was honoured: the lease goes on, with the consumer that came back.
    private func keep(
        _ offset: Offset, _ token: TokenRange, _ consumer: Int, _ subscription: SubscriptionModel,
        now: Now
    ) {
        guard offset < Offset(subscription.messages.count) else {
            return violated(
                "A3", "\(subscription.name)@\(offset) was left to a session that never had it")
        }
        let record = subscription.messages[Int(offset)]
        switch record.state {
        case .leased:
            guard record.consumer >= 0,
                consumers[Int(record.consumer)].session == consumers[consumer].session
            else {
                return violated(
                    "A3", "\(subscription.name)@\(offset) was left to a session that lost it")
            }
        case .acked, .dead, .purged, .waiting, .pending:
            return violated(
                "A2", "\(subscription.name)@\(offset) was left to a session after its verdict")
        }
        forget(outstandingOf: record)
        let lease = leaseNanos(of: consumer, subscription)
        subscription.withRecord(offset) {
            $0.epoch = token.epoch
            $0.handout = token.handout
            $0.consumer = Int32(consumer)
            $0.leaseUntil = max(
                now.clock + lease, $0.extendedUntil)
            $0.mayBeSettled = false
            $0.isSuperseded = false
        }
        if record.underWayCount == 0 { consumers[consumer].outstanding += 1 }
    }

    func disconnected(_ consumer: ConsumerID, now: Now) {
        let number = number(of: consumer)
        guard consumers[number].connected else { return }
        if let subscription = consumers[number].subscription {
            for index in subscription.window {
                let record = subscription.messages[index]
                guard record.state == .leased, record.consumer == Int32(number),
                    now.clock < leaseEnd(record)
                else { continue }
                subscription.messages[index].leaseUntil = now.clock + resumeGraceNanos
            }
        }
        consumers[number].connected = false
        consumers[number].open = false
    }

    func consumerEnded(_ consumer: ConsumerID, now: Now) {
        guard let number = consumerNumbers[consumer] else { return }
        consumers[number].open = false
        consumers[number].connected = false
        let ended = consumers[number]
        let successor = consumers.indices.contains {
            $0 > number && consumers[$0].session == ended.session
                && consumers[$0].subscriptionName == ended.subscriptionName
        }
        if !successor { leaseEnds(of: Int32(number), at: now.clock) }
    }

    /// What a consumer holds may be given to others from `moment` on.
    func leaseEnds(of consumer: Int32, at moment: Int64) {
        guard let subscription = consumers[Int(consumer)].subscription else { return }
        for index in subscription.window where subscription.messages[index].consumer == consumer {
            subscription.messages[index].leaseUntil = min(
                subscription.messages[index].leaseUntil, moment)
        }
        consumers[Int(consumer)].heartbeat = .min
        consumers[Int(consumer)].heartbeatsSince = .max
    }
}
