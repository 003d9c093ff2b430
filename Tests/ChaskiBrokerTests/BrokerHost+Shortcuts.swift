import ChaskiBroker
import ChaskiModel
import ChaskiRecords

let second: Int64 = 1_000_000_000

/// Messages of equal length; with keys, the n-th has the n-th of them, as often as they last.
func batch(_ count: Int, bytes: Int = 10, keys: [String] = []) -> Bytes {
    var builder = RecordBatchBuilder()
    for number in 0..<count {
        let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes)
        let key = number < keys.count ? Array(keys[number].utf8) : nil
        do {
            try builder.append(message: Message(payload, key: key))
        } catch {
            preconditionFailure("a plain message fits: \(error)")
        }
    }
    return builder.finish()[...]
}

extension BrokerHost {
    @discardableResult
    func createTopic(_ name: String = "t", _ settings: TopicSettings = TopicSettings()) -> TopicID {
        guard
            case .success(.topicCreated(let id))? = ask({ .createTopic($0, name: name, settings) })
        else { preconditionFailure("topic \(name) was not created") }
        return id
    }

    @discardableResult
    func subscribe(
        _ settings: SubscriptionSettings = SubscriptionSettings(), name: String = "s",
        topic: String = "t"
    ) -> SubscriptionID {
        let result = ask { .createSubscription($0, name: name, topic: topic, settings) }
        guard case .success(.subscriptionCreated(let id))? = result else {
            preconditionFailure("subscription \(name) was not created")
        }
        return id
    }

    func publishCommand(
        _ topic: TopicID, _ base: UInt64, _ count: Int, producer: UInt128 = 1, epoch: UInt32 = 0,
        bytes: Int = 10, keys: [String] = []
    ) -> PublishCommand {
        PublishCommand(
            topic: topic, producer: ProducerID(rawValue: producer), producerEpoch: epoch,
            baseSequence: base, batch: batch(count, bytes: bytes, keys: keys),
            count: UInt32(count))
    }

    /// Publishes messages with these keys and makes them durable.
    @discardableResult
    func publish(_ topic: TopicID, _ base: UInt64, keys: [String]) -> Result<Reply, Failure>? {
        let command = publishCommand(topic, base, keys.count, keys: keys)
        return ask { .publish($0, command) }
    }

    /// Publishes and makes it durable.
    @discardableResult
    func publish(
        _ topic: TopicID, _ base: UInt64, _ count: Int, producer: UInt128 = 1, epoch: UInt32 = 0,
        bytes: Int = 10
    ) -> Result<Reply, Failure>? {
        let command = publishCommand(
            topic, base, count, producer: producer, epoch: epoch, bytes: bytes)
        return ask { .publish($0, command) }
    }

    /// Opens a consumer; answers its id and what of the claims it holds.
    @discardableResult
    func open(
        _ session: UInt128, _ subscription: String = "s", messages: UInt32 = 1_000,
        bytes: UInt64 = 1 << 30, claims: [TokenRange] = [], of claimed: SubscriptionID? = nil
    ) -> (id: ConsumerID, held: [TokenRange]) {
        let id = newConsumer()
        let known = machine.subscription(named: subscription)?.id
        let result = ask {
            .openConsumer(
                $0, id, session: SessionID(rawValue: session), subscription: subscription,
                ConsumerLimit(messages: messages, bytes: bytes),
                claims: SessionClaims(
                    of: claimed ?? known ?? SessionClaims.none.subscription, claims))
        }
        guard case .success(.consumerOpened(_, _, _, let held))? = result else {
            preconditionFailure("the consumer was not opened: \(String(describing: result))")
        }
        return (id, held)
    }

    func tokens(_ offsets: [Offset], handout: UInt32 = 1, epoch: UInt32? = nil) -> [TokenRange] {
        offsets.sorted().map {
            TokenRange(epoch: epoch ?? self.epoch, first: $0, count: 1, handout: handout)
        }
    }

    /// A verdict, made durable: accepted offsets, and the refused with their reasons.
    @discardableResult
    func settle(
        _ consumer: ConsumerID, _ verb: Verb, _ ranges: [TokenRange], delay: Int64? = nil,
        reason: String = ""
    ) -> (accepted: UInt32, rejected: [SettleRejection])? {
        let command = SettleCommand(
            consumer: consumer, verb: verb, ranges: ranges, delayNanos: delay, reason: reason)
        guard case .success(.settled(let accepted, let rejected))? = ask({ .settle($0, command) })
        else { return nil }
        return (accepted, rejected)
    }

    func state(_ offset: Offset, _ subscription: String = "s") -> MessageState? {
        machine.messageState(subscription: subscription, offset: offset)
    }
}

extension Result<Reply, Failure>? {
    var reason: FailureReason? {
        if case .failure(let failure)? = self { failure.reason } else { nil }
    }

    var published: (offset: Offset, duplicate: Bool)? {
        if case .success(.published(let offset, _, let duplicate, _))? = self {
            (offset, duplicate)
        } else {
            nil
        }
    }
}
