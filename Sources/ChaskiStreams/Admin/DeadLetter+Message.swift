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
    /// So that an answer fits a frame.
    private static let payloadBytesMost = 64 * 1024

    /// With what fits of the payload from a byte on.
    init(_ record: Record, appended: Int64, payloadFrom first: UInt64) {
        self.init()
        let skipped = min(first, UInt64(record.payload.count))
        payload = Array(record.payload.dropFirst(Int(skipped)).prefix(Self.payloadBytesMost))
        payloadBytes = UInt64(record.payload.count)
        if let found = record.key { key = Array(found) }
        attributes = record.attributes.map { attribute in
            .with {
                $0.name = attribute.name
                $0.value = attribute.value
            }
        }
        appendedUnixNanos = appended
        if let event = record.eventTimeNanos { eventUnixNanos = event }
        if let expiry = record.expiryNanos { expiryUnixNanos = expiry }
        if let schema = record.schemaID { schemaID = schema }
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
