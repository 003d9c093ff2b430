package import ChaskiModel

/// What a consumer says of deliveries; those with equal verdicts go in one request.
package struct Verdict: Hashable, Sendable {
    package var verb: Verb
    /// `retry`: the delay that wins over the backoff; `extend`: the new lease from now.
    package var delayNanos: Int64?
    /// At most 1 KiB of UTF-8.
    package var reason: String
    /// At most 64 bytes of UTF-8.
    package var code: String

    package init(
        _ verb: Verb, delayNanos: Int64? = nil, reason: String = "", code: String = ""
    ) {
        self.verb = verb
        self.delayNanos = delayNanos
        self.reason = Self.cut(reason, Self.reasonBytes)
        self.code = Self.cut(code, Self.codeBytes)
    }

    package static let ack = Verdict(.ack)

    /// It ends a hand-out, and not with an ack.
    package var givesBack: Bool { verb != .ack && verb != .extend }

    private static let reasonBytes = 1024
    private static let codeBytes = 64

    /// The text, cut at a character where it is too long.
    private static func cut(_ text: String, _ maximum: Int) -> String {
        guard text.utf8.count > maximum else { return text }
        var result = ""
        var bytes = 0
        for character in text {
            bytes += character.utf8.count
            if bytes > maximum { break }
            result.append(character)
        }
        return result
    }
}

/// One delivery that a verdict is about, and whoever waits for the confirmation.
package struct SettleItem<Waiter: Sendable>: Sendable {
    package var offset: Offset
    package var handout: UInt32
    /// The epoch of its token; set by the machine.
    var epoch: UInt32 = 0
    /// It was sent, and the connection was lost before an answer.
    var wasSent = false
    package var waiter: Waiter?
    /// Somebody gets the outcome who may judge again.
    var isAwaited: Bool

    package init(offset: Offset, handout: UInt32, waiter: Waiter?, isAwaited: Bool? = nil) {
        self.offset = offset
        self.handout = handout
        self.waiter = waiter
        self.isAwaited = isAwaited ?? (waiter != nil)
    }
}

/// What to send next on the consume stream.
package enum ConsumerRequest: Hashable, Sendable {
    /// Opens the session and subscribes, claiming what is held; the ranges are ascending.
    case subscribe(
        messages: UInt32, claims: [TokenRange], claimsEpoch: UInt32, claimsOf: SubscriptionID)
    case limit(messages: UInt32)
    case settle(requestID: UInt64, Verdict, epoch: UInt32, ranges: [TokenRange])
    case heartbeat
    case unsubscribe
}

/// A delivery whose lease is gone.
package struct LostLease: Hashable, Sendable {
    package var offset: Offset
    package var handout: UInt32

    package init(offset: Offset, handout: UInt32) {
        self.offset = offset
        self.handout = handout
    }
}

/// The confirmed and the refused among the deliveries that were settled.
package struct SettleCompletions<Waiter: Sendable>: Sendable {
    package var confirmed: [Waiter] = []
    package var failed: [(waiter: Waiter, failure: Failure)] = []

    package init() {}

    package var isEmpty: Bool { confirmed.isEmpty && failed.isEmpty }

    mutating func fail(_ waiter: Waiter?, _ failure: Failure) {
        if let waiter { failed.append((waiter, failure)) }
    }
}
