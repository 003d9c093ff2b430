import ChaskiModel
import ChaskiRecords
import DequeModule

extension ProducerLane {
    /// Takes a batch of many publishes apart, so that a refusal of one message is not that of its
    /// neighbours: each goes alone, with the sequence it has. False where it is one publish, or
    /// cannot be read.
    mutating func split(_ at: Int, _ encoder: inout BatchEncoder) -> Bool {
        let batch = batches[at]
        guard batch.waiters.count > 1, batch.waiters.count == batch.count,
            let singles = try? singles(of: batch, &encoder)
        else { return false }
        batches.replaceSubrange(at..<at + 1, with: singles)
        return true
    }

    private func singles(
        of batch: SequencedBatch<Waiter>, _ encoder: inout BatchEncoder
    ) throws(Failure) -> [SequencedBatch<Waiter>] {
        let view = try RecordBatchView(trusted: batch.bytes[...])
        precondition(view.count == batch.count, "a batch holds what was put into it")
        var payloads = view.payloads()
        var singles: [SequencedBatch<Waiter>] = []
        singles.reserveCapacity(batch.count)
        let share = batch.submittedBytes / batch.count
        for place in 0..<batch.count {
            let message = try view.record(at: place, payloads: &payloads).message
            let isLast = place == batch.count - 1
            var single = SequencedBatch(
                baseSequence: batch.baseSequence &+ UInt64(place), count: 1,
                bytes: try encoder.encode([message]), waiters: [batch.waiters[place]],
                submittedBytes: isLast ? batch.submittedBytes - share * place : share,
                deadlineNanos: batch.deadlineNanos)
            single.mayBeStored = batch.mayBeStored
            single.firstRefusedNanos = batch.firstRefusedNanos
            singles.append(single)
        }
        return singles
    }
}
