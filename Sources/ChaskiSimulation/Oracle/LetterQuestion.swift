import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiRecords

/// A question about dead letters, and what must be answered: the filters, tried on what was dead when
/// it was asked.
enum LetterQuestion {
    /// What is expected, and where to go on.
    case list(SubscriptionID, [DeadLetter], next: Offset?)
    case show(SubscriptionID, DeadLetter?, MessagePast?, offset: Offset)
}

extension Oracle {
    private static let pageMaximum = 1_000
    private static let lettersRead = 256

    /// - Parameter letters: all of the subscription, as the core has them.
    func listAsked(
        _ id: RequestID, _ request: Chaski_V1_ListDeadLettersRequest, _ all: [DeadLetter]
    ) {
        guard case .present(let known)? = subscriptionNames[request.subscription],
            let topic = subscriptions[known]?.topic
        else { return }
        let filter = request.filter
        let asked = request.limit == 0 ? Self.pageMaximum : Int(request.limit)
        let limit = min(asked, filter.hasKey ? Self.lettersRead : Self.pageMaximum)
        var expected: [DeadLetter] = []
        var next: Offset?
        for letter in all
        where letter.offset >= request.fromOffset
            && (filter.ranges.isEmpty
                || filter.ranges.contains {
                    $0.first <= letter.offset && letter.offset - $0.first < $0.count
                })
        {
            if expected.count == limit {
                next = letter.offset
                break
            }
            if Self.matches(letter, filter) { expected.append(letter) }
        }
        if filter.hasKey {
            expected.removeAll {
                let (publication, index) = topic.log[Int($0.offset)]
                guard let message = try? published(Int(publication), index) else { return true }
                return message.key ?? [] != filter.key || message.key == nil
            }
        }
        letters.questions[id] = .list(known, expected, next: next)
    }

    private static func matches(
        _ letter: DeadLetter, _ filter: Chaski_V1_DeadLetterFilter
    ) -> Bool {
        if !filter.cause.isEmpty, letter.cause.name != filter.cause { return false }
        if filter.hasDiedFromUnixNanos, letter.wallNanos < filter.diedFromUnixNanos { return false }
        if filter.hasDiedBeforeUnixNanos, letter.wallNanos >= filter.diedBeforeUnixNanos {
            return false
        }
        return filter.reason.isEmpty || letter.reason.contains(filter.reason)
    }

    func showAsked(
        _ id: RequestID, _ request: Chaski_V1_ShowDeadLetterRequest, _ all: [DeadLetter],
        _ past: MessagePast?
    ) {
        guard case .present(let known)? = subscriptionNames[request.subscription] else { return }
        letters.questions[id] = .show(
            known, all.first { $0.offset == request.offset }, past, offset: request.offset)
    }

    /// The answer, as it goes to the client.
    func lettersAnswered(_ id: RequestID, _ result: Result<[UInt8], Failure>) {
        guard let question = letters.questions.removeValue(forKey: id) else { return }
        do {
            switch (question, result) {
            case (.list(let subscription, let expected, let next), .success(let bytes)):
                let page = try Chaski_V1_ListDeadLettersResponse(serializedBytes: bytes[...])
                check(page, expected, next, subscription)
            case (.show(let subscription, let letter?, let past?, _), .success(let bytes)):
                let shown = try Chaski_V1_ShowDeadLetterResponse(serializedBytes: bytes[...])
                check(shown, letter, past, subscription)
            case (.show(_, nil, _, let offset), .success):
                violated("Q2", "a dead letter is shown at \(offset), where there is none")
            case (.show(_, .some, _, let offset), .failure(let failure))
            where failure.reason == .unknownDeadLetter:
                violated("Q2", "the dead letter at \(offset) is not shown")
            default: break
            }
        } catch {
            violated("wire", "an answer about dead letters cannot be read: \(error)")
        }
    }

    private func check(
        _ page: Chaski_V1_ListDeadLettersResponse, _ expected: [DeadLetter], _ next: Offset?,
        _ id: SubscriptionID
    ) {
        let name = subscriptions[id]?.name ?? ""
        // A page may end early where there are too many bytes to read.
        let end = page.more ? page.nextOffset : .max
        let due = expected.filter { $0.offset < end }
        let found = page.deadLetters
        if page.unreadable == 0, found.map(\.offset) != due.map(\.offset) {
            violated(
                "Q2",
                "a list of \(name) has \(found.map(\.offset)); expected are \(due.map(\.offset))")
        }
        if page.more != (next != nil), end == .max {
            violated("Q2", "a list of \(name) ends, although more lies from \(next ?? 0) on")
        }
        for letter in found {
            guard let known = due.first(where: { $0.offset == letter.offset }) else {
                violated("Q2", "\(name)@\(letter.offset) is listed, and was not asked for")
                continue
            }
            check(letter, known, name)
        }
    }

    private func check(
        _ letter: Chaski_V1_DeadLetter, _ known: DeadLetter, _ name: String
    ) {
        guard letter.cause == known.cause.name, letter.reason == known.reason,
            letter.failed == known.failed, letter.handedOut == known.handedOut,
            letter.redriven == known.redriven, letter.diedUnixNanos == known.wallNanos
        else {
            return violated("Q2", "\(name)@\(letter.offset) is told otherwise than it is kept")
        }
    }

    private func check(
        _ shown: Chaski_V1_ShowDeadLetterResponse, _ letter: DeadLetter, _ past: MessagePast,
        _ id: SubscriptionID
    ) {
        guard let subscription = subscriptions[id] else { return }
        let name = "\(subscription.name)@\(letter.offset)"
        check(shown.deadLetter, letter, subscription.name)
        if shown.attempts.map(\.reason) != past.listed.map(\.reason)
            || shown.attempts.map(\.handout) != past.listed.map(\.handout)
            || shown.attemptsTotal != past.attempts
        {
            violated("Q2", "\(name) is shown with other attempts than are kept")
        }
        guard !shown.hasUnreadable else { return }
        let (publication, index) = subscription.topic.log[Int(letter.offset)]
        guard let sent = try? published(Int(publication), index) else { return }
        if shown.message.payload != sent.payload || shown.message.key != sent.key ?? [] {
            violated("P1", "\(name) is shown with another content than it was published with")
        }
    }
}
