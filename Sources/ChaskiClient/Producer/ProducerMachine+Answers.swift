package import ChaskiModel
import DequeModule

extension ProducerMachine {
    // MARK: Binding

    /// A topic is bound, or cannot be.
    package mutating func bound(
        alias: UInt32, _ result: Result<BoundTopic, Failure>, now: Int64
    ) {
        guard let index = laneOfAlias[alias], case .binding = lanes[index].phase else { return }
        switch result {
        case .success(let topic):
            lanes[index].phase = .flowing
            if lanes[index].topicID == nil {
                lanes[index].topicID = topic.topicID
                lanes[index].renumber(from: topic.nextSequence)
            } else if lanes[index].topicID == topic.topicID {
                resumed(index, expected: topic.nextSequence)
            } else {
                lanes[index].topicID = topic.topicID
                giveUpUnknown(
                    index, because: "the topic was deleted and created again meanwhile")
                lanes[index].renumber(from: topic.nextSequence)
            }
        case .failure(let failure):
            unbind(index)
            if failure.reason == .fenced {
                ended(failure)
            } else if let wait = failure.retryAfterNanos {
                lanes[index].heldUntilNanos = now.advancedClamping(by: max(0, wait))
            } else {
                failAll(of: index, with: failure)
            }
        }
        list(index)
    }

    /// The producer came back to a topic where the broker expects `expected` next.
    private mutating func resumed(_ index: Int, expected: UInt64) {
        if expected < lanes[index].storedBelow {
            // It forgot what it had confirmed: it cannot tell either what else it holds.
            giveUpUnknown(index, because: "the broker no longer knows this producer's sequences")
            lanes[index].needsSkip = true
            return
        }
        if lanes[index].batches.isEmpty {
            lanes[index].nextSequence = max(lanes[index].nextSequence, expected)
        }
        let next = lanes[index].batches.first?.baseSequence ?? lanes[index].nextSequence
        lanes[index].needsSkip = expected < next
    }

    /// Fails the batches of a topic that may or may not be stored, and forgets them.
    private mutating func giveUpUnknown(_ index: Int, because cause: String) {
        let failure = Failure(.unavailable, .indeterminate, "the outcome is unknown: \(cause)")
        for batch in lanes[index].batches where batch.mayBeStored {
            complete(batch, of: index, .failure(failure))
        }
        lanes[index].batches.removeAll { $0.mayBeStored }
    }

    // MARK: Results

    /// The answer to a batch or to a skip.
    package mutating func answered(
        requestID: UInt64, _ result: Result<StoredAt, Failure>, now: Int64
    ) {
        guard let index = laneOfRequest.removeValue(forKey: requestID) else { return }
        if case .skipping(requestID) = lanes[index].phase {
            skipAnswered(index, result, now: now)
        } else if let at = lanes[index].batches.firstIndex(where: { $0.requestID == requestID }) {
            batchAnswered(index, at, result, now: now)
        }
        list(index)
    }

    private mutating func skipAnswered(
        _ index: Int, _ result: Result<StoredAt, Failure>, now: Int64
    ) {
        lanes[index].phase = .flowing
        switch result {
        case .success:
            lanes[index].needsSkip = false
        case .failure(let failure) where failure.reason == .sequenceOverlap:
            // The broker is further than the gap: what comes next it has, or waits for.
            lanes[index].needsSkip = false
        case .failure(let failure) where failure.reason == .unknownTopic:
            unbind(index)
        case .failure(let failure) where failure.reason == .fenced:
            ended(failure)
        case .failure(let failure):
            let wait = failure.retryAfterNanos ?? Self.retryNanos
            lanes[index].heldUntilNanos = now.advancedClamping(by: max(0, wait))
        }
    }

    /// How long to wait with what the broker did not judge for good and stated no time for.
    private static var retryNanos: Int64 { 500_000_000 }

    private mutating func batchAnswered(
        _ index: Int, _ at: Int, _ result: Result<StoredAt, Failure>, now: Int64
    ) {
        precondition(lanes[index].onWire > 0, "an answer is to something on its way")
        lanes[index].onWire -= 1
        lanes[index].batches[at].requestID = 0
        switch result {
        case .success(let stored):
            let batch = lanes[index].batches.remove(at: at)
            lanes[index].storedBelow = max(lanes[index].storedBelow, batch.endSequence)
            complete(batch, of: index, .success(stored))
        case .failure(let failure):
            lanes[index].phase = .draining
            batchRefused(index, at, failure, now: now)
        }
        guard case .draining = lanes[index].phase, lanes[index].onWire == 0 else { return }
        // All later ones were answered too: go on, in order.
        lanes[index].dropAbandoned()
        lanes[index].phase = .flowing
        if lanes[index].needsBinding { unbind(index) }
    }

    /// The topic behind the alias is gone: perhaps there is another of its name.
    private mutating func unbind(_ index: Int) {
        laneOfAlias[lanes[index].alias] = nil
        lanes[index].needsBinding = false
        lanes[index].phase = .unbound
    }

    private mutating func batchRefused(
        _ index: Int, _ at: Int, _ failure: Failure, now: Int64
    ) {
        switch failure.reason {
        case .fenced:
            ended(failure)
        case .afterRefused, .sequenceGap:
            // Not stored this time, through no fault of its own. Where it is the head and nothing
            // before it was refused, the broker waits for sequences that were given up.
            if at == 0, !lanes[index].needsSkip {
                lanes[index].needsSkip = true
                hold(index, for: Self.afterGapNanos, now: now)
            }
        case .indeterminate:
            lanes[index].batches[at].mayBeStored = true
            hold(index, for: failure.retryAfterNanos ?? Self.retryNanos, now: now)
        default:
            if failure.reason == .unknownTopic { lanes[index].needsBinding = true }
            // One message of it has another's id: the others go on without it.
            if failure.reason == .dedupConflict, lanes[index].split(at, &encoder) { break }
            judge(index, at, failure, now: now)
        }
    }

    /// Keeps a broker that goes on answering with gaps from being asked in a tight loop.
    private static var afterGapNanos: Int64 { 5_000_000 }

    /// A refusal of its own: repeats it where waiting helps and there is time, else hands it to
    /// the caller.
    private mutating func judge(_ index: Int, _ at: Int, _ failure: Failure, now: Int64) {
        let batch = lanes[index].batches[at]
        let first = batch.firstRefusedNanos ?? now
        lanes[index].batches[at].firstRefusedNanos = first
        if let wait = failure.retryAfterNanos, !batch.waiters.isEmpty {
            let again = now.advancedClamping(by: max(0, wait))
            let end = min(
                first.advancedClamping(by: limits.retryRefusalsNanos), batch.deadlineNanos)
            if again <= end {
                hold(index, for: wait, now: now)
                return
            }
        }
        lanes[index].batches.remove(at: at)
        lanes[index].needsSkip = true
        complete(
            batch, of: index,
            .failure(batch.mayBeStored ? failure.asIndeterminate() : failure))
    }

    private mutating func hold(_ index: Int, for nanos: Int64, now: Int64) {
        let until = now.advancedClamping(by: max(0, nanos))
        lanes[index].heldUntilNanos = max(lanes[index].heldUntilNanos, until)
    }

    // MARK: Time

    /// Gives up what waited too long and lets go on what was held; to be called a few times a
    /// second while there is work.
    package mutating func timerFired(now: Int64) {
        for index in lanes.indices where !lanes[index].isIdle {
            giveUpQueued(index, now: now)
            giveUpBatches(index, now: now)
            if lanes[index].heldUntilNanos <= now { list(index) }
        }
    }

    private mutating func giveUpQueued(_ index: Int, now: Int64) {
        var expired: [QueuedSubmission<Waiter>] = []
        while let first = lanes[index].queue.first, first.deadlineNanos <= now {
            lanes[index].queue.removeFirst()
            lanes[index].queuedBytes -= first.bytes
            expired.append(first)
        }
        complete(expired, of: index, with: Self.notSent)
    }

    private mutating func giveUpBatches(_ index: Int, now: Int64) {
        for at in lanes[index].batches.indices {
            let batch = lanes[index].batches[at]
            guard batch.deadlineNanos <= now, !batch.waiters.isEmpty else { continue }
            let unknown = batch.mayBeStored || batch.requestID != 0
            complete(batch, of: index, .failure(unknown ? Self.noAnswer : Self.notSent))
            lanes[index].batches[at].waiters = []
        }
        lanes[index].dropAbandoned()
    }

    private static var notSent: Failure {
        Failure(
            .unavailable, .unreachable,
            "the message could not be sent in time: no connection, or the broker refused it so long"
        )
    }

    private static var noAnswer: Failure {
        Failure(
            .unavailable, .indeterminate,
            "no answer came in time; the message may or may not be stored")
    }
}
