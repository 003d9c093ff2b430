import ChaskiModel

/// The attributes that tell of a message where it comes from: of a copy that was forwarded, and of
/// an edited message.
package enum DeadLetterMark: String, CaseIterable, Sendable {
    /// The dead message, as `orders@17`, or `orders~2@17` of a topic created again.
    case of = "deadLetterOf"
    /// For which subscription it is dead, and why.
    case subscription = "deadLetterSubscription"
    case cause = "deadLetterCause"
    /// Failures since it was published, or redriven last.
    case failed = "deadLetterFailed"
    /// What came with the last failure; left out where that is nothing.
    case code = "deadLetterCode"
    case reason = "deadLetterReason"
    /// Of an edited message: the dead one that it stands for.
    case redriveOf
}

extension Message {
    /// The copy that is forwarded: without a dedup id, with marks in the place of those it had, as
    /// many as its limits leave room for, the first ones first.
    func deadLetterCopy(_ marks: [Attribute]) -> Message {
        var copy = self
        copy.dedupID = nil
        let names = Set(DeadLetterMark.allCases.map(\.rawValue))
            .subtracting([DeadLetterMark.redriveOf.rawValue])
        copy.attributes.removeAll { names.contains($0.name) }
        var bytes = copy.attributes.reduce(0) { $0 + $1.byteCount }
        for mark in marks where copy.attributes.count < Limits.attributes {
            guard bytes + mark.byteCount <= Limits.attributesBytes else { continue }
            bytes += mark.byteCount
            copy.attributes.append(mark)
        }
        return copy
    }
}

extension Attribute {
    fileprivate var byteCount: Int { name.utf8.count + value.utf8.count }
}

extension TopicState {
    /// A message's id within the namespace, for people.
    func printed(_ offset: Offset) -> String {
        "\(name)\(incarnation > 1 ? "~\(incarnation)" : "")@\(offset)"
    }
}

extension SubscriptionState {
    /// What a copy of a message that dies tells.
    func marks(of message: DyingMessage, in base: Offset) -> [Attribute] {
        precondition(message.offset >= base, "it is not of this batch")
        let last = histories[message.offset]?.history.items.last { $0.end != .redriven }
        let failed = window.slot(message.offset)?.pointee.failed ?? 0
        var marks: [(DeadLetterMark, String)] = [
            (.of, topic.printed(message.offset)), (.subscription, created.name),
            (.cause, message.cause.name), (.failed, String(failed)),
        ]
        if let last, !last.code.isEmpty { marks.append((.code, last.code)) }
        if let last, !last.reason.isEmpty { marks.append((.reason, last.reason)) }
        return marks.map { Attribute($0.0.rawValue, $0.1) }
    }
}
