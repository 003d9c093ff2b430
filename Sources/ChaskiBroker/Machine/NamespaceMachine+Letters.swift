package import ChaskiModel
import ChaskiRecords
import DequeModule

// A change of dead or dying messages and the batch made of them, as one item of the tail.
extension NamespaceMachine {
    /// Gives a dead letter up for an edited message, which is appended to its topic in the same
    /// group.
    func redriveEdited(
        _ request: RequestID, _ edited: EditedRedrive, _ effects: inout [Effect]
    ) {
        do throws(Failure) {
            guard let subscription = directory.subscription(named: edited.subscription),
                !subscription.activity.isDeleting
            else { throw .unknownSubscription(edited.subscription) }
            guard let record = subscription.dead[edited.offset], !record.isLeaving else {
                throw .unknownDeadLetter(edited.offset, edited.subscription)
            }
            let topic = subscription.topic
            let batch = try Self.marked(edited, topic)
            if let failure = doorFailure(topic, batch.count) { throw failure }
            let note = StateEncoding.cut(edited.note, StateEncoding.reasonBytes)
            subscription.dead.mark(edited.offset, isLeaving: true)
            let work = LetterWork(
                subscription.id, .edit(edited.offset, note: note), (topic.id, batch, 1))
            enqueue(TailItem(.letters(work), .redriveEdited, [request]), work)
        } catch {
            effects.append(.reply(request, .failure(error)))
        }
    }

    /// The message of an edit, which says of which it is the edited copy.
    private static func marked(
        _ edited: EditedRedrive, _ topic: TopicState
    ) throws(Failure) -> Bytes {
        let view = try RecordBatchView(trusted: edited.batch)
        guard view.count == 1 else {
            throw Failure(
                .invalidArgument, .invalidBatch, "one message takes the place of a dead one")
        }
        var message = try view.record(at: 0).message
        guard message.dedupID == nil else {
            throw Failure(
                .invalidArgument, .invalidBatch,
                "an edited message has no dedup id: it stands for the dead one")
        }
        message.attributes.removeAll { $0.name == DeadLetterMark.redriveOf.rawValue }
        message.attributes.append(
            Attribute(DeadLetterMark.redriveOf.rawValue, topic.printed(edited.offset)))
        var builder = RecordBatchBuilder(limits: .maximum)
        try builder.append(message: message)
        return builder.finish()[...]
    }

    func enqueue(_ item: TailItem, _ work: LetterWork) {
        if let topic = work.topic {
            directory.topics[topic]?.queuedBytes += UInt64(work.bytes)
        }
        tail.queuedBytes += work.bytes
        tail.queue(item)
    }

    /// Puts it into the group, or nothing of it.
    func gather(
        _ item: TailItem, _ work: LetterWork, _ flight: inout InFlightGroup,
        _ draft: inout GroupDraft, _ entries: inout [JournalEntry], _ bytes: inout Int
    ) {
        guard let subscription = directory.subscriptions[work.subscription],
            !subscription.activity.isDeleting
        else { return refuse(item, work, .unknownSubscription("\(work.subscription.rawValue)")) }
        if case .deaths(let dying) = work.purpose,
            !reserveDeaths(UInt64(dying.count), of: subscription, &flight)
        {
            return refuse(
                item, work,
                .deadStoreFull(
                    subscription.dead.count, Int(subscription.settings.deadLetters.maximum)))
        }
        var appended: AppendedCopies?
        if let id = work.topic, let topic = directory.topics[id] {
            let base = draft.next[id] ?? topic.nextOffset
            let copies = AppendedCopies(
                topic: id, baseOffset: base,
                appendTimeNanos: max(draft.time.wall, topic.lastAppendNanos))
            var body = work.takeBatch()
            body.setBrokerHeader(baseOffset: base, appendTime: copies.appendTimeNanos)
            draft.next[id] = base + Offset(work.count)
            work.stored = StoredBatch(topic: id, baseOffset: base, count: work.count, bytes: body)
            appended = copies
        }
        switch work.purpose {
        case .deaths(let dying):
            var died = Died(subscription: work.subscription, ranges: [], forwarded: appended)
            for message in dying { died.ranges.append(offset: message.offset) }
            item.entries = [.died(died)]
        case .edit(let offset, let note):
            guard let appended else { preconditionFailure("an edited message has a batch") }
            item.entries = [
                .redrivenEdited(
                    RedrivenEdited(
                        subscription: work.subscription, offset: offset, note: note,
                        appended: appended))
            ]
        }
        entries.append(item.entries[0], &bytes)
        guard let stored = work.stored else { return }
        entries.append(
            JournalEntry(
                kind: .batch, topic: stored.topic, baseOffset: stored.baseOffset,
                count: stored.count, body: stored.bytes))
        bytes += stored.bytes.count + 64
    }

    /// It will not be carried out: whoever asked is told when the group is durable.
    private func refuse(_ item: TailItem, _ work: LetterWork, _ failure: Failure) {
        item.refusal = failure
        ended(work, failure)
    }

    /// It will not be carried out.
    func fail(
        _ item: TailItem, _ work: LetterWork, _ failure: Failure, _ effects: inout [Effect]
    ) {
        for request in item.requests { effects.append(.reply(request, .failure(failure))) }
        if item.refusal == nil { ended(work, failure) }
    }

    /// It is durable: its batch is handed on.
    func appended(_ work: LetterWork, _ time: Now) {
        ended(work, nil)
        guard let stored = work.stored, let topic = directory.topics[stored.topic] else { return }
        append(stored, [], to: topic, time)
    }

    private func ended(_ work: LetterWork, _ failure: Failure?) {
        if let id = work.topic, let topic = directory.topics[id] {
            topic.queuedBytes -= min(topic.queuedBytes, UInt64(work.bytes))
        }
        switch work.purpose {
        case .deaths(let dying): deathsEnded(dying, of: work, failure)
        case .edit(let offset, _):
            guard failure != nil else { return }
            directory.subscriptions[work.subscription]?.dead.mark(offset, isLeaving: false)
        }
    }

    // MARK: Effects of entries

    /// The batch that follows is in the log at this time.
    func note(appended: AppendedCopies) {
        guard let topic = directory.topics[appended.topic] else { return }
        topic.lastAppendNanos = max(topic.lastAppendNanos, appended.appendTimeNanos)
    }

    func apply(_ edited: RedrivenEdited) {
        note(appended: edited.appended)
        guard let subscription = directory.subscriptions[edited.subscription] else { return }
        subscription.totals.redriven &+= 1
        guard removeLetter(edited.offset, subscription) != nil else { return }
        subscription.window.noteCleaned(edited.offset)
        freeKey(edited.offset, subscription)
        work.touched.append(subscription)
        if isRunning { setDeadTimer(subscription) }
    }
}

extension Failure {
    /// The offset is no dead letter: `unknown-dead-letter`.
    package static func unknownDeadLetter(_ offset: Offset, _ subscription: String) -> Failure {
        Failure(
            .notFound, .unknownDeadLetter,
            "offset \(offset) is no dead letter of subscription \"\(subscription)\"")
    }
}
