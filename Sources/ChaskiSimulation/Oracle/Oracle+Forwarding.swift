import ChaskiBroker
import ChaskiModel
import ChaskiRecords

/// What a forwarded copy says of the death that it is of.
struct ForwardedCopy {
    var cause: String
    var failed: String
}

/// Q1 of forwarding: a message that dies has its copy in the target topic, once, in the same step;
/// and none that does not die.
extension Oracle {
    /// A batch of copies is on disk for good.
    func storedCopies(_ entry: JournalEntry, _ topic: TopicModel) {
        let view: RecordBatchView
        do throws(Failure) {
            view = try RecordBatchView(trusted: entry.body)
        } catch {
            return violated("P8", "a batch of \(topic.name) is damaged: \(error.message)")
        }
        if view.count != Int(entry.count) {
            violated("P5", "\(topic.name)@\(entry.baseOffset) has another count than its entry")
        }
        var publication = Publication(
            producer: -1, producerEpoch: 0, topic: topic.id, baseSequence: 0, count: entry.count,
            bytes: entry.body)
        var payloads = view.payloads()
        for place in 0..<view.count {
            guard let record = try? view.record(at: place, payloads: &payloads) else {
                return violated("P1", "\(topic.name)@\(entry.baseOffset): a payload is damaged")
            }
            publication.keys.append(record.message.key)
            copyStored(record.message, at: entry.baseOffset + Offset(place), topic)
        }
        tookEffect(.forwarding)
        // One that was redriven may die again as it did before: the same content is no repetition.
        publications.append(publication)
        storedAlone(publications.count - 1, entry, topic)
    }

    private func copyStored(_ copy: Message, at place: Offset, _ target: TopicModel) {
        func mark(_ mark: DeadLetterMark) -> String {
            copy.attributes.last { $0.name == mark.rawValue }?.value ?? ""
        }
        let name = mark(.subscription)
        // A change of the subscription may be in doubt when the copy is read back.
        guard let subscription = subscriptionOrder.last(where: { $0.name == name && !$0.removed }),
            let number = mark(.of).split(separator: "@").last.flatMap({ Offset($0) }),
            mark(.of).hasPrefix(subscription.topic.name),
            number < Offset(subscription.messages.count), number < subscription.topic.end
        else {
            return violated(
                "P8", "\(target.name)@\(place) is a copy of \(mark(.of)) for \"\(name)\"")
        }
        let text = "\(name)/\(subscription.topic.name)@\(number)"
        if subscription.settings.deadLetters.forwardTo != target.name {
            violated("Q1", "\(text) was forwarded to \(target.name)")
        }
        let (publication, index) = subscription.topic.log[Int(number)]
        if let sent = try? published(Int(publication), index),
            copy.payload != sent.payload || copy.key != sent.key || copy.dedupID != nil
                || !sent.attributes.allSatisfy(copy.attributes.contains)
        {
            violated("P1", "\(target.name)@\(place) is another message than \(text)")
        }
        let record = subscription.messages[Int(number)]
        // Nobody sees who vanished: what is leased may die abandoned.
        if record.state != .dead, record.state != .leased, !record.mayBeSettled {
            violated("Q1", "\(text) was forwarded when it was \(record.state)")
        }
        letters.kept[subscription.id, default: .init()].forwarded += 1
        let copied = ForwardedCopy(cause: mark(.cause), failed: mark(.failed))
        let before = letters.kept[subscription.id, default: .init()].copied
            .updateValue(copied, forKey: number)
        if before != nil { violated("Q1", "\(text) was forwarded twice") }
    }

    /// A dead letter of a subscription that forwards has a copy, which tells of this death.
    func checkCopy(of letter: DeadLetter, _ subscription: SubscriptionModel) {
        guard let target = subscription.settings.deadLetters.forwardTo else { return }
        let name = "\(subscription.name)@\(letter.offset)"
        guard let copy = letters.kept[subscription.id]?.copied[letter.offset] else {
            return violated("Q1", "\(name) is dead and has no copy in \(target)")
        }
        if copy.cause != letter.cause.name || copy.failed != "\(letter.failed)" {
            violated(
                "Q1",
                "\(name) died of \(letter.cause.name) after \(letter.failed) failures; its copy says "
                    + "\(copy.cause) and \(copy.failed)")
        }
    }

    /// At rest: what was forwarded in its present life is dead, or was removed.
    func checkCopies() {
        for subscription in subscriptionOrder where !subscription.removed {
            let copied = letters.kept[subscription.id]?.copied ?? [:]
            for offset in copied.keys.sorted() {
                let state = subscription.messages[Int(offset)].state
                guard state != .dead, state != .purged else { continue }
                violated(
                    "Q1", "\(subscription.name)@\(offset) was forwarded, and is \(state) at rest")
            }
        }
    }
}
