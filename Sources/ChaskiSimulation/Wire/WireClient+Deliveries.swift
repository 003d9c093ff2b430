import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire

/// What comes on a consume stream.
extension WireClient {
    func consumeAnswered(_ response: Chaski_V1_ConsumeResponse, _ attachment: Bytes) throws {
        switch response.kind {
        case .subscribed(let subscribed)?: try self.subscribed(subscribed, attachment)
        case .deliver(let deliver)?: try delivered(deliver, attachment)
        case .settled(let settled)?:
            let refused = try SettleRejections.decode(attachment)
            let result: Result<Reply, Failure>
            if settled.hasStatus, let failure = settled.status.failure {
                result = .failure(failure)
            } else {
                result = .success(
                    .settled(
                        accepted: settled.accepted,
                        rejected: refused.map {
                            SettleRejection(
                                offset: $0.offset, handout: $0.handout, reason: $0.reason)
                        }))
            }
            answer(settled.requestID, result)
        case .ended(let ended)?: self.ended(ended)
        case .stalled?: break
        case nil: simulation.oracle.violated("wire", "a consume response of no kind")
        }
    }

    private func subscribed(_ message: Chaski_V1_Subscribed, _ attachment: Bytes) throws {
        guard case .opening(let tag)? = aliases[message.alias]?.phase else { return }
        aliases[message.alias]?.phase = .open
        let subscription = SubscriptionID(rawValue: message.subscriptionID)
        aliases[message.alias]?.subscription = subscription
        let held = try TokenRanges.decode(attachment, epoch: message.epoch)
        tell(
            .opened(
                tag: tag, ConsumerID(rawValue: UInt64(message.alias)),
                .success(
                    .consumerOpened(
                        subscription, epoch: message.epoch,
                        leaseNanos: Int64(clamping: message.leaseNanos), held: held))))
    }

    private func ended(_ message: Chaski_V1_SubscriptionEnded) {
        guard let alias = aliases.removeValue(forKey: message.alias) else { return }
        let consumer = ConsumerID(rawValue: UInt64(message.alias))
        let failure = message.hasStatus ? message.status.failure : nil
        switch alias.phase {
        case .opening(let tag):
            tell(.opened(tag: tag, consumer, .failure(failure ?? Self.endedWithoutReason)))
        case .closing(let tag): tell(.reply(tag: tag, .success(.done)))
        case .open: tell(.ended(consumer, failure ?? Self.endedWithoutReason))
        }
    }

    private static let endedWithoutReason = Failure(
        .unavailable, .streamClosed, "the subscription ended")

    private func delivered(_ message: Chaski_V1_Deliver, _ attachment: Bytes) throws {
        // What was on its way when the consumer was closed comes to nobody.
        guard let alias = aliases[message.alias] else { return }
        var deliveries: [Delivery] = []
        for section in try DeliverySections.decode(attachment) {
            let view = try RecordBatchView(
                validating: section.batch, limits: .maximum, origin: .delivered)
            let runs = section.runs.map {
                DeliveryRun(
                    first: $0.first, count: $0.count, handout: $0.handout, failed: $0.failed)
            }
            simulation.oracle.arrived(view, runs, of: alias.subscription)
            deliveries.append(
                Delivery(
                    batch: StoredBatch(
                        topic: TopicID(rawValue: 0), baseOffset: view.baseOffset,
                        count: UInt32(clamping: view.count), bytes: section.batch), runs: runs))
        }
        guard case .open = alias.phase else { return }
        tell(.delivery(ConsumerID(rawValue: UInt64(message.alias)), deliveries))
    }
}
