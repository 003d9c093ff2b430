import ChaskiModel

/// Dead or dying messages whose state changes together with a batch that is made of them: both take
/// effect, or none.
final class LetterWork {
    enum Purpose {
        /// They die; the batch has their copies.
        case deaths([DyingMessage])
        /// A dead letter gives way to an edited message.
        case edit(Offset, note: String)
    }

    let subscription: SubscriptionID
    let purpose: Purpose
    /// Where the batch goes; nil for no batch.
    let topic: TopicID?
    /// Messages in it.
    let count: UInt32
    /// Length of the batch.
    let bytes: Int
    /// Empty once it is in a group.
    private var batch: Bytes
    /// What it became in the group in flight.
    var stored: StoredBatch?

    init(_ subscription: SubscriptionID, _ purpose: Purpose, _ batch: (TopicID, Bytes, UInt32)?) {
        self.subscription = subscription
        self.purpose = purpose
        topic = batch?.0
        self.batch = batch?.1 ?? []
        count = batch?.2 ?? 0
        bytes = batch?.1.count ?? 0
        precondition(batch == nil || count > 0, "a batch has messages")
    }

    /// Takes the batch out, so that its header is written in place where nobody shares it.
    func takeBatch() -> Bytes {
        defer { batch = [] }
        return batch
    }
}
