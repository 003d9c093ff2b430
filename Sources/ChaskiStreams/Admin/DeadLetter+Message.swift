import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiRecords

extension Chaski_V1_DeadLetter {
    init(_ letter: DeadLetter) {
        self.init()
        offset = letter.offset
        diedUnixNanos = letter.wallNanos
        cause = letter.cause.name
        reason = letter.reason
        code = letter.code
        failed = letter.failed
        handedOut = letter.handedOut
        redriven = letter.redriven
    }
}

extension Chaski_V1_Attempt {
    init(_ attempt: Attempt) {
        self.init()
        switch attempt.end {
        case .retry: end = "retry"
        case .fail: end = "fail"
        case .abandoned: end = "abandoned"
        case .probe: end = "probe"
        case .redriven: end = "redriven"
        }
        handout = attempt.handout
        if attempt.session.rawValue != 0 {
            var bytes: [UInt8] = []
            bytes.append(littleEndian: attempt.session.rawValue)
            sessionID = bytes
        }
        endedUnixNanos = attempt.endedWallNanos
        reason = attempt.reason
        code = attempt.code
        if let delay = attempt.delayNanos { delayNanos = UInt64(clamping: delay) }
    }
}

extension Chaski_V1_StoredMessage {
    init(_ record: Record, appended: Int64) {
        self.init()
        payload = Array(record.payload)
        if let found = record.key { key = Array(found) }
        attributes = record.attributes.map { attribute in
            .with {
                $0.name = attribute.name
                $0.value = attribute.value
            }
        }
        appendedUnixNanos = appended
        if let event = record.eventTimeNanos { eventUnixNanos = event }
    }
}

extension FetchedMessages {
    /// Throws `damaged` where the message is not to be had.
    func record(at offset: Offset) throws(Failure) -> Record {
        let view = try view(holding: offset)
        let place = view.place(ofIndex: UInt32(truncatingIfNeeded: offset &- view.baseOffset))
        guard place < view.count else { throw .notFetched(offset) }
        let record = try view.record(at: place)
        guard record.offset == offset else { throw .notFetched(offset) }
        return record
    }

    func appendTime(of offset: Offset) throws(Failure) -> Int64 {
        try view(holding: offset).appendTimeNanos
    }

    private func view(holding offset: Offset) throws(Failure) -> RecordBatchView {
        guard
            let batch = batches.first(where: {
                $0.baseOffset <= offset && offset - $0.baseOffset < Offset($0.count)
            })
        else { throw .notFetched(offset) }
        return try RecordBatchView(trusted: batch.bytes)
    }
}

extension Failure {
    fileprivate static func notFetched(_ offset: Offset) -> Failure {
        Failure(.dataLoss, .damaged, "the message at offset \(offset) cannot be read")
    }
}
