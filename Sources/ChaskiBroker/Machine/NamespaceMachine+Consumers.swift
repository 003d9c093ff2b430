import ChaskiModel
import DequeModule

/// What `openConsumer` asks for.
struct ConsumerOpening {
    var request: RequestID
    var consumer: ConsumerID
    var session: SessionID
    var subscription: String
    var limit: ConsumerLimit
    var claims: SessionClaims
}

extension NamespaceMachine {
    func openConsumer(_ opening: ConsumerOpening, _ now: Now, _ effects: inout [Effect]) {
        guard let subscription = directory.subscription(named: opening.subscription),
            !subscription.activity.isDeleting
        else {
            let failure = Failure.unknownSubscription(opening.subscription)
            effects.append(.reply(opening.request, .failure(failure)))
            return
        }
        if let failure = check(opening) {
            effects.append(.reply(opening.request, .failure(failure)))
            return
        }
        guard let session = session(opening.session, now) else {
            let failure = Failure.tooMany("sessions", limit: configuration.maximumSessions)
            effects.append(.reply(opening.request, .failure(failure)))
            return
        }
        session.noteSeen(now.clock)
        let holder = self.holder(of: session, subscription)
        if let old = holder.consumer {
            detach(holder)
            let failure = Failure(
                .aborted, .replaced, "a newer connection of the same session took over")
            effects.append(.consumerEnded(old, failure))
        }
        holder.limit = opening.limit
        holder.graceUntil = .max
        holder.toldLeaseNanos = subscription.settings.leaseNanos
        holder.leaseFloor = now.clock.addingSaturating(holder.leaseNanos)
        let claims = opening.claims.subscription == subscription.id ? opening.claims.ranges : []
        let held = takeClaims(claims, holder, now)
        returnLeases(of: holder, cause: .notClaimed) { !$0.has(Slot.claimed) }
        clearClaims(held, subscription)
        attach(holder, opening.consumer)
        setTimer(for: holder)
        let reply = Reply.consumerOpened(
            subscription.id, epoch: epoch, leaseNanos: subscription.settings.leaseNanos, held: held)
        effects.append(.reply(opening.request, .success(reply)))
        markDirty(subscription)
    }

    private func check(_ opening: ConsumerOpening) -> Failure? {
        guard sessions.consumers[opening.consumer] == nil else {
            return Failure(.alreadyExists, .alreadyExists, "the consumer's id is in use")
        }
        guard sessions.consumers.count < configuration.maximumConsumers else {
            return .tooMany("consumers", limit: configuration.maximumConsumers)
        }
        return Self.checkRanges(opening.claims.ranges)
    }

    /// Ranges from a peer: ascending, without overlap, within bounds.
    static func checkRanges(_ ranges: [TokenRange]) -> Failure? {
        var position: Offset = 0
        var total: UInt64 = 0
        for range in ranges {
            let (end, overflow) = range.first.addingReportingOverflow(Offset(range.count))
            guard range.count > 0, !overflow, range.first >= position else {
                return Failure(
                    .invalidArgument, .protocolError,
                    "ranges must ascend, not overlap, not be empty")
            }
            position = end
            total += UInt64(range.count)
        }
        guard ranges.count <= Limits.settleRanges, total <= maximumOffsetsPerRequest else {
            return Failure(
                .invalidArgument, .tooMany,
                "\(ranges.count) ranges with \(total) offsets; at most \(Limits.settleRanges) with \(maximumOffsetsPerRequest) are taken at once"
            )
        }
        return nil
    }

    /// Offsets that one verdict or claim may name.
    static var maximumOffsetsPerRequest: UInt64 { 1_000_000 }

    /// The session, new or known; nil where too many are known.
    func session(_ id: SessionID, _ now: Now) -> SessionState? {
        if let known = sessions.byID[id] {
            known.lastSeen = max(known.lastSeen, now.clock)
            return known
        }
        if sessions.byID.count >= configuration.maximumSessions { forgetSessions(now) }
        guard sessions.byID.count < configuration.maximumSessions else { return nil }
        let session = SessionState(
            id: id, ordinal: sessions.nextOrdinal, lastSeen: now.clock)
        sessions.nextOrdinal &+= 1
        sessions.byID[id] = session
        return session
    }

    /// Forgets sessions that hold nothing and repeat nothing any more.
    func forgetSessions(_ now: Now) {
        let idle = sessions.byID.values.filter {
            $0.holders.isEmpty
                && $0.lastSeen.addingSaturating(configuration.repeatWindowNanos) <= now.clock
        }
        for session in idle { sessions.byID[session.id] = nil }
    }

    func holder(of session: SessionState, _ subscription: SubscriptionState) -> Holder {
        if let holder = session.holders[subscription.id] { return holder }
        let holder = subscription.leases.addHolder {
            Holder(session: session, subscription: subscription, index: $0)
        }
        session.holders[subscription.id] = holder
        return holder
    }

    private func attach(_ holder: Holder, _ consumer: ConsumerID) {
        precondition(holder.consumer == nil, "it has a consumer")
        holder.consumer = consumer
        holder.toldStall = nil
        holder.isSilent = false
        sessions.consumers[consumer] = holder
        holder.subscription.activity.consumers += 1
        holder.subscription.activity.connect(holder)
    }

    /// Takes the consumer off the holder; what is held stays.
    func detach(_ holder: Holder) {
        guard let consumer = holder.consumer else { return }
        let subscription = holder.subscription
        holder.consumer = nil
        sessions.consumers[consumer] = nil
        holder.isSilent = false
        subscription.activity.disconnect(holder)
        if holder.session.apart === holder, !holder.isProbing { endApart(holder.session) }
        precondition(subscription.activity.consumers > 0, "consumers are miscounted")
        subscription.activity.consumers -= 1
        if subscription.activity.consumers == 0 { subscription.supply.dropAll() }
        // Where only silent ones are left it is their turn after all.
        markDirty(subscription)
    }

    /// The holder's consumer said something.
    func signOfLife(_ holder: Holder, _ now: Now) {
        holder.session.noteSeen(now.clock)
        guard holder.isSilent else { return }
        holder.isSilent = false
        holder.subscription.activity.arrange()
        markDirty(holder.subscription)
    }

    /// Removes a holder that is not connected and holds nothing.
    func retireIfIdle(_ holder: Holder) {
        guard holder.consumer == nil, holder.messagesOut == 0 else { return }
        holder.session.holders[holder.subscription.id] = nil
        if holder.session.apart === holder { endApart(holder.session) }
        if !holder.unjournaled.isEmpty { flushHandouts(of: holder) }
        sessions.unjournaled.removeAll { $0 === holder }
        holder.subscription.leases.removeHolder(holder)
    }

    /// Writes a holder's hand-outs with the next group, as a proposal of its own.
    private func flushHandouts(of holder: Holder) {
        let handed = HandedOut(
            subscription: holder.subscription.id, session: holder.session.id,
            ranges: holder.unjournaled.sortedByOffset())
        holder.unjournaled.removeAll()
        tail.control.append(TailItem(.entry(.handedOut(handed)), .done, []))
    }

    func heartbeat(_ id: SessionID, _ now: Now) {
        guard let session = sessions.byID[id] else { return }
        session.noteSeen(now.clock)
        for holder in session.holders.values {
            let floor = now.clock.addingSaturating(holder.leaseNanos)
            holder.leaseFloor = max(holder.leaseFloor, floor)
        }
        let silent = session.holders.values.filter(\.isSilent)
        for holder in silent.sorted(by: {
            $0.subscription.id.rawValue < $1.subscription.id.rawValue
        }) { signOfLife(holder, now) }
    }

    func closeConsumer(
        _ request: RequestID, _ consumer: ConsumerID, _ now: Now, _ effects: inout [Effect]
    ) {
        guard let holder = sessions.consumers[consumer] else {
            let failure = Failure(.notFound, .unknownSession, "the consumer has ended before")
            effects.append(.reply(request, .failure(failure)))
            return
        }
        detach(holder)
        holder.graceUntil = now.clock
        let hasReturned = returnLeases(of: holder, cause: .consumerClosed) { _ in true }
        let isBusy = hasReturned || holder.messagesOut > 0
        retireIfIdle(holder)
        if isBusy {
            _ = propose(.barrier, .done, request, &effects)
        } else {
            effects.append(.reply(request, .success(.done)))
        }
    }

    func disconnected(_ consumer: ConsumerID, _ now: Now) {
        guard let holder = sessions.consumers[consumer] else { return }
        detach(holder)
        holder.graceUntil = now.clock.addingSaturating(configuration.resumeGraceNanos)
        holder.session.lastSeen = max(holder.session.lastSeen, now.clock)
        setTimer(for: holder)
        retireIfIdle(holder)
    }
}

extension [EntryRange] {
    /// Ascending, as an entry wants them; runs that continue each other become one.
    func sortedByOffset() -> [EntryRange] {
        var merged: [EntryRange] = []
        for range in sorted(by: { $0.first < $1.first }) {
            if let last = merged.last {
                // A message handed out twice since the last group: the later hand-out counts.
                if range.first < last.end { continue }
                if last.end == range.first, last.handout == range.handout,
                    last.count <= UInt32.max - range.count
                {
                    merged[merged.count - 1].count += range.count
                    continue
                }
            }
            merged.append(range)
        }
        return merged
    }
}
