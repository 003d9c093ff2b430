import ChaskiBroker
import ChaskiModel

/// The five verbs: A1, A2, A4, A5, A6, A8.
extension Oracle {
    func takenSettle(_ id: RequestID, _ settle: SettleCommand, now: Now) {
        begin(id, .settle(beginSettle(settle, now: now)))
    }

    /// What is expected of a verdict that the broker takes, which is under way from now on.
    func beginSettle(_ settle: SettleCommand, now: Now) -> PendingSettle {
        var expectations: [PendingSettle.Expectation] = []
        var leaseNanos: Int64 = 0
        var openNanos: Int64 = 0
        if let subscription = consumers[number(of: settle.consumer)].subscription {
            leaseNanos = self.leaseNanos(of: number(of: settle.consumer), subscription)
            openNanos = subscription.settings.breaker?.openNanos ?? 0
            for range in settle.ranges {
                for step in 0..<range.count {
                    let offset = range.first + Offset(step)
                    expectations.append(
                        expectation(offset, range, settle, subscription, now: now))
                    begin(settle.verb, offset, range, subscription)
                }
            }
        }
        return PendingSettle(
            command: settle, taken: now.clock, leaseNanos: leaseNanos, openNanos: openNanos,
            expectations: expectations)
    }

    private func expectation(
        _ offset: Offset, _ token: TokenRange, _ settle: SettleCommand,
        _ subscription: SubscriptionModel, now: Now
    ) -> PendingSettle.Expectation {
        guard offset < Offset(subscription.messages.count) else { return .reject }
        let record = subscription.messages[Int(offset)]
        if isLikeRepeat(settle.verb, token, record) { return .either }
        guard record.isNamed(by: token), !record.isSuperseded else { return .reject }
        // A claim gave it a newer name since.
        if token.epoch < record.epoch { return .either }
        if record.mayBeSettled || record.underWayCount > 0 { return .either }
        guard record.state == .leased else {
            return record.endedBy == settle.verb ? .either : .reject
        }
        guard record.epoch == epoch, now.clock < leaseEnd(record),
            record.consumer == Int32(number(of: settle.consumer))
        else { return .either }
        return orderExpectation(offset, settle.verb, subscription, now: now)
    }

    /// An ack that names the hand-out which was acked, save for its epoch: the broker may answer OK,
    /// since it does not keep the epoch, and nothing changes.
    private func isLikeRepeat(_ verb: Verb, _ token: TokenRange, _ record: MessageRecord) -> Bool {
        verb == .ack && record.state == .acked && record.handout == token.handout
    }

    /// Counts a verdict on the token in force as under way.
    private func begin(
        _ verb: Verb, _ offset: Offset, _ token: TokenRange, _ subscription: SubscriptionModel
    ) {
        guard offset < Offset(subscription.messages.count) else { return }
        let record = subscription.messages[Int(offset)]
        guard record.isNamed(by: token), record.state == .leased, record.underWayCount < 255
        else { return }
        // An extension frees nothing.
        if verb != .extend { forget(outstandingOf: record) }
        subscription.withRecord(offset) {
            if verb != .extend {
                $0.underWay |= 1 << verb.rawValue
                $0.underWayCount += 1
            }
        }
    }

    func settleReplied(_ settle: PendingSettle, _ result: Result<Reply, Failure>, now: Now) {
        let number = number(of: settle.command.consumer)
        guard let subscription = consumers[number].subscription else { return }
        var rejected: [SettleRejection] = []
        var whole: Failure?
        var accepted: UInt32 = 0
        switch result {
        case .success(.settled(let count, let list)):
            rejected = list
            accepted = count
        case .success(let other):
            return violated("one reply", "a verdict was answered with \(other)")
        case .failure(let failure): whole = failure
        }
        var position = 0
        var next = 0
        var expectedAccepted: UInt32 = 0
        for range in settle.command.ranges {
            for step in 0..<range.count {
                let offset = range.first + Offset(step)
                let refused = next < rejected.count && rejected[next].offset == offset
                if refused { next += 1 }
                let expectation = settle.expectations[position]
                position += 1
                let ok = whole == nil && !refused
                if ok { expectedAccepted += 1 }
                conclude(
                    settle, offset, range, subscription, accepted: ok, expectation: expectation,
                    whole: whole, now: now)
            }
        }
        noteAlone(number, now: now)
        if whole == nil, accepted != expectedAccepted || next != rejected.count {
            violated(
                "A8", "a verdict says \(accepted) accepted, and lists others than it was asked")
        }
    }

    private func conclude(
        _ settle: PendingSettle, _ offset: Offset, _ token: TokenRange,
        _ subscription: SubscriptionModel, accepted: Bool,
        expectation: PendingSettle.Expectation, whole: Failure?, now: Now
    ) {
        let verb = settle.command.verb
        func name() -> String {
            "\(verb) of \(subscription.name)/\(subscription.topic.name)@\(offset)#\(token.handout)"
        }
        let counted = end(verb, offset, token, subscription)
        guard accepted else {
            if whole == nil, expectation == .accept {
                violated("A4", "\(name()) was refused although the lease holds")
            }
            if whole?.isIndeterminate == true { maybe(settle.command, offset, token, subscription) }
            if counted { countAgain(offset, subscription) }
            return
        }
        if expectation == .reject { violated("A4", "\(name()) was accepted with a stale token") }
        guard offset < Offset(subscription.messages.count) else { return }
        let record = subscription.messages[Int(offset)]
        if isLikeRepeat(verb, token, record) { return }
        guard record.isNamed(by: token) else {
            return violated("A4", "\(name()) was accepted after a newer hand-out")
        }
        guard record.state == .leased else {
            if record.endedBy != verb, !record.mayBeSettled {
                violated(
                    "A4",
                    "\(name()) was accepted after \(record.endedBy.map { "\($0)" } ?? "the end")")
            }
            return
        }
        if record.isSuperseded, verb != .release, verb != .extend {
            violated("O2", "\(name()) was accepted after an earlier message of its key came back")
        }
        apply(settle, offset, subscription, record)
    }

    private func apply(
        _ settle: PendingSettle, _ offset: Offset, _ subscription: SubscriptionModel,
        _ record: MessageRecord
    ) {
        let verb = settle.command.verb
        if verb == .extend {
            let until =
                settle.taken + (settle.command.delayNanos ?? settle.leaseNanos)
            // A consumer that is gone meanwhile holds what it has for resumeGrace, or not at all.
            guard record.consumer >= 0, consumers[Int(record.consumer)].connected,
                consumers[Int(record.consumer)].open
            else { return }
            guard !record.isSuperseded else { return }
            subscription.withRecord(offset) {
                $0.leaseUntil = max($0.leaseUntil, until)
                $0.extendedUntil = max($0.extendedUntil, until)
            }
            return
        }
        if verb != .ack { supersede(after: offset, subscription) }
        noteFailure(settle.command, offset, record, subscription, isCertain: true)
        // Uncounted when the verdict began, unless another one is still under way.
        if verb == .retry { applyRetry(settle, offset, subscription) }
        subscription.withRecord(offset) {
            $0.endedBy = verb
            switch verb {
            case .ack: $0.state = .acked
            case .fail: $0.state = .dead
            case .release: $0.state = .pending
            case .retry, .extend: break
            }
        }
        if subscription.messages[Int(offset)].state == .dead {
            noteDeath(offset, subscription, from: settle.taken)
        }
    }

    /// The verdict is no longer under way; true when it was the last on a message still leased.
    private func end(
        _ verb: Verb, _ offset: Offset, _ token: TokenRange, _ subscription: SubscriptionModel
    ) -> Bool {
        guard verb != .extend, offset < Offset(subscription.messages.count) else { return false }
        let (isLast, isLeased) = subscription.withRecord(offset) {
            guard $0.isNamed(by: token), $0.underWayCount > 0 else { return (false, false) }
            $0.underWayCount -= 1
            if $0.underWayCount == 0 { $0.underWay = 0 }
            return ($0.underWayCount == 0, $0.state == .leased)
        }
        if isLast { subscription.unanswered.remove(offset) }
        return isLast && isLeased
    }

    /// A verdict that was refused leaves the delivery with its consumer.
    private func countAgain(_ offset: Offset, _ subscription: SubscriptionModel) {
        let holder = subscription.messages[Int(offset)].consumer
        if holder >= 0 { consumers[Int(holder)].outstanding += 1 }
    }

    /// A verdict without an answer may have taken effect.
    func maybe(
        _ settle: SettleCommand, _ offset: Offset, _ token: TokenRange,
        _ subscription: SubscriptionModel
    ) {
        guard offset < Offset(subscription.messages.count) else { return }
        let verb = settle.verb
        let record = subscription.messages[Int(offset)]
        if record.isNamed(by: token), record.state == .leased {
            noteFailure(settle, offset, record, subscription, isCertain: false)
        }
        // Only in the group that was on its way.
        let moment = groupInDoubt?.time.clock ?? lastGroupClock
        subscription.withRecord(offset) {
            guard $0.isNamed(by: token), $0.state == .leased else { return }
            switch verb {
            case .ack, .fail: $0.mayBeSettled = true
            case .retry:
                $0.failedHigh += 1
                let first = min($0.firstFailureLow, moment)
                let ages = subscription.possible.compactMap(\.retry.maximumAgeNanos)
                if $0.failedHigh >= subscription.leastFailures
                    || ages.contains(where: { first < moment && first + $0 <= moment })
                {
                    $0.mayBeSettled = true
                }
                $0.firstFailureLow = first
            case .release, .extend: break
            }
            // It may have left its session, which then claims it in vain.
            if verb == .retry || verb == .release { $0.leaseUntil = .min }
        }
        if verb != .ack, verb != .extend { maySupersede(after: offset, subscription) }
    }
}
