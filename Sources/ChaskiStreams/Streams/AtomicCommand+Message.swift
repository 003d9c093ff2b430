import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire

extension AtomicCommand {
    /// The request of `Publisher/PublishAtomically`, everything checked that can be without the
    /// namespace's state.
    ///
    /// Throws `protocol-error`, `too-many`, or what a record batch or ranges are refused with.
    init(_ message: InboundMessage, limits: RecordBatchLimits) throws(Failure) {
        let request = try Chaski_V1_AtomicRequest(control: message.protobuf)
        guard let id = UInt128(littleEndianBytes: request.transactionID) else {
            throw .protocolError(
                "a transaction id has 16 bytes, not \(request.transactionID.count)")
        }
        self.init(transaction: TransactionID(rawValue: id))
        guard request.batches.count + request.verdicts.count <= Limits.atomicParts else {
            throw Failure(
                .invalidArgument, .tooMany,
                "an atomic request has at most \(Limits.atomicParts) batches and verdicts")
        }
        var rest = message.attachment
        for (part, batch) in request.batches.enumerated() {
            let bytes = try rest.takePart(UInt64(batch.batchBytes), "batch \(part)")
            let view = try RecordBatchView(validating: bytes, limits: limits)
            guard let count = UInt32(exactly: view.count) else { throw .unexpectedReply }
            // Bytes of its own: the broker writes its header into them.
            publishes.append(
                AtomicPublish(topic: batch.topic, batch: Array(bytes)[...], count: count))
        }
        for (part, verdict) in request.verdicts.enumerated() {
            let length = UInt64(verdict.ranges) * UInt64(TokenRanges.bytes)
            let bytes = try rest.takePart(length, "the ranges of verdict \(part)")
            settlements.append(try AtomicSettlement(verdict, bytes))
        }
        guard rest.isEmpty else {
            throw .protocolError("\(rest.count) bytes of the attachment belong to no part")
        }
    }
}

extension AtomicSettlement {
    fileprivate init(_ verdict: Chaski_V1_AtomicVerdict, _ ranges: Bytes) throws(Failure) {
        guard let session = UInt128(littleEndianBytes: verdict.sessionID) else {
            throw .protocolError("a session id has 16 bytes, not \(verdict.sessionID.count)")
        }
        self.init(
            subscription: verdict.subscription, session: SessionID(rawValue: session),
            verb: try Verb(verdict.verb),
            ranges: try TokenRanges.decode(ranges, epoch: verdict.epoch),
            delayNanos: verdict.hasDelayNanos ? Int64(clamping: verdict.delayNanos) : nil,
            reason: verdict.reason)
    }
}

extension ArraySlice<UInt8> {
    /// Takes the first `length` bytes off.
    fileprivate mutating func takePart(_ length: UInt64, _ what: String) throws(Failure) -> Bytes {
        guard let length = Int(exactly: length), length <= count else {
            throw .protocolError("\(what) passes the end of the attachment")
        }
        defer { self = dropFirst(length) }
        return prefix(length)
    }
}

extension Chaski_V1_AtomicResponse {
    init(_ published: [AtomicPublished], isRepeat: Bool) {
        self.init()
        duplicate = isRepeat
        batches = published.map { one in
            .with {
                $0.baseOffset = one.baseOffset
                $0.appendUnixNanos = one.appendTimeNanos
                $0.duplicates = DuplicateMembers.encode(one.duplicates)
            }
        }
    }
}
