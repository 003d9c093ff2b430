import ChaskiBroker
import ChaskiModel
import ChaskiRecords

/// A message that says of which message of which subscription it was made.
struct TransformOutput {
    var subscription: SubscriptionID
    var input: Offset
    var handout: UInt32

    init(subscription: SubscriptionID, input: Offset, handout: UInt32) {
        self.subscription = subscription
        self.input = input
        self.handout = handout
    }

    /// Nil for a message that is none.
    init?(_ message: Message) {
        let text = String(decoding: message.payload, as: UTF8.self)
        guard text.first == "o" else { return nil }
        let numbers = text.dropFirst().split(separator: ".").compactMap { UInt64($0) }
        guard numbers.count == 3 else { return nil }
        self.init(
            subscription: SubscriptionID(rawValue: numbers[0]), input: numbers[1],
            handout: UInt32(truncatingIfNeeded: numbers[2]))
    }

    var message: Message { Message(Array("o\(subscription.rawValue).\(input).\(handout)".utf8)) }
}

/// P5 of ack and publish: the ack of an input and its output are one, at every moment.
extension Oracle {
    /// An output is on disk for good, and with it the ack of its input.
    func outputStored(_ output: TransformOutput, at offset: Offset, _ topic: TopicModel) {
        guard let subscription = subscriptions[output.subscription] else {
            return violated("P8", "\(topic.name)@\(offset) was made of nothing that is known")
        }
        let name = "\(subscription.name)/\(subscription.topic.name)@\(output.input)"
        if let before = atomics.outputs[output.subscription]?[output.input] {
            violated("P5", "\(name) has two outputs: \(topic.name)@\(before) and \(offset)")
        }
        atomics.outputs[output.subscription, default: [:]][output.input] = offset
        let record = subscription.withRecord(output.input) { $0 }
        guard record.state == .leased, record.handout == output.handout else {
            return violated(
                "P5",
                "an output of \(name)#\(output.handout) was stored when it was \(record.state), "
                    + "#\(record.handout)")
        }
        forget(outstandingOf: record)
        if record.underWayCount > 0 { subscription.unanswered.insert(output.input) }
        subscription.withRecord(output.input) {
            $0.state = .acked
            $0.endedBy = .ack
            $0.mayBeSettled = false
        }
    }

    /// The verdicts of an atomic request, as if the session's consumer had given them.
    func beginVerdicts(_ settlement: AtomicSettlement, now: Now) -> PendingSettle {
        guard
            let consumer = consumers.lastIndex(where: {
                $0.session == settlement.session && $0.subscription != nil
                    && $0.subscriptionName == settlement.subscription
            })
        else { preconditionFailure("a session settles what it was handed") }
        return beginSettle(
            SettleCommand(
                consumer: consumers[consumer].id, verb: settlement.verb, ranges: settlement.ranges,
                delayNanos: settlement.delayNanos, reason: settlement.reason,
                code: settlement.code), now: now)
    }

    func verdictsReplied(
        _ settle: PendingSettle, _ result: Result<Reply, Failure>, now: Now
    ) {
        let accepted = settle.command.ranges.reduce(0) { $0 + $1.count }
        let good = Reply.settled(accepted: accepted, rejected: [])
        settleReplied(settle, result.map { _ in good }, now: now)
    }

    /// A4: a request is refused for its tokens only where one of them may be stale.
    func checkRefusal(_ number: Int, _ settles: [PendingSettle], _ failure: Failure) {
        guard [.stale, .alreadySettled].contains(failure.reason), !settles.isEmpty,
            settles.allSatisfy({ $0.expectations.allSatisfy { $0 == .accept } })
        else { return }
        violated(
            "A4", "atomic request \(number) was refused although each lease holds: \(failure)")
    }

    /// P5, at rest: a message of the transformed subscription is acked with exactly one output, or
    /// it is dead or purged and has none.
    func checkOutputs() {
        for subscription in subscriptionOrder
        where !subscription.removed && subscription.name == TopologyNames.transformed
            && transforms
        {
            let outputs = atomics.outputs[subscription.id] ?? [:]
            let end = max(subscription.startHigh, subscription.topic.end)
            for offset in subscription.startHigh..<end {
                let hasOutput = outputs[offset] != nil
                let record = subscription.withRecord(offset) { $0 }
                if record.isSettled, (record.state == .acked) == hasOutput { continue }
                violated(
                    "P5",
                    "\(subscription.name)/\(subscription.topic.name)@\(offset) is \(record.state) "
                        + "with \(hasOutput ? "an" : "no") output")
            }
        }
    }
}
