package import ChaskiModel
import DequeModule

/// The publishing side of one producer on one namespace, without connection, clock or tasks.
///
/// Submissions become batches with gapless sequences for each topic. What waits while batches are
/// on their way shares the next one. After a lost connection what was not answered is sent again
/// with the same sequences; after a refusal the later ones are sent again in order, and the
/// sequences given up are skipped. A publish fails as indeterminate only when it was sent and its
/// time ran out. Events come in the past tense; what to send is pulled by `nextRequest`, outcomes
/// by `takeCompletions`.
package struct ProducerMachine<Waiter: Sendable> {
    /// Replaced when a connection states others.
    package var limits: ProducerLimits
    /// Replaced when a connection states other limits.
    package var encoder: BatchEncoder
    var lanes: [ProducerLane<Waiter>] = []
    private var laneOfTopic: [String: Int] = [:]
    private var lastLane = 0
    /// Lanes that may have something to send, each at most once.
    private var listed: Deque<Int> = []
    /// The lane of each request that is on its way.
    var laneOfRequest: [UInt64: Int] = [:]
    private var nextRequestID: UInt64 = 1
    /// The lane of each alias of this connection, and the last alias given.
    var laneOfAlias: [UInt32: Int] = [:]
    private var lastAlias: UInt32 = 0
    private var isConnected = false
    private var fencedBy: Failure?
    private var completions: [PublishCompletion<Waiter>] = []

    package init(limits: ProducerLimits, encoder: BatchEncoder = BatchEncoder()) {
        self.limits = limits
        self.encoder = encoder
    }

    /// Whether anything waits or is on its way: while so, `timerFired` wants to be called.
    package var hasWork: Bool { lanes.contains { !$0.isIdle } }

    // MARK: Submissions

    /// Takes what was submitted, in order.
    package mutating func submitted(
        _ submissions: [PublishSubmission<Waiter>], now: Int64
    ) {
        for submission in submissions {
            if let fencedBy {
                complete(submission, with: fencedBy)
                continue
            }
            guard let index = lane(for: submission.topic) else {
                complete(submission, with: Self.tooManyTopics(limits.topics))
                continue
            }
            let start = submission.submittedNanos ?? now
            let deadline = start.advancedClamping(by: limits.giveUpNanos)
            lanes[index].queue.append(
                QueuedSubmission(
                    content: submission.content, bytes: submission.bytes,
                    waiter: submission.waiter, deadlineNanos: deadline))
            lanes[index].queuedBytes += submission.bytes
            list(index)
        }
    }

    private mutating func lane(for topic: String) -> Int? {
        if lastLane < lanes.count, lanes[lastLane].topic == topic { return lastLane }
        if let known = laneOfTopic[topic] {
            lastLane = known
            return known
        }
        guard lanes.count < limits.topics else { return nil }
        lanes.append(ProducerLane(topic: topic))
        lastLane = lanes.count - 1
        laneOfTopic[topic] = lastLane
        return lastLane
    }

    private static func tooManyTopics(_ limit: Int) -> Failure {
        Failure(
            .resourceExhausted, .tooMany,
            "one producer publishes to at most \(limit) topics; use another producer")
    }

    // MARK: Requests

    /// The stream is open: topics are bound again as they are needed.
    package mutating func connected() {
        isConnected = true
        for index in lanes.indices where !lanes[index].isIdle { list(index) }
    }

    /// The stream is gone, and with it what was on its way.
    package mutating func connectionLost() {
        isConnected = false
        laneOfRequest.removeAll()
        laneOfAlias.removeAll()
        lastAlias = 0
        for index in lanes.indices { lanes[index].connectionLost() }
    }

    /// What to send next; nil while there is nothing that may be sent.
    package mutating func nextRequest(now: Int64) -> ProducerRequest? {
        guard isConnected else { return nil }
        while let index = listed.first {
            if let request = request(of: index, now: now) { return request }
            listed.removeFirst()
            lanes[index].isListed = false
        }
        return nil
    }

    private mutating func request(of index: Int, now: Int64) -> ProducerRequest? {
        guard !lanes[index].isIdle, lanes[index].heldUntilNanos <= now else { return nil }
        switch lanes[index].phase {
        case .unbound:
            lanes[index].phase = .binding
            lastAlias &+= 1
            lanes[index].alias = lastAlias
            laneOfAlias[lastAlias] = index
            return .bind(alias: lanes[index].alias, topic: lanes[index].topic)
        case .binding, .draining, .skipping:
            return nil
        case .flowing:
            guard lanes[index].needsSkip else { return sendBatch(index) }
            if lanes[index].onWire == 0 { return skip(index) }
            lanes[index].phase = .draining
            return nil
        }
    }

    private mutating func skip(_ index: Int) -> ProducerRequest {
        let requestID = takeRequestID(for: index)
        lanes[index].phase = .skipping(requestID: requestID)
        let next = lanes[index].batches.first?.baseSequence ?? lanes[index].nextSequence
        return .skip(requestID: requestID, alias: lanes[index].alias, next: next)
    }

    private mutating func sendBatch(_ index: Int) -> ProducerRequest? {
        let onWire = lanes[index].onWire
        assert(onWire <= lanes[index].batches.count)
        guard onWire < limits.batchesInFlight else { return nil }
        while onWire == lanes[index].batches.count {
            guard !lanes[index].queue.isEmpty,
                onWire < limits.eagerBatches || lanes[index].holdsFullBatch(limits)
            else { return nil }
            var rejected: [RejectedMessage<Waiter>] = []
            if let batch = lanes[index].cutBatch(limits, &encoder, rejected: &rejected) {
                lanes[index].batches.append(batch)
            }
            for one in rejected {
                completions.append(
                    PublishCompletion(
                        topic: lanes[index].topic, waiters: [one.waiter], messages: 1,
                        bytes: one.bytes, outcome: .failure(one.failure)))
            }
        }
        let requestID = takeRequestID(for: index)
        lanes[index].batches[onWire].requestID = requestID
        lanes[index].onWire = onWire + 1
        let batch = lanes[index].batches[onWire]
        return .batch(
            requestID: requestID, alias: lanes[index].alias, baseSequence: batch.baseSequence,
            bytes: batch.bytes)
    }

    private mutating func takeRequestID(for index: Int) -> UInt64 {
        let requestID = nextRequestID
        nextRequestID &+= 1
        laneOfRequest[requestID] = index
        return requestID
    }

    /// Puts a lane among those that may have something to send.
    mutating func list(_ index: Int) {
        guard !lanes[index].isListed else { return }
        lanes[index].isListed = true
        listed.append(index)
    }

    // MARK: Outcomes

    /// The outcomes since the last call, in the order in which they became known.
    package mutating func takeCompletions() -> [PublishCompletion<Waiter>] {
        guard !completions.isEmpty else { return [] }
        var taken: [PublishCompletion<Waiter>] = []
        swap(&taken, &completions)
        return taken
    }

    private mutating func complete(_ submission: PublishSubmission<Waiter>, with failure: Failure) {
        completions.append(
            PublishCompletion(
                topic: submission.topic, waiters: [submission.waiter], messages: 1,
                bytes: submission.bytes, outcome: .failure(failure)))
    }

    mutating func complete(
        _ batch: SequencedBatch<Waiter>, of index: Int, _ outcome: Result<StoredAt, Failure>
    ) {
        guard !batch.waiters.isEmpty else { return }
        completions.append(
            PublishCompletion(
                topic: lanes[index].topic, waiters: batch.waiters, messages: batch.count,
                bytes: batch.submittedBytes, outcome: outcome))
    }

    mutating func complete(
        _ queued: some Sequence<QueuedSubmission<Waiter>>, of index: Int, with failure: Failure
    ) {
        var waiters: [Waiter] = []
        var bytes = 0
        for item in queued {
            waiters.append(item.waiter)
            bytes += item.bytes
        }
        guard !waiters.isEmpty else { return }
        completions.append(
            PublishCompletion(
                topic: lanes[index].topic, waiters: waiters, messages: waiters.count,
                bytes: bytes, outcome: .failure(failure)))
    }

    /// Nothing can be published any more: what waits fails, and so does what comes.
    package mutating func ended(_ failure: Failure) {
        fencedBy = failure
        for index in lanes.indices { failAll(of: index, with: failure) }
        laneOfRequest.removeAll()
    }

    /// Fails all that waits or was on its way; what is submitted later is tried again.
    package mutating func failAll(with failure: Failure) {
        for index in lanes.indices { failAll(of: index, with: failure) }
    }

    /// Fails all that a topic has; what may be stored fails as indeterminate.
    mutating func failAll(of index: Int, with failure: Failure) {
        for batch in lanes[index].batches {
            let unknown = batch.mayBeStored || batch.requestID != 0
            complete(batch, of: index, .failure(unknown ? failure.asIndeterminate() : failure))
        }
        complete(lanes[index].queue, of: index, with: failure)
        if !lanes[index].batches.isEmpty { lanes[index].needsSkip = true }
        lanes[index].batches.removeAll()
        lanes[index].queue.removeAll()
        lanes[index].queuedBytes = 0
        lanes[index].onWire = 0
    }
}
