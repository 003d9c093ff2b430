import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// Takes an atomic request: answered at once where it was carried out before or cannot be, else
    /// when the one group that holds all of it is durable.
    func atomic(
        _ request: RequestID, _ command: AtomicCommand, _ now: Now, _ effects: inout [Effect]
    ) {
        let id = command.transaction
        let window = configuration.transactionWindowNanos
        if let known = transactions.find(id, at: now.clock, window: window) {
            let reply = Reply.atomic(published: known.published, isRepeat: true)
            effects.append(.reply(request, .success(reply)))
            return
        }
        if let item = transactions.pending[id] {
            guard item.requests.count < configuration.maximumWaitersPerBatch else {
                effects.append(.reply(request, .failure(.overloaded("repeats of one request"))))
                return
            }
            item.requests.append(request)
            return
        }
        let work = AtomicWork(id)
        do throws(Failure) {
            try check(command)
            for part in command.publishes.indices { try take(command.publishes, part, work) }
            for part in command.settlements.indices {
                try take(command.settlements, part, work, now)
            }
        } catch {
            undo(work.marks)
            effects.append(.reply(request, .failure(error)))
            return
        }
        for batch in work.batches {
            directory.topics[batch.topic]?.queuedBytes += UInt64(batch.bytes)
        }
        tail.queuedBytes += work.batchBytes
        let item = TailItem(.atomic(work), .atomic, [request])
        transactions.pending[id] = item
        tail.queue(item)
    }

    private func check(_ command: AtomicCommand) throws(Failure) {
        let parts = command.publishes.count + command.settlements.count
        guard parts > 0, parts <= Limits.atomicParts else {
            throw Failure(
                .invalidArgument, parts == 0 ? .protocolError : .tooMany,
                "an atomic request has 1 to \(Limits.atomicParts) parts, not \(parts)")
        }
        let bytes = command.publishes.reduce(0) { $0 + $1.batch.count }
        guard tail.publishes.count < configuration.maximumQueuedRequests,
            tail.queuedBytes + bytes <= configuration.maximumQueuedBytes || tail.publishes.isEmpty
        else { throw .overloaded("bytes wait for the journal") }
    }

    /// One batch: whether its topic takes it now, with what the request has for it before.
    private func take(
        _ publishes: [AtomicPublish], _ part: Int, _ work: AtomicWork
    ) throws(Failure) {
        let publish = publishes[part]
        let name = "batch \(part) of the request"
        guard let topic = directory.topic(named: publish.topic), !topic.isDeleting else {
            throw Failure.unknownTopic(publish.topic).ofPart(name)
        }
        guard publish.count > 0, publish.batch.count >= BatchWalk.firstRecord else {
            let failure = Failure(.invalidArgument, .invalidBatch, "an empty or impossible batch")
            throw failure.ofPart(name)
        }
        let before = work.batches.reduce(0) { $0 + ($1.topic == topic.id ? $1.bytes : 0) }
        if let failure = doorFailure(topic, before + publish.batch.count) {
            throw failure.ofPart(name)
        }
        work.batches.append(
            AtomicWork.Batch(
                topic: topic.id, batch: publish.batch, count: publish.count,
                bytes: publish.batch.count))
    }

    /// One verdict: every token must be good; then its messages are marked as on their way.
    private func take(
        _ settlements: [AtomicSettlement], _ part: Int, _ work: AtomicWork, _ now: Now
    ) throws(Failure) {
        let settlement = settlements[part]
        let name = "verdict \(part) of the request, on \"\(settlement.subscription)\""
        guard let subscription = directory.subscription(named: settlement.subscription),
            !subscription.activity.isDeleting
        else { throw Failure.unknownSubscription(settlement.subscription).ofPart(name) }
        guard settlement.verb != .extend else {
            let failure = Failure(
                .invalidArgument, .protocolError, "an extension is not part of a request")
            throw failure.ofPart(name)
        }
        if let failure = Self.checkRanges(settlement.ranges)
            ?? Self.keysUnknown(to: settlement.verb, settlement.ranges, subscription)
        {
            throw failure.ofPart(name)
        }
        guard let holder = sessions.byID[settlement.session]?.holders[subscription.id],
            !settlement.ranges.isEmpty
        else {
            let failure = Failure(
                .failedPrecondition, .stale, "the session holds nothing of the subscription")
            throw failure.ofPart(name)
        }
        signOfLife(holder, now)
        let found = examine(settlement.ranges, settlement.verb, holder, now)
        markUncertain(found.ranges, subscription)
        if !found.ranges.isEmpty {
            let entries = verdicts(
                found.ranges, by: holder, settlement.verb, delayNanos: settlement.delayNanos,
                reason: settlement.reason, code: settlement.code)
            work.marks += entries.map { AtomicWork.Mark(settled: $0, consumer: holder.consumer) }
        }
        if let rejection = found.rejected.first {
            throw Failure(
                .failedPrecondition, rejection.reason,
                "offset \(rejection.offset) \(Self.meaning(of: rejection.reason))"
            ).ofPart(name)
        }
        guard UInt64(found.accepted) == found.ranges.offsetCount else {
            throw Failure(
                .failedPrecondition, .alreadySettled, "some of it was acked before"
            ).ofPart(name)
        }
    }

    private static func meaning(of reason: FailureReason) -> String {
        switch reason {
        case .alreadySettled: "was given a verdict before"
        case .outOfOrder: "comes behind one of its key that has no verdict yet"
        default: "is not held by the session any more"
        }
    }

    /// A verdict of a request that may still be refused: an ack confirms no other ack of the message,
    /// and what follows of its key waits.
    private func markUncertain(_ ranges: [EntryRange], _ subscription: SubscriptionState) {
        for range in ranges {
            for offset in range.first..<range.end {
                subscription.window.slot(offset)?.pointee.flags &= ~Slot.ackInFlight
                if let order = subscription.order { laneChanged(offset, order, subscription) }
            }
        }
    }

    /// Verdicts that will not be given: their messages are held as before; where the session has
    /// gone on without them meanwhile they are handed out again.
    func undo(_ marks: [AtomicWork.Mark]) {
        for mark in marks {
            guard let subscription = directory.subscriptions[mark.settled.subscription] else {
                continue
            }
            let holder = sessions.byID[mark.settled.session]?.holders[subscription.id]
            // One that is disconnected may yet come back and claim them.
            let isSame = holder.map { $0.consumer == mark.consumer || $0.consumer == nil } ?? false
            var lost: [EntryRange] = []
            for range in mark.settled.ranges {
                for offset in range.first..<range.end {
                    guard let slot = subscription.window.slot(offset),
                        slot.pointee.state == .leased, slot.pointee.handout == range.handout
                    else { continue }
                    let group = slot.pointee.a
                    let isOvertaken = slot.pointee.has(Slot.overtaken)
                    slot.pointee.flags &= ~(Slot.inFlight | Slot.ackInFlight | Slot.overtaken)
                    if isOvertaken || !isSame
                        || !(holder?.groups.contains { $0.index == group } ?? false)
                    {
                        slot.pointee.flags |= Slot.inFlight | Slot.returning
                        lost.append(offset: offset, handout: range.handout)
                    }
                    if let order = subscription.order { laneChanged(offset, order, subscription) }
                }
            }
            let session = mark.settled.session
            proposeReturn(lost, subscription.id, session, .notClaimed)
            if let holder { supersede(after: lost, holder) }
            if let holder { setTimer(for: holder) }
        }
    }
}

extension Failure {
    /// The same, of one part of a request; the whole request fails with it.
    fileprivate func ofPart(_ name: String) -> Failure {
        var failure = self
        failure.message = "\(name): \(message)"
        return failure
    }
}
