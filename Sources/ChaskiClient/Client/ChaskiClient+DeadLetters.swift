import ChaskiMessages
public import ChaskiModel
import ChaskiProtobuf
import ChaskiRecords
import ChaskiWire

extension ChaskiClient {
    /// Messages that are dead for a subscription and match a filter, in order of offset. The broker
    /// looks at no more than some thousands at once: go on from `next` until there is none.
    ///
    /// - Parameters:
    ///   - from: the first offset to look at.
    ///   - limit: at most this many, and at most 1,000.
    /// - Throws: `ChaskiError`, as `unknown-subscription`.
    public func deadLetters(
        subscription: String, matching filter: DeadLetterFilter, from: Offset = 0,
        limit: UInt32 = 1_000
    ) async throws -> DeadLetterPage {
        let response: Chaski_V1_ListDeadLettersResponse = try await call(
            "Subscriptions/ListDeadLetters",
            Chaski_V1_ListDeadLettersRequest.with {
                $0.subscription = subscription
                $0.fromOffset = from
                $0.limit = min(max(1, limit), 1_000)
                $0.filter = Chaski_V1_DeadLetterFilter(filter)
            }, isRepeatable: true)
        return DeadLetterPage(
            letters: response.deadLetters.map { DeadLetterInfo($0) },
            next: response.more ? response.nextOffset : nil,
            unreadable: Int(response.unreadable))
    }

    /// A dead letter with its message and all that happened to it.
    ///
    /// - Throws: `ChaskiError`, as `unknown-subscription`, `unknown-dead-letter`.
    public func deadLetter(
        subscription: String, offset: Offset
    ) async throws -> DeadLetterDetails {
        var response = try await show(subscription, offset, payloadFrom: 0)
        // A long payload comes in parts.
        while response.hasMessage, response.message.payload.count < response.message.payloadBytes {
            let have = UInt64(response.message.payload.count)
            let more = try await show(subscription, offset, payloadFrom: have)
            if more.hasUnreadable { return DeadLetterDetails(more) }
            guard !more.message.payload.isEmpty else { break }
            response.message.payload += more.message.payload
        }
        return DeadLetterDetails(response)
    }

    private func show(
        _ subscription: String, _ offset: Offset, payloadFrom first: UInt64
    ) async throws -> Chaski_V1_ShowDeadLetterResponse {
        try await call(
            "Subscriptions/ShowDeadLetter",
            Chaski_V1_ShowDeadLetterRequest.with {
                $0.subscription = subscription
                $0.offset = offset
                $0.payloadFrom = first
            }, isRepeatable: true)
    }

    /// Gives the dead letters in these ranges to consumers again, each as if it had never failed;
    /// its id and its history stay. Offsets without a dead letter are passed over.
    ///
    /// - Parameters:
    ///   - offsets: ascending, without overlap, at most 1,000 ranges.
    ///   - note: kept with each, at most 1 KiB.
    /// - Returns: how many there were.
    /// - Throws: `ChaskiError`, as `unknown-subscription`. Asking again does no harm.
    @discardableResult
    public func redriveDeadLetters(
        subscription: String, offsets: [Range<Offset>], note: String = ""
    ) async throws -> UInt64 {
        try await takeAll(offsets) { ranges in
            let response: Chaski_V1_RedriveDeadLettersResponse = try await self.call(
                "Subscriptions/RedriveDeadLetters",
                Chaski_V1_RedriveDeadLettersRequest.with {
                    $0.subscription = subscription
                    $0.ranges = ranges
                    $0.note = note
                }, isRepeatable: true)
            return (response.count, response.more ? response.nextOffset : nil)
        }
    }

    /// Publishes an edited message in the place of a dead one, and settles that for good, in one atomic
    /// step. It is a new message of the subscription's topic, for all of the topic's subscriptions,
    /// with the attribute `redriveOf` that names the dead one.
    ///
    /// - Parameters:
    ///   - message: what to publish; without a dedup id. Begin with that of
    ///     ``deadLetter(subscription:offset:)``.
    ///   - note: kept in the journal, at most 1 KiB.
    /// - Returns: the offset of the new message.
    /// - Throws: `ChaskiError`, as `unknown-dead-letter`; after `indeterminate` asking again does no
    ///   harm: where it had been done the dead letter is unknown.
    @discardableResult
    public func redriveDeadLetter(
        subscription: String, offset: Offset, as message: ChaskiModel.Message, note: String = ""
    ) async throws -> Offset {
        guard message.dedupID == nil else {
            throw ChaskiError(
                Failure(
                    .invalidArgument, .invalidBatch,
                    "an edited message has no dedup id: it stands for the dead one"))
        }
        do {
            var batch = RecordBatchBuilder()
            try batch.append(message: message)
            let request = try Coding.encode(
                Chaski_V1_RedriveEditedRequest.with {
                    $0.subscription = subscription
                    $0.offset = offset
                    $0.note = note
                })
            let answer = try await call(
                "chaski.v1.Subscriptions/RedriveEdited", request,
                attachment: batch.finish(compression: .deflate())[...], isRepeatable: false)
            let response: Chaski_V1_RedriveEditedResponse = try Coding.decode(answer)
            return response.offset
        } catch let failure as Failure {
            throw ChaskiError(failure)
        }
    }

    /// Removes the dead letters in these ranges for good, and counts them.
    ///
    /// - Returns: how many there were.
    /// - Throws: `ChaskiError`, as `unknown-subscription`.
    @discardableResult
    public func purgeDeadLetters(
        subscription: String, offsets: [Range<Offset>]
    ) async throws -> UInt64 {
        try await takeAll(offsets) { ranges in
            let response: Chaski_V1_PurgeDeadLettersResponse = try await self.call(
                "Subscriptions/PurgeDeadLetters",
                Chaski_V1_PurgeDeadLettersRequest.with {
                    $0.subscription = subscription
                    $0.ranges = ranges
                }, isRepeatable: true)
            return (response.count, response.more ? response.nextOffset : nil)
        }
    }

    /// Redrives all dead letters that match, in order of offset, each at most once.
    ///
    /// - Parameters:
    ///   - rate: at most this many a second; nil for as fast as it goes.
    ///   - note: kept with each, at most 1 KiB.
    ///   - progress: called after each step.
    /// - Throws: `ChaskiError`; what was redriven until then stays so.
    @discardableResult
    public func redriveDeadLetters(
        subscription: String, matching filter: DeadLetterFilter, rate: UInt32? = nil,
        note: String = "", progress: (DeadLetterProgress) -> Void = { _ in }
    ) async throws -> DeadLetterProgress {
        try await take(subscription, filter, rate: rate, progress) {
            try await self.redriveDeadLetters(subscription: subscription, offsets: $0, note: note)
        }
    }

    /// Purges all dead letters that match, in order of offset.
    ///
    /// - Parameter progress: called after each step.
    /// - Throws: `ChaskiError`; what was removed until then stays so.
    @discardableResult
    public func purgeDeadLetters(
        subscription: String, matching filter: DeadLetterFilter,
        progress: (DeadLetterProgress) -> Void = { _ in }
    ) async throws -> DeadLetterProgress {
        try await take(subscription, filter, rate: nil, progress) {
            try await self.purgeDeadLetters(subscription: subscription, offsets: $0)
        }
    }

    /// One page after the other; with a rate, in steps of about a tenth of a second.
    private func take(
        _ subscription: String, _ filter: DeadLetterFilter, rate: UInt32?,
        _ progress: (DeadLetterProgress) -> Void,
        _ take: ([Range<Offset>]) async throws -> UInt64
    ) async throws -> DeadLetterProgress {
        var done = DeadLetterProgress()
        var position: Offset? = 0
        let step = rate.map { min(1_000, max(1, $0 / 10)) } ?? 1_000
        let clock = ContinuousClock()
        let start = clock.now
        while let from = position {
            let page = try await deadLetters(
                subscription: subscription, matching: filter, from: from, limit: step)
            done.unreadable += page.unreadable
            if !page.letters.isEmpty {
                done.taken += try await take(page.letters.offsetRanges)
                progress(done)
            }
            position = page.next
            if let rate, position != nil {
                let due =
                    start
                    + .nanoseconds(
                        Int64(clamping: done.taken) * 1_000_000_000 / Int64(max(1, rate)))
                try await Task.sleep(until: due, clock: clock)
            }
        }
        return done
    }

    /// Repeats what takes at most so many at once until nothing is left of the ranges.
    private func takeAll(
        _ offsets: [Range<Offset>],
        _ take: ([Chaski_V1_OffsetRange]) async throws -> (count: UInt64, next: Offset?)
    ) async throws -> UInt64 {
        var left = offsets.filter { !$0.isEmpty }
        var total: UInt64 = 0
        while !left.isEmpty {
            let (count, next) = try await take(left.map { Chaski_V1_OffsetRange($0) })
            total += count
            guard let next else { break }
            left = left.filter { $0.upperBound > next }
                .map { max($0.lowerBound, next)..<$0.upperBound }
        }
        return total
    }
}

extension [DeadLetterInfo] {
    /// Their offsets; consecutive ones as one range.
    fileprivate var offsetRanges: [Range<Offset>] {
        var ranges: [Range<Offset>] = []
        for letter in self {
            if let last = ranges.last, last.upperBound == letter.offset {
                ranges[ranges.count - 1] = last.lowerBound..<letter.offset + 1
            } else {
                ranges.append(letter.offset..<letter.offset + 1)
            }
        }
        return ranges
    }
}
