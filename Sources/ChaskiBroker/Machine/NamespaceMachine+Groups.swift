package import ChaskiModel
import ChaskiRecords
import DequeModule

extension NamespaceMachine {
    /// Whether `takeGroup` would return a group (at this time or a later one).
    package var wantsGroup: Bool {
        guard case .running = mode, tail.inFlight == nil else { return false }
        return tail.wantsClock || !tail.control.isEmpty || !tail.publishes.isEmpty
            || checkpoint != nil || !work.ceilings.isEmpty
    }

    /// Gathers what waits, at most about `maximumBytes` and at least one entry; nil when nothing
    /// waits or a group is in flight. Everything but publishes goes first, and none of these before
    /// what was queued ahead of it; where that left no room for any, the next group has the first.
    package func takeGroup(maximumBytes: Int, now: Now) -> JournalGroup? {
        guard wantsGroup, now.clock >= tail.holdUntil else { return nil }
        let time = Now(clock: max(now.clock, lastDurable.clock), wall: now.wall)
        var flight = InFlightGroup(time: time)
        var entries: [JournalEntry] = []
        var bytes = 0
        var begins: UInt64?
        if let cycle = checkpoint {
            if !cycle.hasBegun { begins = cycle.number }
            // The rest of the group is for what clients wait for.
            appendSections(&entries, &bytes, &flight, maximumBytes: maximumBytes / 2)
        }
        gatherExtras(&flight)
        for extra in flight.extras { entries.append(extra, &bytes) }
        gatherControl(&flight, &entries, &bytes, maximumBytes)
        gatherPublishes(&flight, &entries, &bytes, maximumBytes)
        if entries.isEmpty, !flight.items.isEmpty || tail.wantsClock {
            // Answers that wait, or a time that must be durable.
            flight.extras.append(.clock)
            entries.append(StateEntry.clock, &bytes)
        }
        tail.wantsClock = false
        guard !entries.isEmpty else { return nil }
        let ends = flight.endsCheckpoint ? checkpoint?.number : nil
        tail.inFlight = flight
        return JournalGroup(
            entries: entries, time: time, beginsCheckpoint: begins, endsCheckpoint: ends)
    }

    /// Ceilings that are to rise, and hand-outs for the history.
    private func gatherExtras(_ flight: inout InFlightGroup) {
        for subscription in work.ceilings {
            subscription.activity.wantsCeiling = false
            guard !subscription.activity.isDeleting,
                subscription.ceiling.proposed > subscription.ceiling.value
            else { continue }
            let raised = StateEntry.ceilingRaised(subscription.id, subscription.ceiling.proposed)
            flight.extras.append(raised)
        }
        work.ceilings.removeAll()
        for holder in sessions.unjournaled where !holder.unjournaled.isEmpty {
            let handed = HandedOut(
                subscription: holder.subscription.id, session: holder.session.id,
                ranges: holder.unjournaled.sortedByOffset())
            holder.unjournaled.removeAll(keepingCapacity: true)
            flight.extras.append(.handedOut(handed))
        }
        sessions.unjournaled.removeAll(keepingCapacity: true)
        tail.handoutsDueAt = nil
    }

    private func gatherControl(
        _ flight: inout InFlightGroup, _ entries: inout [JournalEntry], _ bytes: inout Int,
        _ maximumBytes: Int
    ) {
        var mayRelease = false
        let last = tail.publishesWaited ? tail.publishes.first?.behind : nil
        while bytes < maximumBytes, tail.controlTaken < last ?? .max, let item = tail.control.first
        {
            // Where subscriptions begin and what they leave behind is written down: nothing of the
            // same group may give up messages before.
            if mayRelease, item.work.dependsOnReleased { break }
            tail.control.removeFirst()
            tail.controlTaken += 1
            flight.controlCount += 1
            mayRelease = mayRelease || self.mayRelease(item.work)
            switch item.work {
            case .entry(.settled(var settled)):
                // Whether they may die is decided here, in order, and written down.
                settled.mayDie = reserveDeaths(.settled(settled), &flight)
                item.entries = [.settled(settled)]
                if let keys = namedKeys(for: .settled(settled)) { item.entries.append(keys) }
            case .entry(.returned(var returned)):
                returned.mayDie = reserveDeaths(.returned(returned), &flight)
                item.entries = [.returned(returned)]
                if let keys = namedKeys(for: .returned(returned)) { item.entries.append(keys) }
            case .entry(let entry): item.entries = [entry]
            case .createSubscription(var created):
                created.startOffset = resolveStart(created)
                item.entries = [.subscriptionCreated(created)]
            case .deleteSubscription(let id):
                let end = directory.subscriptions[id]?.topic.releasedEnd ?? 0
                item.entries = [.subscriptionDeleted(id, releasedEnd: end)]
            case .barrier: item.entries = []
            case .publish, .atomic, .letters, .advance:
                preconditionFailure("belongs among the publishes")
            }
            for entry in item.entries { entries.append(entry, &bytes) }
            flight.items.append(item)
        }
    }

    /// Whether it may give up messages when it is durable. What a topic's subscriptions need,
    /// another one needs no less.
    private func mayRelease(_ work: TailWork) -> Bool {
        guard case .createSubscription(let created) = work else { return work.mayRelease }
        return directory.topics[created.topic]?.subscriptions.isEmpty ?? true
    }

    /// Whether the dead stores have room for all that an entry may kill, whatever else the group
    /// kills before.
    func reserveDeaths(_ entry: StateEntry, _ flight: inout InFlightGroup) -> Bool {
        guard let mortal = entry.mortal,
            let subscription = directory.subscriptions[mortal.subscription]
        else { return true }
        return reserveDeaths(mortal.ranges.offsetCount, of: subscription, &flight)
    }

    /// The same for so many messages of a subscription.
    func reserveDeaths(
        _ count: UInt64, of subscription: SubscriptionState, _ flight: inout InFlightGroup
    ) -> Bool {
        let own = UInt64(subscription.dead.count) + flight.deaths[subscription.id, default: 0]
        let all = UInt64(directory.deadLetters) + flight.allDeaths
        guard own + count <= UInt64(subscription.settings.deadLetters.maximum),
            all + count <= UInt64(configuration.maximumDeadLetters)
        else { return false }
        flight.deaths[subscription.id, default: 0] += count
        flight.allDeaths += count
        return true
    }

    private func resolveStart(_ created: SubscriptionCreated) -> Offset {
        guard let topic = directory.topics[created.topic] else { return 0 }
        switch created.settings.start {
        case .earliest: return topic.releasedEnd
        case .latest: return topic.nextOffset
        case .offset(let offset): return max(offset, topic.releasedEnd)
        }
    }

    private func gatherPublishes(
        _ flight: inout InFlightGroup, _ entries: inout [JournalEntry], _ bytes: inout Int,
        _ maximumBytes: Int
    ) {
        var draft = GroupDraft(time: flight.time)
        var added = 0
        var hasTurn = tail.publishesWaited
        tail.publishesWaited = !tail.publishes.isEmpty
        while let item = tail.publishes.first, item.behind <= tail.controlTaken,
            hasTurn || entries.isEmpty || bytes + item.bytes <= maximumBytes
        {
            hasTurn = false
            tail.publishesWaited = false
            tail.publishes.removeFirst()
            flight.items.append(item)
            switch item.work {
            case .publish:
                guard let (work, batch) = item.takeBatch() else { continue }
                tail.queuedBytes -= work.bytes
                if item.refusal != nil { continue }
                added += makeRoomForProducer(work, added, &flight, &entries, &bytes)
                gather(item, work, batch, &draft, &entries, &bytes)
            case .atomic(let work):
                tail.queuedBytes -= work.batchBytes
                gather(item, work, &flight, &draft, &entries, &bytes)
            case .letters(let work):
                tail.queuedBytes -= work.bytes
                gather(item, work, &flight, &draft, &entries, &bytes)
            case .advance(let advance):
                item.entries = [.producerAdvanced(advance)]
                entries.append(item.entries[0], &bytes)
            case .barrier: break
            case .entry, .createSubscription, .deleteSubscription:
                preconditionFailure("belongs among the others")
            }
        }
    }

    private func gather(
        _ item: TailItem, _ work: PublishWork, _ batch: consuming Bytes,
        _ draft: inout GroupDraft, _ entries: inout [JournalEntry], _ bytes: inout Int
    ) {
        guard let topic = directory.topics[work.topic] else {
            preconditionFailure("publishes to a deleted topic are dropped with it")
        }
        let base = draft.next[work.topic] ?? topic.nextOffset
        var published = Published(
            topic: work.topic, producer: work.producer, epoch: work.epoch,
            baseSequence: work.baseSequence, count: work.count, baseOffset: base,
            appendTimeNanos: max(draft.time.wall, topic.lastAppendNanos))
        var body: Bytes? = consume batch
        if let table = topic.dedup, let whole = body {
            switch judge(whole, for: topic, table, base: base, &draft) {
            case .fresh(let ids): item.dedupIDs = ids
            case .partial(let duplicates, let rest, let ids):
                published.duplicates = duplicates
                body = rest
                item.dedupIDs = ids
            case .failure(let failure):
                refuse(item, work, failure)
                return
            }
            draft.add(item.dedupIDs, of: work.topic)
        }
        draft.next[work.topic] = base + Offset(published.storedCount)
        item.entries = [.published(published)]
        entries.append(item.entries[0], &bytes)
        guard var body else { return }
        body.setBrokerHeader(baseOffset: base, appendTime: published.appendTimeNanos)
        let count = published.storedCount
        item.stored = StoredBatch(topic: work.topic, baseOffset: base, count: count, bytes: body)
        entries.append(
            JournalEntry(
                kind: .batch, topic: work.topic, baseOffset: base, count: count, body: body))
        bytes += body.count + 64
    }

    /// Before a producer that is not durable yet: where the table is full, the oldest idle one is
    /// forgotten. Answers 1 when one was.
    private func makeRoomForProducer(
        _ work: PublishWork, _ added: Int, _ flight: inout InFlightGroup,
        _ entries: inout [JournalEntry], _ bytes: inout Int
    ) -> Int {
        guard ages.count - added > configuration.maximumProducers,
            let victim = oldestIdleProducer(except: work.producer)
        else { return 0 }
        let forgotten = StateEntry.producerForgotten(victim.topic, victim.producer)
        entries.append(forgotten, &bytes)
        flight.extras.append(forgotten)
        return 1
    }

    private func oldestIdleProducer(except newest: ProducerID) -> ProducerAge? {
        var passed: [ProducerAge] = []
        defer { for age in passed { ages.heap.push(age) } }
        while passed.count < 64, let age = ages.heap.pop() {
            guard let state = directory.topics[age.topic]?.producers[age.producer] else { continue }
            if state.lastUsed != age.lastUsed {
                ages.heap.push(
                    ProducerAge(
                        lastUsed: state.lastUsed, topic: age.topic, producer: age.producer))
                continue
            }
            if state.isBusy || age.producer == newest {
                passed.append(age)
                continue
            }
            return age
        }
        return nil
    }
}

extension StateEntry {
    /// The messages that it may kill; nil where none.
    var mortal: (subscription: SubscriptionID, ranges: [EntryRange])? {
        switch self {
        case .settled(let settled) where settled.verb == .retry || settled.verb == .fail:
            (settled.subscription, settled.ranges)
        case .returned(let returned) where returned.together == 1:
            (returned.subscription, returned.ranges)
        default: nil
        }
    }
}

extension [EntryRange] {
    /// Offsets in them.
    var offsetCount: UInt64 { reduce(0) { $0 + UInt64($1.count) } }
}

extension [JournalEntry] {
    mutating func append(_ entry: StateEntry, _ bytes: inout Int) {
        let body = entry.encoded()
        bytes += body.count + 32
        append(JournalEntry(kind: .state, body: body[...]))
    }
}
