package import ChaskiModel
package import ChaskiRecords

/// Makes record batches of messages, within a broker's limits and with the compression that suits
/// the connection. Confined to its owner.
package struct BatchEncoder {
    private var builder: RecordBatchBuilder
    private let compression: BatchCompression

    package init(
        limits: RecordBatchLimits = RecordBatchLimits(), compression: BatchCompression = .none
    ) {
        builder = RecordBatchBuilder(limits: limits)
        self.compression = compression
    }

    package var limits: RecordBatchLimits { builder.limits }

    /// Messages added since the last `finish`.
    package var count: Int { builder.count }

    /// Adds a message; throws what its limits say, and then nothing was added.
    package mutating func append(_ message: Message) throws(Failure) {
        try builder.append(message: message)
    }

    /// The batch; the next begins.
    ///
    /// - Precondition: a message was added.
    package mutating func finish() -> [UInt8] { builder.finish(compression: compression) }

    /// All of `messages` as one batch. Throws where one is beyond its limits, or all together are.
    package mutating func encode(_ messages: [Message]) throws(Failure) -> [UInt8] {
        guard !messages.isEmpty else {
            throw Failure(.invalidArgument, .invalidBatch, "a batch holds at least one message")
        }
        do {
            for message in messages { try builder.append(message: message) }
        } catch {
            builder.clear()
            throw error
        }
        return finish()
    }
}
