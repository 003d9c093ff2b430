import ChaskiModel
import ChaskiRecords
import DequeModule

extension NamespaceMachine {
    /// Puts all of an atomic request into the group, or nothing of it.
    func gather(
        _ item: TailItem, _ work: AtomicWork, _ flight: inout InFlightGroup,
        _ draft: inout GroupDraft, _ entries: inout [JournalEntry], _ bytes: inout Int
    ) {
        for mark in work.marks {
            let subscription = directory.subscriptions[mark.settled.subscription]
            guard let subscription, !subscription.activity.isDeleting else {
                let name = subscription?.created.name ?? "\(mark.settled.subscription.rawValue)"
                return refuse(item, work, .unknownSubscription(name))
            }
        }
        let before = draft.next
        var applied = AtomicApplied(transaction: work.transaction, published: [])
        for place in work.batches.indices {
            do throws(Failure) {
                applied.published.append(try gather(&work.batches[place], work, &draft))
            } catch {
                draft.goBack(work.gathered, next: before)
                work.gathered = []
                return refuse(item, work, error)
            }
        }
        if let failure = checkRoom(for: applied, draft) {
            draft.goBack(work.gathered, next: before)
            work.gathered = []
            return refuse(item, work, failure)
        }
        draft.transactionWeight += applied.weight
        item.entries = [.atomic(applied)]
        entries.append(item.entries[0], &bytes)
        for gathered in work.gathered {
            let stored = gathered.stored
            entries.append(
                JournalEntry(
                    kind: .batch, topic: stored.topic, baseOffset: stored.baseOffset,
                    count: stored.count, body: stored.bytes))
            bytes += stored.bytes.count + 64
        }
        for mark in work.marks {
            var settled = mark.settled
            settled.mayDie = reserveDeaths(.settled(settled), &flight)
            item.entries.append(.settled(settled))
            entries.append(.settled(settled), &bytes)
            if let keys = namedKeys(for: .settled(settled)) {
                item.entries.append(keys)
                entries.append(keys, &bytes)
            }
        }
    }

    /// One batch of it, as the next of its topic in the group.
    private func gather(
        _ batch: inout AtomicWork.Batch, _ work: AtomicWork, _ draft: inout GroupDraft
    ) throws(Failure) -> AtomicPublished {
        guard let topic = directory.topics[batch.topic] else {
            preconditionFailure("publishes to a deleted topic are dropped with it")
        }
        let base = draft.next[batch.topic] ?? topic.nextOffset
        var published = AtomicPublished(
            topic: batch.topic, baseOffset: base, count: batch.count,
            appendTimeNanos: max(draft.time.wall, topic.lastAppendNanos), duplicates: [])
        var ids: [DedupEntry] = []
        var body: Bytes? = batch.batch
        if let table = topic.dedup {
            switch judge(batch.batch, for: topic, table, base: base, &draft) {
            case .fresh(let fresh): ids = fresh
            case .partial(let duplicates, let rest, let fresh):
                published.duplicates = duplicates
                body = rest
                ids = fresh
            case .failure(let failure): throw failure
            }
            draft.add(ids, of: batch.topic)
        }
        batch.batch = []
        let stored = batch.count - UInt32(published.duplicates.count)
        draft.next[batch.topic] = base + Offset(stored)
        guard var body else { return published }
        body.setBrokerHeader(baseOffset: base, appendTime: published.appendTimeNanos)
        work.gathered.append(
            AtomicWork.Gathered(
                stored: StoredBatch(
                    topic: batch.topic, baseOffset: base, count: stored, bytes: body),
                dedupIDs: ids))
        return published
    }

    /// Why no more atomic requests can be remembered.
    private func checkRoom(for applied: AtomicApplied, _ draft: GroupDraft) -> Failure? {
        let maximum = configuration.maximumTransactionParts
        let weight = transactions.weight + draft.transactionWeight + applied.weight
        if weight <= maximum { return nil }
        let window = configuration.transactionWindowNanos
        let first = transactions.firstClock?.addingSaturating(window) ?? draft.time.clock
        if first <= draft.time.clock { tail.wantsClock = true }
        let wait = first.addingSaturating(-draft.time.clock)
        return Failure(
            .resourceExhausted, .transactionsFull,
            "the namespace remembers \(transactions.count) atomic requests and takes no more: the "
                + "oldest is forgotten when its window is over",
            retryAfterNanos: min(max(wait, 100_000_000), 60_000_000_000))
    }

    /// It will not be carried out; its requests are told when the group is durable.
    private func refuse(_ item: TailItem, _ work: AtomicWork, _ failure: Failure) {
        item.refusal = failure
        dropAtomic(work)
    }

    /// It will not be carried out.
    func fail(
        _ item: TailItem, _ work: AtomicWork, _ failure: Failure, _ effects: inout [Effect]
    ) {
        for request in item.requests { effects.append(.reply(request, .failure(failure))) }
        if item.refusal == nil { dropAtomic(work) }
    }

    private func dropAtomic(_ work: AtomicWork) {
        leaveTail(work)
        undo(work.marks)
        work.gathered = []
    }

    private func leaveTail(_ work: AtomicWork) {
        transactions.pending[work.transaction] = nil
        for batch in work.batches {
            guard let topic = directory.topics[batch.topic] else { continue }
            topic.queuedBytes -= min(topic.queuedBytes, UInt64(batch.bytes))
        }
    }

    /// It is durable: its batches are handed on.
    func appended(_ work: AtomicWork, _ time: Now) {
        leaveTail(work)
        for gathered in work.gathered {
            guard let topic = directory.topics[gathered.stored.topic] else { continue }
            append(gathered.stored, gathered.dedupIDs, to: topic, time)
        }
        work.gathered = []
    }

    /// In the live path and in replay alike; the batches and the verdicts follow by themselves.
    func apply(_ applied: AtomicApplied, _ time: Now) {
        for published in applied.published {
            guard let topic = directory.topics[published.topic] else { continue }
            topic.lastAppendNanos = max(topic.lastAppendNanos, published.appendTimeNanos)
        }
        transactions.insert(applied, clock: time.clock)
        purgeTransactions(at: time.clock)
    }

    /// Forgets atomic requests that are past their window at a time that is on disk.
    func purgeTransactions(at clock: Int64) {
        transactions.purge(at: clock, window: configuration.transactionWindowNanos)
        setTransactionTimer()
    }

    /// An idle namespace forgets too: when its newest request is past its window.
    private func setTransactionTimer() {
        guard isRunning, !transactions.hasTimer, let last = transactions.lastClock else { return }
        let at = last.addingSaturating(configuration.transactionWindowNanos)
        transactions.hasTimer = true
        timers.heap.push(Timer(at: at, kind: .transactions))
    }

    /// The newest atomic request may be past its window.
    func transactionTimerFired(_ now: Now) {
        transactions.hasTimer = false
        let window = configuration.transactionWindowNanos
        transactions.purge(at: lastDurable.clock, window: window)
        guard let last = transactions.lastClock else { return }
        if last.addingSaturating(window) > now.clock { return setTransactionTimer() }
        // Past its window, but not by a time that is on disk.
        tail.wantsClock = true
    }
}

extension GroupDraft {
    /// Takes out what a request that is refused had put in.
    fileprivate mutating func goBack(_ gathered: [AtomicWork.Gathered], next: [TopicID: Offset]) {
        self.next = next
        for one in gathered {
            for entry in one.dedupIDs { ids[one.stored.topic]?[entry.key] = nil }
            idCount -= one.dedupIDs.count
        }
    }
}
