import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// Changes the durable state by one entry, in the live path and in replay alike. Entries for
    /// what is not known (yet: a checkpoint's section will bring it) change nothing.
    func apply(_ entry: StateEntry, _ time: Now, _ effects: inout [Effect]) {
        switch entry {
        case .topicCreated(let created): apply(created)
        case .topicDeleted(let id): applyTopicDeleted(id, &effects)
        case .subscriptionCreated(let created): apply(created, &effects)
        case .subscriptionDeleted(let id, let end):
            applySubscriptionDeleted(id, releasedEnd: end, &effects)
        case .published(let published): apply(published, time)
        case .producerAdvanced(let advanced): apply(advanced, time)
        case .producerForgotten(let topic, let producer):
            forget(producer, topic)
        case .ceilingRaised(let id, let value):
            guard let subscription = directory.subscriptions[id] else { break }
            subscription.ceiling.value = max(subscription.ceiling.value, value)
            subscription.ceiling.proposed = max(subscription.ceiling.proposed, value)
            if isRunning { markDirty(subscription) }
        case .handedOut(let handed):
            guard !isRunning, let subscription = directory.subscriptions[handed.subscription]
            else { break }
            for range in handed.ranges { subscription.totals.handedOut &+= UInt64(range.count) }
        case .settled(let settled): apply(settled, time)
        case .returned(let returned): apply(returned, time)
        case .subscriptionPaused(let id, let change): apply(change, to: id, time)
        case .breakerSwitched(let id, let position): apply(position, toBreakerOf: id)
        case .atomic(let applied): apply(applied, time)
        case .keysNamed(let id, let keys): applyNamedKeys(id, keys)
        case .clock: break
        case .redriven(let redriven): apply(redriven, time)
        case .purged(let purged): apply(purged)
        case .redrivenEdited(let edited): apply(edited)
        case .died(let died): apply(died, time)
        case .subscriptionUpdated(let id, let settings): applyUpdate(id, settings)
        }
    }

    var isRunning: Bool { if case .running = mode { true } else { false } }

    // MARK: topology

    private func apply(_ created: TopicCreated) {
        directory.pendingTopics.remove(created.name)
        directory.nextTopic = max(directory.nextTopic, created.id.rawValue &+ 1)
        guard directory.topics[created.id] == nil else { return }
        directory.topics[created.id] = TopicState(created)
        directory.topicNames[created.name] = created.id
        directory.forgotten[created.name] = nil
    }

    private func applyTopicDeleted(_ id: TopicID, _ effects: inout [Effect]) {
        guard let topic = directory.topics.removeValue(forKey: id) else { return }
        precondition(topic.subscriptions.isEmpty || !isRunning, "deleted with subscriptions")
        for subscription in topic.subscriptions { remove(subscription) }
        if directory.topicNames[topic.name] == id { directory.topicNames[topic.name] = nil }
        directory.forgotten[topic.name] = ForgottenTopic(incarnation: topic.incarnation, id: id)
        if directory.forgotten.count > configuration.maximumForgottenNames,
            let oldest = directory.forgotten.min(by: { $0.value.id < $1.value.id })
        {
            directory.forgotten[oldest.key] = nil
        }
        ages.count -= topic.producers.count
        dedup.live -= topic.dedup?.liveCount ?? 0
        if isRunning { effects.append(.topicRemoved(id)) }
    }

    private func apply(_ created: SubscriptionCreated, _ effects: inout [Effect]) {
        directory.pendingSubscriptions.remove(created.name)
        directory.nextSubscription = max(directory.nextSubscription, created.id.rawValue &+ 1)
        guard let topic = directory.topics[created.topic],
            directory.subscriptions[created.id] == nil
        else { return }
        if topic.pendingSubscriptions > 0 { topic.pendingSubscriptions -= 1 }
        let subscription = SubscriptionState(created, topic: topic)
        insert(subscription, topic)
        guard isRunning, topic.subscriptions.count == 1 else { return }
        release(0..<min(created.startOffset, topic.nextOffset), of: topic, &effects)
    }

    func insert(_ subscription: SubscriptionState, _ topic: TopicState) {
        directory.subscriptions[subscription.id] = subscription
        directory.subscriptionNames[subscription.created.name] = subscription.id
        topic.insert(subscription)
    }

    private func applySubscriptionDeleted(
        _ id: SubscriptionID, releasedEnd: Offset, _ effects: inout [Effect]
    ) {
        guard let subscription = directory.subscriptions[id] else { return }
        let topic = subscription.topic
        topic.releasedEnd = max(topic.releasedEnd, releasedEnd)
        let failure = Failure.subscriptionDeleted(subscription.created.name)
        for holder in subscription.activity.connected {
            if let consumer = holder.consumer { effects.append(.consumerEnded(consumer, failure)) }
        }
        if subscription.deaths.told != nil { effects.append(.deathsHeld(id, nil)) }
        remove(subscription)
        if isRunning { releaseAll(of: topic, &effects) }
    }

    /// Takes a subscription out of every table.
    private func remove(_ subscription: SubscriptionState) {
        let id = subscription.id
        directory.subscriptions[id] = nil
        directory.deadLetters -= subscription.dead.count
        if directory.subscriptionNames[subscription.created.name] == id {
            directory.subscriptionNames[subscription.created.name] = nil
        }
        subscription.topic.subscriptions.removeAll { $0 === subscription }
        for case let holder? in subscription.leases.holders {
            if let consumer = holder.consumer { sessions.consumers[consumer] = nil }
            holder.session.holders[id] = nil
            if holder.session.apart === holder { endApart(holder.session) }
        }
        sessions.unjournaled.removeAll { $0.subscription === subscription }
        work.ceilings.removeAll { $0 === subscription }
        work.touched.removeAll { $0 === subscription }
        work.dirty.removeAll { $0 === subscription }
        if let reading = subscription.supply.reading {
            reads.subscriptions[reading.id.rawValue] = nil
        }
        subscription.activity.consumers = 0
    }

    // MARK: producers

    /// Where something of it is on its way it goes on as a new one.
    private func forget(_ id: ProducerID, _ topic: TopicID) {
        guard let topic = directory.topics[topic], let state = topic.producers[id] else { return }
        guard state.isBusy else {
            removeProducer(id, of: topic)
            return
        }
        state.reset()
        ages.heap.push(ProducerAge(lastUsed: state.lastUsed, topic: topic.id, producer: id))
    }

    private func apply(_ published: Published, _ time: Now) {
        guard let topic = directory.topics[published.topic],
            let state = durableProducer(published.producer, published.topic, time)
        else { return }
        topic.lastAppendNanos = max(topic.lastAppendNanos, published.appendTimeNanos)
        state.epoch = max(state.epoch, published.epoch)
        state.next = published.baseSequence + UInt64(published.count)
        state.remember(published, limit: configuration.sequenceRanges)
        state.tailEpoch = max(state.tailEpoch, state.epoch)
        state.tailNext = max(state.tailNext, state.next)
    }

    private func apply(_ advanced: ProducerAdvanced, _ time: Now) {
        guard let state = durableProducer(advanced.producer, advanced.topic, time) else { return }
        if state.pendingAdvances > 0 { state.pendingAdvances -= 1 }
        if state.pendingAdvances == 0 { state.pendingSkip = 0 }
        state.epoch = max(state.epoch, advanced.epoch)
        state.next = max(state.next, advanced.next ?? 0)
        state.tailEpoch = max(state.tailEpoch, state.epoch)
        state.tailNext = max(state.tailNext, state.next)
    }

    /// The producer that an entry is about, new or known; nil without its topic.
    private func durableProducer(_ id: ProducerID, _ topic: TopicID, _ time: Now) -> ProducerState?
    {
        guard let topic = directory.topics[topic] else { return nil }
        let state = topic.producers[id] ?? addProducer(id, to: topic, time)
        if state.isDurable,
            state.isExpired(at: time.clock, after: configuration.producerExpiryNanos)
        {
            state.reset()
        }
        state.isDurable = true
        state.lastUsed = max(state.lastUsed, time.clock)
        return state
    }

    /// A batch is in the log.
    func append(_ base: Offset, _ count: UInt32, _ bytes: Int, to topic: TopicState) {
        precondition(base == topic.nextOffset, "offsets are dense")
        topic.nextOffset = base + Offset(count)
        topic.marks.append(first: base, count: UInt64(count), bytes: UInt64(max(0, bytes)))
    }
}
