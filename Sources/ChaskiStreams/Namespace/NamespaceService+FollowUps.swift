import ChaskiBroker
import ChaskiModel

/// What to do once the core answered a request that is more than one command.
enum FollowUp {
    case bind(TopicInfo)
    case subscribe(subscription: String)
    case admin(AdminRequest)
    case deadLetters(DeadLetterFollowUp)
}

extension NamespaceService {
    /// Looks `topic` up and asks the core where the producer stands.
    func bind(
        _ request: RequestID, topic: String, producer: ProducerID, epoch: UInt32
    ) -> Command? {
        guard let info = machine.topic(named: topic) else {
            reply(.bound(request, .failure(.unknownTopic(topic))), request)
            return nil
        }
        followUps[request] = .bind(info)
        return .openProducer(request, topic: info.id, producer, epoch: epoch)
    }

    func subscribe(_ request: SubscribeRequest) -> Command {
        followUps[request.request] = .subscribe(subscription: request.subscription)
        return .openConsumer(
            request.request, request.consumer, session: request.session,
            subscription: request.subscription, request.limit, claims: request.claims)
    }

    /// The core answered the first half of `request`.
    func follow(_ followUp: FollowUp, request: RequestID, _ result: Result<Reply, Failure>) {
        switch followUp {
        case .bind(let topic):
            reply(.bound(request, result.flatMap { bound($0, topic) }), request)
        case .subscribe(let subscription):
            reply(.subscribed(request, result.flatMap { opened($0, subscription) }), request)
        case .deadLetters(let followUp):
            let answer = result.flatMap { self.answer(followUp, $0) }
            reply(.answered(request, answer), request)
        case .admin(let admin):
            reply(.answered(request, result.flatMap { _ in answer(admin) }), request)
        }
    }

    private func bound(_ reply: Reply, _ topic: TopicInfo) -> Result<BoundTopic, Failure> {
        guard case .producerOpened(let next) = reply else { return .failure(.unexpectedReply) }
        return .success(
            BoundTopic(id: topic.id, incarnation: topic.incarnation, nextSequence: next))
    }

    private func opened(
        _ reply: Reply, _ subscription: String
    )
        -> Result<OpenedConsumer, Failure>
    {
        guard case .consumerOpened(let id, let epoch, let leaseNanos, let held) = reply else {
            return .failure(.unexpectedReply)
        }
        let info = machine.subscription(named: subscription)
        return .success(
            OpenedConsumer(
                id: id, topic: info?.topicName ?? "", topicIncarnation: info?.topicIncarnation ?? 0,
                isOrdered: info?.settings.order != nil, epoch: epoch, leaseNanos: leaseNanos,
                held: held))
    }
}

extension Failure {
    /// Our own bug, told as such rather than hidden.
    static let unexpectedReply = Failure(
        .internalError, FailureReason(rawValue: "unexpected-reply"),
        "The broker's core answered something else than what was asked.")
}
