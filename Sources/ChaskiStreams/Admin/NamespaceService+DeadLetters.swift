import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiRecords
import ChaskiWire

/// What to do once the core answered a request about dead letters.
enum DeadLetterFollowUp {
    /// The letters of a page whose messages the filter is to be tried on, and where the page ends.
    case list(MessageFilter, [DeadLetter], next: Offset?)
    case show(DeadLetter, MessagePast, payloadFrom: UInt64)
    case redrive
    case redriveEdited
    case purge
}

/// What a filter asks of the message itself.
struct MessageFilter {
    var key: Bytes?
    var attributes: [(name: String, value: String)]

    init(_ message: Chaski_V1_DeadLetterFilter) {
        key = message.hasKey ? Bytes(message.key) : nil
        attributes = message.attributes.map { ($0.name, $0.value) }
    }

    var isEmpty: Bool { key == nil && attributes.isEmpty }

    func matches(_ record: Record) -> Bool {
        if let key {
            guard let found = record.key, found.elementsEqual(key) else { return false }
        }
        return attributes.allSatisfy { record.attribute($0.name) == $0.value }
    }
}

extension AdminRequest {
    var isAboutDeadLetters: Bool {
        switch self {
        case .listDeadLetters, .showDeadLetter, .redriveDeadLetters, .redriveEdited,
            .purgeDeadLetters:
            true
        default: false
        }
    }
}

extension NamespaceService {
    /// Letters whose messages one request looks at.
    private static let lettersRead = 256

    /// What a request about dead letters asks of the core; nil where it was answered, or is about
    /// something else.
    func takeDeadLetters(_ admin: AdminRequest, request: RequestID) -> Command? {
        guard admin.isAboutDeadLetters else { return nil }
        do throws(Failure) {
            switch admin {
            case .listDeadLetters(let message): return try list(message, request)
            case .showDeadLetter(let message): return try show(message, request)
            case .redriveDeadLetters(let message):
                let ranges = try [Range<Offset>](ascending: message.ranges)
                followUps[request] = .deadLetters(.redrive)
                return .redrive(
                    request, subscription: message.subscription, ranges, note: message.note)
            case .redriveEdited(let message, let batch):
                let edited = EditedRedrive(
                    subscription: message.subscription, offset: message.offset,
                    batch: batch, note: message.note)
                followUps[request] = .deadLetters(.redriveEdited)
                return .redriveEdited(request, edited)
            case .purgeDeadLetters(let message):
                let ranges = try [Range<Offset>](ascending: message.ranges)
                followUps[request] = .deadLetters(.purge)
                return .purge(request, subscription: message.subscription, ranges)
            default: return nil
            }
        } catch {
            reply(.answered(request, .failure(error)), request)
            return nil
        }
    }

    /// The answer once the core has done, or read, what it was asked.
    func answer(_ followUp: DeadLetterFollowUp, _ result: Reply) -> Result<[UInt8], Failure> {
        do throws(Failure) {
            switch (followUp, result) {
            case (.list(let filter, let letters, let next), .fetched(let fetched)):
                return .success(try list(letters, filter, fetched, next: next).bytes())
            case (.show(let letter, let past, let first), .fetched(let fetched)):
                return .success(try show(letter, past, fetched, payloadFrom: first).bytes())
            case (.redrive, .lettersTaken(let count, let next)):
                return .success(
                    try Chaski_V1_RedriveDeadLettersResponse.with {
                        $0.count = count
                        $0.more = next != nil
                        $0.nextOffset = next ?? 0
                    }.bytes())
            case (.redriveEdited, .redrivenEdited(let offset)):
                return .success(
                    try Chaski_V1_RedriveEditedResponse.with { $0.offset = offset }.bytes())
            case (.purge, .lettersTaken(let count, let next)):
                return .success(
                    try Chaski_V1_PurgeDeadLettersResponse.with {
                        $0.count = count
                        $0.more = next != nil
                        $0.nextOffset = next ?? 0
                    }.bytes())
            default: throw .unexpectedReply
            }
        } catch {
            return .failure(error)
        }
    }

    // MARK: List

    private func list(
        _ message: Chaski_V1_ListDeadLettersRequest, _ request: RequestID
    ) throws(Failure) -> Command? {
        let filter = try DeadLetterFilter(message.filter)
        let ofMessages = MessageFilter(message.filter)
        let limit = Page.limit(message.limit)
        guard
            let page = machine.deadLetters(
                subscription: message.subscription, matching: filter, from: message.fromOffset,
                limit: ofMessages.isEmpty ? limit : min(limit, Self.lettersRead))
        else { throw .unknownSubscription(message.subscription) }
        guard !ofMessages.isEmpty, !page.letters.isEmpty else {
            let answer = Self.page(page.letters, next: page.next, unreadable: 0)
            reply(.answered(request, .success(try answer.bytes())), request)
            return nil
        }
        followUps[request] = .deadLetters(.list(ofMessages, page.letters, next: page.next))
        return .fetch(request, subscription: message.subscription, page.letters.map(\.offset))
    }

    private func list(
        _ letters: [DeadLetter], _ filter: MessageFilter, _ fetched: FetchedMessages, next: Offset?
    ) throws(Failure) -> Chaski_V1_ListDeadLettersResponse {
        var found: [DeadLetter] = []
        var unreadable = 0
        for letter in letters where letter.offset < fetched.rest ?? .max {
            guard let record = try? fetched.record(at: letter.offset) else {
                unreadable += 1
                continue
            }
            if filter.matches(record) { found.append(letter) }
        }
        return Self.page(found, next: fetched.rest ?? next, unreadable: unreadable)
    }

    private static func page(
        _ letters: [DeadLetter], next: Offset?, unreadable: Int
    ) -> Chaski_V1_ListDeadLettersResponse {
        // What does not fit a frame is for the next page.
        var bytes = 0
        let fitting = letters.prefix { letter in
            bytes += letter.reason.utf8.count + letter.code.utf8.count + 96
            return bytes <= 96 * 1024
        }
        let next = fitting.count < letters.count ? letters[fitting.count].offset : next
        return .with {
            $0.deadLetters = fitting.map { Chaski_V1_DeadLetter($0) }
            $0.more = next != nil
            $0.nextOffset = next ?? 0
            $0.unreadable = UInt32(clamping: unreadable)
        }
    }

    // MARK: Show

    private func show(
        _ message: Chaski_V1_ShowDeadLetterRequest, _ request: RequestID
    ) throws(Failure) -> Command? {
        var filter = DeadLetterFilter()
        filter.ranges = [message.offset..<(message.offset == .max ? .max : message.offset + 1)]
        let page = machine.deadLetters(
            subscription: message.subscription, matching: filter, from: message.offset, limit: 1)
        guard let page else { throw .unknownSubscription(message.subscription) }
        guard let letter = page.letters.first,
            let past = machine.past(of: letter.offset, subscription: message.subscription)
        else {
            throw .unknownDeadLetter(message.offset, message.subscription)
        }
        followUps[request] = .deadLetters(
            .show(letter, past, payloadFrom: message.payloadFrom))
        return .fetch(request, subscription: message.subscription, [letter.offset])
    }

    private func show(
        _ letter: DeadLetter, _ past: MessagePast, _ fetched: FetchedMessages,
        payloadFrom first: UInt64
    ) throws(Failure) -> Chaski_V1_ShowDeadLetterResponse {
        var response = Chaski_V1_ShowDeadLetterResponse()
        response.deadLetter = Chaski_V1_DeadLetter(letter)
        response.attemptsTotal = past.attempts
        response.attempts = past.listed.map { Chaski_V1_Attempt($0) }
        do throws(Failure) {
            if let failure = fetched.failure { throw failure }
            response.message = Chaski_V1_StoredMessage(
                try fetched.record(at: letter.offset),
                appended: try fetched.appendTime(of: letter.offset), payloadFrom: first)
        } catch {
            response.unreadable = Chaski_V1_Status(error)
        }
        return response
    }
}

extension DeadLetterFilter {
    /// What a message asks of the letters themselves.
    fileprivate init(_ message: Chaski_V1_DeadLetterFilter) throws(Failure) {
        self.init()
        ranges = try [Range<Offset>](ascending: message.ranges)
        if !message.cause.isEmpty {
            guard let known = DeathCause.allCases.first(where: { $0.name == message.cause }) else {
                let words = DeathCause.allCases.map(\.name).joined(separator: ", ")
                throw Failure(
                    .invalidArgument, .protocolError,
                    "no message dies of \"\(message.cause.prefix(100))\"; there are \(words)")
            }
            cause = known
        }
        reason = message.reason
        code = message.code
        if message.hasDiedFromUnixNanos { diedFromNanos = message.diedFromUnixNanos }
        if message.hasDiedBeforeUnixNanos { diedBeforeNanos = message.diedBeforeUnixNanos }
    }
}

extension [Range<Offset>] {
    /// - Throws: `protocol-error` for ranges that do not ascend, are empty or too many.
    fileprivate init(ascending messages: [Chaski_V1_OffsetRange]) throws(Failure) {
        self.init()
        for message in messages {
            let (end, overflow) = message.first.addingReportingOverflow(message.count)
            guard !overflow, message.count > 0, message.first >= last?.upperBound ?? 0,
                count < 1_000
            else {
                throw .protocolError(
                    "ranges must ascend, not overlap, not be empty, and be 1,000 at most")
            }
            append(message.first..<end)
        }
    }
}
