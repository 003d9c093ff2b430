import ChaskiBroker
import ChaskiModel
import ChaskiRecords

/// An edited message on its way into the place of a dead one.
struct Edition {
    var subscription: SubscriptionID
    /// Of the dead one.
    var offset: Offset
    var message: Message
    /// The dead one was there to be taken when the broker was asked.
    var isDue: Bool
    /// The broker said no.
    var isRefused = false
    /// Where the journal has it.
    var storedBase: Offset?
}

/// Q1, Q5 of edited redrives: the edited message is stored once, and the dead one is gone in the same
/// step; or neither.
extension Oracle {
    /// Editions are known by their payloads, which are unique.
    func beginEditing(_ id: RequestID, _ edited: EditedRedrive) {
        guard case .present(let known)? = subscriptionNames[edited.subscription],
            let subscription = subscriptions[known],
            let message = try? Self.only(of: edited.batch)
        else { return begin(id, .edit(nil)) }
        if letters.editions[message.payload] != nil {
            violated("P1", "two edited messages are the same")
        }
        var isDue = edited.offset < Offset(subscription.messages.count)
        isDue =
            isDue && subscription.messages[Int(edited.offset)].state == .dead
            && letters.kept[known]?.leaving.contains(edited.offset) != true
        if isDue { letters.kept[known, default: .init()].leaving.insert(edited.offset) }
        letters.editions[message.payload] = Edition(
            subscription: known, offset: edited.offset, message: message, isDue: isDue)
        begin(id, .edit(message.payload))
    }

    private static func only(of batch: Bytes) throws(Failure) -> Message? {
        let view = try RecordBatchView(trusted: batch)
        return view.count == 1 ? try view.record(at: 0).message : nil
    }

    /// A batch that no producer sent is on disk: the publication that is made of it where it is an
    /// edited message as it has to be.
    func storedEdition(_ entry: JournalEntry, _ topic: TopicModel) -> Int? {
        guard let found = try? Self.only(of: entry.body),
            let edition = letters.editions[found.payload],
            let subscription = subscriptions[edition.subscription]
        else { return nil }
        let name = "\(subscription.name)/\(subscription.topic.name)@\(edition.offset)"
        if subscription.topic !== topic {
            violated("Q5", "the edited \(name) was stored in \(topic.name)")
        }
        if found.key != edition.message.key || !isMarked(found, edition, topic) {
            violated("P1", "the edited \(name) was stored as another message than was sent")
        }
        if edition.isRefused { violated("P3", "the edited \(name) was refused, and is stored") }
        if edition.storedBase != nil { violated("U1", "the edited \(name) is stored twice") }
        let isNew = letters.kept[edition.subscription, default: .init()]
            .replaced.insert(edition.offset).inserted
        if !edition.isDue || !isNew {
            violated("Q1", "an edited message took the place of \(name), which was not dead")
        }
        letters.editions[found.payload]?.storedBase = entry.baseOffset
        var publication = Publication(
            producer: -1, producerEpoch: 0, topic: topic.id, baseSequence: 0, count: 1,
            bytes: entry.body)
        publication.keys = [found.key]
        return register(publication)
    }

    /// It has the attributes that were sent, and says for which message it stands.
    private func isMarked(_ found: Message, _ edition: Edition, _ topic: TopicModel) -> Bool {
        let mark = DeadLetterMark.redriveOf.rawValue
        let marks = found.attributes.filter { $0.name == mark }.map(\.value)
        // A topic that was made again has its number behind its name.
        guard marks.count == 1, marks[0].hasPrefix(topic.name),
            marks[0].hasSuffix("@\(edition.offset)")
        else { return false }
        return found.attributes.filter { $0.name != mark }
            == edition.message.attributes.filter { $0.name != mark }
    }

    func editReplied(_ payload: [UInt8]?, _ result: Result<Reply, Failure>, now: Now) {
        guard let payload, let edition = letters.editions[payload],
            let subscription = subscriptions[edition.subscription]
        else { return }
        let name = "\(subscription.name)@\(edition.offset)"
        switch result {
        case .success(.redrivenEdited(let offset)):
            guard edition.storedBase == offset else {
                return violated("P2", "the edited \(name) is said to be at \(offset), and is not")
            }
            replaced(edition, subscription)
        case .success(let other):
            violated("one reply", "an edited redrive was answered with \(other)")
        case .failure(let failure) where failure.isIndeterminate:
            letters.editsInDoubt.append(payload)
        case .failure(let failure):
            if edition.storedBase != nil {
                violated("P3", "the edited \(name) is stored, and was refused: \(failure)")
            }
            letters.editions[payload]?.isRefused = true
            guard edition.isDue else { return }
            letters.kept[edition.subscription]?.leaving.remove(edition.offset)
            if failure.reason == .unknownDeadLetter, !subscription.removed,
                !mayBeExpired(edition.offset, subscription, now: now)
            {
                violated("Q5", "\(name) is dead, and could not be edited: \(failure)")
            }
        }
    }

    /// The dead message has given way.
    private func replaced(_ edition: Edition, _ subscription: SubscriptionModel) {
        noteFreed(edition.offset, subscription)
        letters.kept[edition.subscription]?.replace(edition.offset)
        subscription.withRecord(edition.offset) { $0.state = .purged }
    }

    /// After a restart: an edited message is there, and the dead one gone, or neither.
    func resolveEdits() {
        let doubts = letters.editsInDoubt
        letters.editsInDoubt = []
        for payload in doubts {
            guard let edition = letters.editions[payload], edition.isDue,
                let subscription = subscriptions[edition.subscription], !subscription.removed
            else { continue }
            letters.kept[edition.subscription]?.leaving.remove(edition.offset)
            let name = "\(subscription.name)@\(edition.offset)"
            let standing = letterStanding(subscription.name, edition.offset)
            if edition.storedBase != nil {
                if standing != .gone {
                    violated("Q1", "\(name) is \(standing), and its edited message is stored")
                }
                replaced(edition, subscription)
                tookEffect(.editedRedrive)
            } else if standing == .open {
                violated("Q5", "\(name) is open again, and was to give way to an edited message")
            } else if standing == .gone,
                subscription.messages[Int(edition.offset)].state != .purged
            {
                violated("Q1", "\(name) is gone without its edited message")
            }
        }
    }
}
