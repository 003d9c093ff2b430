import ChaskiModel

/// What a batch may hold; what lies beyond is refused before it is looked at any closer.
package struct RecordBatchLimits: Hashable, Sendable {
    /// Records, at least 1.
    package var messages: Int
    /// Bytes of one payload, uncompressed.
    package var payloadBytes: Int
    /// Bytes of the whole batch as it is sent.
    package var batchBytes: Int

    package init(
        messages: Int = Limits.batchMessages, payloadBytes: Int = Limits.payloadBytes,
        batchBytes: Int = Limits.unitBytes
    ) {
        self.messages = min(max(messages, 1), Limits.batchMessagesMaximum)
        self.payloadBytes = min(max(payloadBytes, 0), Limits.payloadBytesMaximum)
        self.batchBytes = min(max(batchBytes, 0), Limits.unitBytesMaximum)
    }

    /// The hard maxima: what a batch may be at all.
    package static let maximum = RecordBatchLimits(
        messages: Limits.batchMessagesMaximum, payloadBytes: Limits.payloadBytesMaximum,
        batchBytes: Limits.unitBytesMaximum)
}

/// Where a batch comes from, which decides how complete it must be.
package enum RecordBatchOrigin: Hashable, Sendable {
    /// From a producer: broker header all zero, all records there, payloads and blocks gapless.
    case published
    /// From the broker: perhaps a subset of the records, with the blocks they need.
    case delivered
}
