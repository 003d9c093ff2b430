package import ChaskiModel
package import ChaskiWire
import DequeModule

extension ConsumerMachine {
    // MARK: Connection

    /// The stream is open.
    package mutating func connected() {
        if case .ended = phase { return }
        precondition(phase == .disconnected, "one stream at a time")
        phase = .subscribing(isSent: false)
    }

    /// The stream is gone. Leases are kept for a while; verdicts on their way will be repeated.
    package mutating func connectionLost(now: Int64) {
        switch phase {
        case .ended, .disconnected: return
        case .unsubscribing:
            // All verdicts were confirmed; the rest comes back by itself.
            finish(nil)
            return
        case .subscribing, .active: break
        }
        phase = .disconnected
        heldUntilNanos = 0
        if cutOffNanos == nil { cutOffNanos = now }
        for request in requests {
            for var item in request.items {
                item.wasSent = true
                wait(item, request.verdict)
            }
        }
        requests.removeAll()
        if stops, held.isEmpty, unconfirmed == 0 { finish(nil) }
    }

    /// The broker confirmed the subscription.
    ///
    /// - Parameters:
    ///   - id: of the subscription, which is another one when it was deleted and made again.
    ///   - held: the claimed ranges that still hold; their tokens have the new epoch now.
    ///   - epoch: of tokens from now on.
    ///   - leaseNanos: the subscription's lease.
    package mutating func subscribed(
        _ id: SubscriptionID, epoch: UInt32, leaseNanos: Int64, held ranges: [TokenRange],
        now: Int64
    ) {
        guard case .subscribing = phase else { return }
        phase = .active
        self.epoch = epoch
        self.leaseNanos = max(1_000_000, leaseNanos)
        cutOffNanos = nil
        startHeart(now: now)
        let ranges = ranges.sorted { $0.first < $1.first }
        let isAnother = subscriptionID.rawValue != 0 && id != subscriptionID
        subscriptionID = id
        renewHeld(ranges)
        for offset in entrusted.keys { entrusted[offset]?.token.epoch = epoch }
        renewEntrusted { Self.covers(ranges, $0, $1) }
        renewWaiting(ranges, mayRepeat: !isAnother)
    }

    private mutating func renewHeld(_ ranges: [TokenRange]) {
        for (offset, token) in held.sorted(by: { $0.key < $1.key }) {
            if Self.covers(ranges, offset, token.handout) {
                held[offset]?.epoch = epoch
            } else {
                held.removeValue(forKey: offset)
                lost.append(LostLease(offset: offset, handout: token.handout))
            }
        }
    }

    /// Verdicts whose lease still holds get its new token. Of the others those that were sent
    /// before are repeated as they were: the broker knows whether it took them. Not so where the
    /// subscription is another one: it would take them for verdicts on its own messages.
    private mutating func renewWaiting(_ ranges: [TokenRange], mayRepeat: Bool) {
        let acks = waitingAcks
        let others = waitingOthers
        waitingAcks = []
        waitingOthers = []
        for (verdict, items) in [(Verdict.ack, acks)] + others {
            for var item in items {
                if Self.covers(ranges, item.offset, item.handout) {
                    item.epoch = epoch
                    wait(item, verdict)
                } else if item.wasSent, mayRepeat {
                    wait(item, verdict)
                } else {
                    completions.fail(item.waiter, leaseLost(item.offset))
                }
            }
        }
    }

    /// Whether a token lies in one of `ranges`, which ascend without overlap.
    private static func covers(_ ranges: [TokenRange], _ offset: Offset, _ handout: UInt32) -> Bool
    {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = low + (high - low) / 2
            if ranges[middle].first <= offset { low = middle + 1 } else { high = middle }
        }
        return low > 0 && ranges[low - 1].contains(offset, handout: handout)
    }

    private func leaseLost(_ offset: Offset) -> Failure {
        Failure(
            .failedPrecondition, .stale,
            "the lease of \(subscription)@\(offset) is lost; the message is handed out again")
    }

    /// The subscription ended on the broker's side, or could not begin.
    package mutating func ended(_ failure: Failure?) { finish(failure) }

    // MARK: Verdicts

    /// The answer to a settle request: all of it failed, or all but `refused` is on disk.
    package mutating func answered(
        requestID: UInt64, _ failure: Failure?, refused: [SettleRefusal], now: Int64
    ) {
        guard let at = requests.firstIndex(where: { $0.requestID == requestID }) else { return }
        let request = requests.remove(at: at)
        if let failure {
            requestFailed(request, failure, now: now)
            return
        }
        guard !refused.isEmpty else {
            completions.confirmed.reserveCapacity(
                completions.confirmed.count + request.items.count)
            for item in request.items {
                if let waiter = item.waiter { completions.confirmed.append(waiter) }
            }
            return
        }
        var reasons: [Offset: FailureReason] = [:]
        for one in refused { reasons[one.offset] = one.reason }
        for item in request.items {
            if let reason = reasons[item.offset] {
                verdictRefused(item, request.verdict, reason, now: now)
            } else if let waiter = item.waiter {
                completions.confirmed.append(waiter)
            }
        }
    }

    private mutating func verdictRefused(
        _ item: SettleItem<Waiter>, _ verdict: Verdict, _ reason: FailureReason, now: Int64
    ) {
        if reason == .outOfOrder {
            cameTooEarly(item, verdict, now: now)
            return
        }
        if held[item.offset]?.handout == item.handout {
            // Only an extension leaves its delivery held.
            held.removeValue(forKey: item.offset)
        }
        lost.append(LostLease(offset: item.offset, handout: item.handout))
        guard item.waiter != nil else { return }
        let failure =
            reason == .alreadySettled
            ? Failure(
                .failedPrecondition, reason,
                "\(subscription)@\(item.offset) was settled before")
            : leaseLost(item.offset)
        completions.fail(item.waiter, item.wasSent ? failure.asIndeterminate() : failure)
    }

    /// An earlier message of its key has no verdict yet. Where that may be on its way, or nobody
    /// waits, it is sent again a little later; else the application may judge again.
    private mutating func cameTooEarly(
        _ item: SettleItem<Waiter>, _ verdict: Verdict, now: Int64
    ) {
        if !item.isAwaited || unconfirmed > 0 {
            heldUntilNanos = max(heldUntilNanos, now.advancedClamping(by: 20_000_000))
            wait(item, verdict)
            return
        }
        if held[item.offset] == nil {
            held[item.offset] = Held(handout: item.handout, epoch: item.epoch)
        }
        completions.fail(
            item.waiter,
            Failure(
                .failedPrecondition, .outOfOrder,
                "an earlier message of the key of \(subscription)@\(item.offset) has no verdict yet: give that one first"
            ))
    }

    /// Deliveries that the application will not judge: their leases are over.
    package mutating func forget(_ leases: [LostLease]) {
        for lease in leases where held[lease.offset]?.handout == lease.handout {
            held[lease.offset] = nil
        }
    }

    /// A whole request failed: repeats it where waiting helps, else gives the deliveries back to
    /// the application, which may judge again.
    private mutating func requestFailed(
        _ request: SettleRequest, _ failure: Failure, now: Int64
    ) {
        let wait = failure.retryAfterNanos ?? (failure.isIndeterminate ? 500_000_000 : nil)
        if let wait {
            heldUntilNanos = max(heldUntilNanos, now.advancedClamping(by: max(0, wait)))
            for var item in request.items {
                item.wasSent = item.wasSent || failure.isIndeterminate
                self.wait(item, request.verdict)
            }
            return
        }
        for item in request.items {
            if request.verdict.verb != .extend, held[item.offset] == nil {
                held[item.offset] = Held(handout: item.handout, epoch: item.epoch)
            }
            completions.fail(item.waiter, item.wasSent ? failure.asIndeterminate() : failure)
        }
    }

    // MARK: Outcomes

    /// The completions since the last call.
    package mutating func takeCompletions() -> SettleCompletions<Waiter> {
        var taken = SettleCompletions<Waiter>()
        swap(&taken, &completions)
        return taken
    }

    /// The leases lost since the last call: their deliveries are to be dropped or cancelled.
    package mutating func takeLost() -> [LostLease] {
        var taken: [LostLease] = []
        swap(&taken, &lost)
        return taken
    }
}
