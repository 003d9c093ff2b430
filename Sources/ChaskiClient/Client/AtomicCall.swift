import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire

/// An atomic request put into the form in which it travels, the same each time it is sent.
struct AtomicCall {
    /// The messages of one batch, by their places in the request.
    private struct Batch {
        var topic: String
        var places: [Int] = []
        var encoder: BatchEncoder
    }

    /// The deliveries of one consumer, by verdict.
    struct Settlement {
        var core: SubscriptionCore
        var verdict: Verdict
        var leases: [LostLease]
    }

    private let request: AtomicRequest
    private var message = Chaski_V1_AtomicRequest()
    private(set) var attachment: [UInt8] = []
    private var places: [[Int]] = []
    let settlements: [Settlement]

    /// Throws where a message is beyond its limits, or there are too many parts.
    init(_ request: AtomicRequest, _ encoding: EncodingSettings.Value) throws(Failure) {
        self.request = request
        var batches: [Batch] = []
        for (place, item) in request.messages.enumerated() {
            if let at = batches.lastIndex(where: { $0.topic == item.topic }),
                batches[at].places.count < encoding.limits.messages
            {
                try batches[at].encoder.append(item.message)
                batches[at].places.append(place)
            } else {
                var batch = Batch(
                    topic: item.topic,
                    encoder: BatchEncoder(
                        limits: encoding.limits, compression: encoding.compression))
                try batch.encoder.append(item.message)
                batch.places = [place]
                batches.append(batch)
            }
        }
        var settlements: [Settlement] = []
        for (delivery, verdict) in request.verdicts {
            let lease = LostLease(offset: delivery.offset, handout: delivery.handout)
            let at = settlements.firstIndex {
                $0.core === delivery.core && $0.verdict == verdict
            }
            if let at {
                settlements[at].leases.append(lease)
            } else {
                settlements.append(
                    Settlement(core: delivery.core, verdict: verdict, leases: [lease]))
            }
        }
        self.settlements = settlements
        let transaction = UInt128.random(in: UInt128.min...UInt128.max)
        message.transactionID = transaction.littleEndianBytes
        for at in batches.indices {
            let bytes = batches[at].encoder.finish()
            message.batches.append(
                .with {
                    $0.topic = batches[at].topic
                    $0.batchBytes = UInt32(clamping: bytes.count)
                })
            attachment += bytes
            places.append(batches[at].places)
        }
    }

    /// Adds verdicts whose deliveries were entrusted to the request; after all batches.
    mutating func add(
        _ verdict: Verdict, on subscription: String, of session: SessionID, _ part: EntrustedRanges
    ) {
        message.verdicts.append(
            .with {
                $0.subscription = subscription
                $0.sessionID = session.rawValue.littleEndianBytes
                $0.verb = verdict.verb.settleVerb
                $0.epoch = part.epoch
                if let delay = verdict.delayNanos { $0.delayNanos = UInt64(clamping: delay) }
                $0.reason = verdict.reason
                $0.ranges = UInt32(clamping: part.ranges.count)
            })
        TokenRanges.encode(part.ranges, to: &attachment)
    }

    /// The protobuf part. Throws `too-many` where it has too many parts.
    func encoded() throws(Failure) -> [UInt8] {
        let parts = message.batches.count + message.verdicts.count
        guard parts <= Limits.atomicParts else {
            throw Failure(
                .invalidArgument, .tooMany,
                "an atomic request has at most \(Limits.atomicParts) batches and verdicts, not "
                    + "\(parts)")
        }
        return try Coding.encode(message)
    }

    /// What the broker's answer says of each message.
    func receipt(_ bytes: Bytes) throws(Failure) -> AtomicReceipt {
        let response = try Coding.decode(bytes, as: Chaski_V1_AtomicResponse.self)
        guard response.batches.count == places.count else {
            throw Failure(
                .internalError, .protocolError, "the broker answered another atomic request")
        }
        var receipts: [PublishReceipt?] = request.messages.map { _ in nil }
        for (result, places) in zip(response.batches, places) {
            let duplicates = try DuplicateMembers.decode(result.duplicates)
            for (index, place) in places.enumerated() {
                let at = duplicates.offset(
                    ofMember: UInt32(clamping: index), baseOffset: result.baseOffset)
                receipts[place] = PublishReceipt(
                    topic: request.messages[place].topic, offset: at.offset,
                    appendTimeNanos: result.appendUnixNanos,
                    duplicate: response.duplicate || at.isDuplicate)
            }
        }
        return AtomicReceipt(
            messages: receipts.compactMap { $0 }, duplicate: response.duplicate)
    }
}
