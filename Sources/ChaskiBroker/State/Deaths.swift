import ChaskiModel

/// A message that failed for good and is not dead yet.
struct DyingMessage: OffsetKeyed, Hashable {
    var offset: Offset
    var cause: DeathCause
}

/// The messages of one subscription that are to die, and how far that is. They are durable; what is
/// done for them is not, and begins anew after a restart.
struct Deaths {
    enum Step {
        case idle
        /// The batch that holds the message is being read.
        case reading(Offset)
        /// Some of them are on their way to the disk.
        case proposed
    }

    /// Why they cannot die at the moment.
    struct Block {
        var failure: Failure
        /// When it is tried again, broker clock.
        var retryAt: Int64
    }

    private var messages = PagedStore<DyingMessage>()
    /// Where it is gone on: so that one that cannot be read is in nobody's way.
    private var position: Offset = 0
    var step = Step.idle
    var block: Block?
    var timer: Int64?
    /// Messages that should have died were put off: the dead store was full.
    var hasParked = false
    /// What was told last of why messages are held back.
    var told: FailureReason?
    /// In the machine's list.
    var isListed = false

    var isEmpty: Bool { messages.isEmpty }
    var count: Int { messages.count }

    mutating func insert(_ message: DyingMessage) { messages.insert(message) }
    mutating func remove(_ offset: Offset) { messages.remove(offset) }
    func cause(of offset: Offset) -> DeathCause? { messages[offset]?.cause }

    /// The next one, in turn.
    var next: DyingMessage? { messages.first(from: position) ?? messages.first }

    /// At most `limit` from an offset on, below `end`.
    func list(from offset: Offset, to end: Offset, limit: Int) -> [DyingMessage] {
        Array(messages.list(from: offset, limit: limit).prefix { $0.offset < end })
    }

    mutating func goOn(after offset: Offset) { position = offset &+ 1 }
    /// What was proposed did not come about.
    mutating func goBack(to offset: Offset) { position = offset }
}

extension SubscriptionState {
    /// Whether what dies is forwarded.
    var forwardsDead: Bool { settings.deadLetters.forwardTo != nil }

    func isDeadOrDying(_ offset: Offset) -> Bool {
        dead[offset] != nil || deaths.cause(of: offset) != nil
    }
}
