import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire

/// Puts deliveries into the sections of a Deliver message's attachment: each one copied once,
/// as it lies in the journal where all of it is wanted.
struct DeliveryWriter {
    private var attachment: [UInt8] = []
    private let preferredBytes: Int
    private let maximumBytes: Int

    /// - Parameters:
    ///   - preferredBytes: an attachment that would pass it is given out; a single batch may be
    ///     larger.
    ///   - maximumBytes: what the peer takes; a batch that is larger is sent in parts.
    init(preferredBytes: Int, maximumBytes: Int) {
        self.preferredBytes = min(preferredBytes, maximumBytes)
        self.maximumBytes = maximumBytes
    }

    /// The protobuf part of every Deliver message of a subscription.
    static func prefix(alias: UInt32, _ epoch: UInt32) -> [UInt8] {
        let message = Chaski_V1_ConsumeResponse.with {
            $0.kind = .deliver(
                .with {
                    $0.alias = alias
                    $0.epoch = epoch
                })
        }
        return (try? message.bytes()) ?? []
    }

    /// Bytes of that part, at most.
    static let prefixBytes = 64

    /// Adds a delivery; `emit` gets what was gathered before when both together would be too long.
    ///
    /// - Throws: `damaged` where the stored batch does not hold what it should, `too-large` for a
    ///   single message that the peer does not take.
    mutating func append(_ delivery: Delivery, emit: ([UInt8]) -> Void) throws(Failure) {
        precondition(!delivery.runs.isEmpty, "a delivery of nothing")
        let bytes =
            delivery.batch.bytes.count + DeliverySections.headerBytes(runs: delivery.runs.count)
        if !attachment.isEmpty, attachment.count + bytes > preferredBytes { finish(emit: emit) }
        if attachment.isEmpty { attachment.reserveCapacity(min(bytes, maximumBytes)) }
        let start = attachment.count
        try appendSection(delivery)
        if attachment.count <= maximumBytes { return }
        // Too large for the peer: in parts, each a message of its own.
        attachment.removeSubrange(start...)
        finish(emit: emit)
        try appendHalves(delivery, emit: emit)
    }

    private mutating func appendHalves(
        _ delivery: Delivery, emit: ([UInt8]) -> Void
    )
        throws(Failure)
    {
        let count = delivery.messages
        guard count > 1 else {
            throw Failure(
                .resourceExhausted, .tooLarge,
                "A message with its payload block is larger than the \(maximumBytes) bytes that its "
                    + "consumer takes: raise the consumer's unit limit.")
        }
        let (first, second) = delivery.split(after: count / 2)
        for half in [first, second] {
            try append(half, emit: emit)
            finish(emit: emit)
        }
    }

    private mutating func appendSection(_ delivery: Delivery) throws(Failure) {
        let start = attachment.count
        attachment.append(littleEndian: UInt32(0))
        attachment.append(littleEndian: UInt32(truncatingIfNeeded: delivery.runs.count))
        for run in delivery.runs {
            attachment.append(littleEndian: run.first)
            attachment.append(littleEndian: run.count)
            attachment.append(littleEndian: run.handout)
            attachment.append(littleEndian: run.failed)
        }
        if delivery.messages == UInt64(delivery.batch.count) {
            attachment += delivery.batch.bytes
        } else {
            do throws(Failure) {
                try appendSubset(delivery)
            } catch {
                attachment.removeSubrange(start...)
                throw error
            }
        }
        attachment.set(littleEndian: UInt32(clamping: attachment.count - start - 4), at: start)
    }

    private mutating func appendSubset(_ delivery: Delivery) throws(Failure) {
        let base = delivery.batch.baseOffset
        var ranges: [Range<UInt32>] = []
        ranges.reserveCapacity(delivery.runs.count)
        for run in delivery.runs {
            guard run.first >= base, let low = UInt32(exactly: run.first - base),
                case let (high, overflow) = low.addingReportingOverflow(run.count), !overflow
            else { preconditionFailure("a run outside of its batch") }
            if let last = ranges.last, last.upperBound == low {
                ranges[ranges.count - 1] = last.lowerBound..<high
            } else {
                ranges.append(low..<high)
            }
        }
        let view = try RecordBatchView(trusted: delivery.batch.bytes)
        guard try view.appendSubset(indices: ranges, to: &attachment) else {
            throw Failure(.dataLoss, .damaged, "a stored batch lacks the records it should hold")
        }
    }

    /// Gives out what is left.
    mutating func finish(emit: ([UInt8]) -> Void) {
        guard !attachment.isEmpty else { return }
        emit(attachment)
        attachment = []
    }
}

extension Delivery {
    /// Messages in it.
    var messages: UInt64 { runs.reduce(0) { $0 + UInt64($1.count) } }

    /// The first `count` messages, and the rest; neither is empty.
    func split(after count: UInt64) -> (Delivery, Delivery) {
        precondition(count > 0 && count < messages, "a half of nothing")
        var (first, second) = (Delivery(batch: batch, runs: []), Delivery(batch: batch, runs: []))
        var left = count
        for run in runs {
            let taken = UInt32(clamping: min(left, UInt64(run.count)))
            left -= UInt64(taken)
            if taken > 0 {
                var part = run
                part.count = taken
                first.runs.append(part)
            }
            if taken < run.count {
                var part = run
                part.first += UInt64(taken)
                part.count -= taken
                second.runs.append(part)
            }
        }
        return (first, second)
    }
}
