import ChaskiModel
import DequeModule

extension NamespaceMachine {
    func publish(
        _ request: RequestID, _ command: PublishCommand, _ now: Now, _ effects: inout [Effect]
    ) {
        guard let topic = directory.topics[command.topic], !topic.isDeleting else {
            let failure = Failure.unknownTopic(command.topic)
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let sequences = command.baseSequence.addingReportingOverflow(UInt64(command.count))
        guard command.count > 0, !sequences.overflow, command.batch.count >= BatchWalk.firstRecord
        else {
            let failure = Failure(.invalidArgument, .invalidBatch, "an empty or impossible batch")
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let known = producer(command.producer, of: topic, now)
        let verdict =
            known?.judge(
                epoch: command.producerEpoch, base: command.baseSequence,
                count: UInt64(command.count))
            ?? (command.baseSequence == 0
                ? .next
                : .failure(.sequenceGap(command.baseSequence, expected: 0, wasRefused: false)))
        switch verdict {
        case .duplicate(let published):
            effects.append(.reply(request, .success(published)))
        case .inFlight(let item):
            guard item.requests.count < configuration.maximumWaitersPerBatch else {
                effects.append(.reply(request, .failure(.overloaded("repeats of one batch"))))
                return
            }
            item.requests.append(request)
        case .failure(let failure):
            effects.append(.reply(request, .failure(failure)))
        case .next:
            accept(request, command, topic, known, now, &effects)
        }
    }

    /// The batch is the next of its producer: refuses it at the door, or queues it.
    private func accept(
        _ request: RequestID, _ command: PublishCommand, _ topic: TopicState,
        _ known: ProducerState?, _ now: Now, _ effects: inout [Effect]
    ) {
        let state = known ?? addProducer(command.producer, to: topic, now)
        if let failure = doorFailure(topic, command.batch.count) {
            state.wasRefused = true
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let work = PublishWork(
            topic: topic.id, producer: command.producer, epoch: command.producerEpoch,
            baseSequence: command.baseSequence, count: command.count, batch: command.batch,
            bytes: command.batch.count)
        let item = TailItem(.publish(work), .published, [request])
        state.pending.append(item)
        state.tailEpoch = command.producerEpoch
        state.tailNext = command.baseSequence + UInt64(command.count)
        state.wasRefused = false
        topic.queuedBytes += UInt64(command.batch.count)
        tail.queuedBytes += command.batch.count
        tail.queue(item)
    }

    /// Why no message is taken at the moment, whoever sends it.
    func doorFailure(_ topic: TopicState, _ bytes: Int) -> Failure? {
        if case .refused(let failure) = publishing { return failure }
        guard
            tail.queuedBytes + bytes <= configuration.maximumQueuedBytes
                || tail.publishes.isEmpty,
            tail.publishes.count < configuration.maximumQueuedRequests
        else { return .overloaded("bytes wait for the journal") }
        guard topic.nextOffset < Offset(Int64.max) - (1 << 32) else {
            return Failure(.outOfRange, .tooMany, "topic \(topic.name) has no offsets left")
        }
        let maximum = topic.settings.maximumBytes ?? configuration.topicBytes
        let held = topic.marks.bytes
        guard held &+ topic.queuedBytes &+ UInt64(bytes) <= maximum else {
            return quotaFailure(topic, held, maximum)
        }
        return nil
    }

    private func quotaFailure(_ topic: TopicState, _ held: UInt64, _ maximum: UInt64) -> Failure {
        let pins = topic.subscriptions.min { $0.pinnedFrom < $1.pinnedFrom }
        let who =
            pins.map {
                "subscription \($0.created.name) pins most, from offset \($0.pinnedFrom) on"
            }
            ?? "it has no subscription that would free them"
        return Failure(
            .resourceExhausted, .topicFull,
            "topic \(topic.name) holds \(held) of \(maximum) bytes: \(who)",
            retryAfterNanos: 1_000_000_000)
    }

    func openProducer(
        _ request: RequestID, _ id: TopicID, _ producer: ProducerID, _ epoch: UInt32, _ now: Now,
        _ effects: inout [Effect]
    ) {
        guard let topic = directory.topics[id], !topic.isDeleting else {
            let failure = Failure.unknownTopic(id)
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let known = self.producer(producer, of: topic, now)
        let newest = known.map { max($0.epoch, $0.tailEpoch) } ?? 0
        guard epoch >= newest else {
            effects.append(.reply(request, .failure(.fenced(epoch, by: newest))))
            return
        }
        if let known, !known.isBusy, known.isDurable, known.epoch == epoch {
            effects.append(.reply(request, .success(.producerOpened(nextSequence: known.next))))
            return
        }
        // Behind what is on its way, so that the answer counts it.
        let state = known ?? addProducer(producer, to: topic, now)
        let advance = ProducerAdvanced(topic: id, producer: producer, epoch: epoch, next: nil)
        enqueue(advance, .producerOpened(id, producer), request, state, &effects)
    }

    func skipSequences(
        _ request: RequestID, _ id: TopicID, _ producer: ProducerID, _ epoch: UInt32,
        _ next: UInt64, _ now: Now, _ effects: inout [Effect]
    ) {
        guard let topic = directory.topics[id], !topic.isDeleting else {
            let failure = Failure.unknownTopic(id)
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let known = self.producer(producer, of: topic, now)
        let newest = known.map { max($0.epoch, $0.tailEpoch) } ?? 0
        let expected = known?.tailNext ?? 0
        guard epoch >= newest else {
            effects.append(.reply(request, .failure(.fenced(epoch, by: newest))))
            return
        }
        guard next >= expected else {
            let failure = Failure(
                .failedPrecondition, .sequenceOverlap,
                "sequences from \(next) on were stored or are on their way: \(expected) comes next")
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let state = known ?? addProducer(producer, to: topic, now)
        let advance = ProducerAdvanced(topic: id, producer: producer, epoch: epoch, next: next)
        guard enqueue(advance, .done, request, state, &effects) else { return }
        state.tailNext = next
        state.pendingSkip = next
        state.wasRefused = false
    }

    @discardableResult
    private func enqueue(
        _ advance: ProducerAdvanced, _ reply: PendingReply, _ request: RequestID,
        _ state: ProducerState, _ effects: inout [Effect]
    ) -> Bool {
        guard tail.publishes.count < configuration.maximumQueuedRequests else {
            effects.append(.reply(request, .failure(.overloaded("requests wait for the journal"))))
            return false
        }
        state.tailEpoch = max(state.tailEpoch, advance.epoch)
        state.pendingAdvances += 1
        tail.queue(TailItem(.advance(advance), reply, [request]))
        return true
    }

    /// What is known of a producer; what expired is not.
    private func producer(_ id: ProducerID, of topic: TopicState, _ now: Now) -> ProducerState? {
        guard let state = topic.producers[id] else { return nil }
        if !state.isBusy, state.isExpired(at: now.clock, after: configuration.producerExpiryNanos) {
            removeProducer(id, of: topic)
            return nil
        }
        return state
    }

    /// A producer that was not known; not durable yet.
    func addProducer(_ id: ProducerID, to topic: TopicState, _ now: Now) -> ProducerState {
        assert(topic.producers[id] == nil, "known already")
        let state = ProducerState(id: id, lastUsed: now.clock)
        topic.producers[id] = state
        ages.count += 1
        ages.heap.push(ProducerAge(lastUsed: now.clock, topic: topic.id, producer: id))
        return state
    }

    func removeProducer(_ id: ProducerID, of topic: TopicState) {
        guard topic.producers.removeValue(forKey: id) != nil else { return }
        precondition(ages.count > 0, "producers are miscounted")
        ages.count -= 1
    }

    /// Fails publishes that are queued (not those in flight) for topics that `match` names; the
    /// producers' other requests are answered too.
    func dropQueuedPublishes(
        _ failure: Failure, _ effects: inout [Effect], where match: (TopicID) -> Bool
    ) {
        let queued = tail.publishes
        tail.publishes.removeAll()
        for item in queued {
            switch item.work {
            case .publish(let work) where match(work.topic):
                tail.queuedBytes -= work.bytes
                fail(item, work, failure, &effects)
            case .atomic(let work) where work.batches.contains(where: { match($0.topic) }):
                tail.queuedBytes -= work.batchBytes
                fail(item, work, failure, &effects)
            case .letters(let work) where work.topic.map(match) ?? false:
                tail.queuedBytes -= work.bytes
                fail(item, work, failure, &effects)
            case .advance(let advance) where match(advance.topic):
                directory.topics[advance.topic]?.producers[advance.producer]?.pendingAdvances -= 1
                for request in item.requests { effects.append(.reply(request, .failure(failure))) }
            default: tail.publishes.append(item)
            }
        }
    }

    /// A publish of the group that is gathered will not be stored, nor what its producer sent
    /// behind it: they are told when the group is durable.
    func refuse(_ item: TailItem, _ work: PublishWork, _ failure: Failure) {
        item.refusal = failure
        guard let topic = directory.topics[work.topic] else { return }
        topic.queuedBytes -= min(topic.queuedBytes, UInt64(work.bytes))
        guard let state = topic.producers[work.producer],
            let place = state.pending.firstIndex(where: { $0 === item })
        else { return }
        for follower in state.pending.dropFirst(place + 1) {
            guard let publish = follower.publish else { continue }
            follower.refusal = .sequenceGap(
                publish.baseSequence, expected: work.baseSequence, wasRefused: true)
            topic.queuedBytes -= min(topic.queuedBytes, UInt64(publish.bytes))
        }
        state.pending.removeSubrange(place...)
        state.goBack(to: work.baseSequence)
    }

    /// A publish will never be stored: its producer goes back to what is durable.
    func fail(
        _ item: TailItem, _ work: PublishWork, _ failure: Failure, _ effects: inout [Effect]
    ) {
        for request in item.requests { effects.append(.reply(request, .failure(failure))) }
        // One refused before has left its tables.
        guard item.refusal == nil, let topic = directory.topics[work.topic] else { return }
        topic.queuedBytes -= min(topic.queuedBytes, UInt64(work.bytes))
        guard let state = topic.producers[work.producer] else { return }
        if state.pending.first === item {
            state.pending.removeFirst()
        } else {
            state.pending.removeAll { $0 === item }
        }
        state.goBack(to: max(state.next, work.baseSequence))
    }
}

extension SubscriptionState {
    /// The oldest offset that it keeps from being released.
    var pinnedFrom: Offset {
        min(window.settledBelow, nextPin(from: 0) ?? .max)
    }
}
