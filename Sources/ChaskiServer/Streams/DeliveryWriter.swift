import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire

/// Puts deliveries into the sections of a Deliver message's attachment: each one copied once,
/// as it lies in the journal where all of it is wanted.
struct DeliveryWriter {
    private var attachment: [UInt8] = []
    private let maximumBytes: Int
    private var sections = 0

    /// - Parameter maximumBytes: an attachment that has reached it is given out; a single batch
    ///   may be larger.
    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

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

    /// Adds a section; `emit` gets the attachment that was gathered before when both together
    /// would be too long.
    ///
    /// - Throws: `damaged` where the stored batch does not hold what it should; nothing is added.
    mutating func append(_ delivery: Delivery, emit: ([UInt8]) -> Void) throws(Failure) {
        precondition(!delivery.runs.isEmpty, "a delivery of nothing")
        let batch = delivery.batch
        let estimate = batch.bytes.count + DeliverySections.headerBytes(runs: delivery.runs.count)
        if sections > 0, attachment.count + estimate > maximumBytes { finish(emit: emit) }
        if sections == 0 { attachment.reserveCapacity(min(estimate, maximumBytes)) }

        let start = attachment.count
        attachment.append(littleEndian: UInt32(0))
        attachment.append(littleEndian: UInt32(truncatingIfNeeded: delivery.runs.count))
        var total: UInt64 = 0
        for run in delivery.runs {
            attachment.append(littleEndian: run.first)
            attachment.append(littleEndian: run.count)
            attachment.append(littleEndian: run.handout)
            attachment.append(littleEndian: run.failed)
            total += UInt64(run.count)
        }
        if total == UInt64(batch.count) {
            attachment += batch.bytes
        } else {
            do throws(Failure) {
                try appendSubset(delivery)
            } catch {
                attachment.removeSubrange(start...)
                throw error
            }
        }
        attachment.set(
            littleEndian: UInt32(clamping: attachment.count - start - 4), at: start)
        sections += 1
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
        guard sections > 0 else { return }
        emit(attachment)
        attachment = []
        sections = 0
    }
}
