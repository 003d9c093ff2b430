package import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// Takes one command. Its reply comes as an effect, now or when its entry is durable.
    package func handle(_ command: Command, now: Now, effects: inout [Effect]) {
        guard case .running = mode else {
            refuse(command, effects: &effects)
            return
        }
        switch command {
        case .createTopic(let request, let name, let settings):
            createTopic(request, name, settings, now, &effects)
        case .deleteTopic(let request, let name):
            deleteTopic(request, name, &effects)
        case .createSubscription(let request, let name, let topic, let settings):
            createSubscription(request, name, topic, settings, now, &effects)
        case .updateSubscription(let request, let name, let change):
            updateSubscription(request, name, change, &effects)
        case .deleteSubscription(let request, let name):
            deleteSubscription(request, name, &effects)
        case .pauseSubscription(let request, let name, let forNanos):
            pauseSubscription(request, name, forNanos, now, &effects)
        case .resumeSubscription(let request, let name):
            resumeSubscription(request, name, &effects)
        case .setBreaker(let request, let name, let position):
            setBreaker(request, name, position, &effects)
        case .redrive(let request, let name, let ranges, let note):
            redrive(request, name, ranges, note, &effects)
        case .purge(let request, let name, let ranges):
            purge(request, name, ranges, &effects)
        case .redriveEdited(let request, let edited): redriveEdited(request, edited, &effects)
        case .fetch(let request, let name, let offsets):
            fetch(request, name, offsets, &effects)
        case .publish(let request, let publish):
            self.publish(request, publish, now, &effects)
        case .atomic(let request, let command): atomic(request, command, now, &effects)
        case .openProducer(let request, let topic, let producer, let epoch):
            openProducer(request, topic, producer, epoch, now, &effects)
        case .skipSequences(let request, let topic, let producer, let epoch, let next):
            skipSequences(request, topic, producer, epoch, next, now, &effects)
        case .openConsumer(let request, let id, let session, let name, let limit, let claims):
            let opening = ConsumerOpening(
                request: request, consumer: id, session: session, subscription: name, limit: limit,
                claims: claims)
            openConsumer(opening, now, &effects)
        case .setLimit(let consumer, let limit):
            guard let holder = sessions.consumers[consumer] else { break }
            holder.limit = limit
            // Hosts set 0 by themselves, when a connection does not take more.
            if limit.messages > 0 { signOfLife(holder, now) }
            markDirty(holder.subscription)
        case .settle(let request, let settle):
            self.settle(request, settle, now, &effects)
        case .heartbeat(let session):
            heartbeat(session, now)
        case .closeConsumer(let request, let consumer):
            closeConsumer(request, consumer, now, &effects)
        case .disconnected(let consumer):
            disconnected(consumer, now)
        }
        finishEvent(now, &effects)
    }

    /// Answers a command with why none is taken.
    private func refuse(_ command: Command, effects: inout [Effect]) {
        let failure: Failure =
            if case .stopped(let why) = mode { why } else {
                Failure(.unavailable, .draining, "the namespace is not recovered yet")
            }
        switch command {
        case .createTopic(let request, _, _), .deleteTopic(let request, _),
            .createSubscription(let request, _, _, _), .deleteSubscription(let request, _),
            .pauseSubscription(let request, _, _), .resumeSubscription(let request, _),
            .setBreaker(let request, _, _), .publish(let request, _),
            .atomic(let request, _),
            .openProducer(let request, _, _, _), .updateSubscription(let request, _, _),
            .redrive(let request, _, _, _), .purge(let request, _, _),
            .fetch(let request, _, _), .redriveEdited(let request, _),
            .skipSequences(let request, _, _, _, _), .openConsumer(let request, _, _, _, _, _),
            .settle(let request, _), .closeConsumer(let request, _):
            effects.append(.reply(request, .failure(failure)))
        case .setLimit, .heartbeat, .disconnected: break
        }
    }

    /// What every event ends with: deliveries that have become possible.
    func finishEvent(_ now: Now, _ effects: inout [Effect]) {
        serveDeaths(now, &effects)
        // Serving one may make another servable: a few rounds do, the rest is for the next event.
        var rounds = 0
        while !work.dirty.isEmpty, rounds < 4 {
            let dirty = work.dirty
            work.dirty.removeAll(keepingCapacity: true)
            for subscription in dirty {
                subscription.activity.isDirty = false
                serve(subscription, now, &effects)
            }
            rounds += 1
        }
    }

    func markDirty(_ subscription: SubscriptionState) {
        guard !subscription.activity.isDirty else { return }
        subscription.activity.isDirty = true
        work.dirty.append(subscription)
    }

    /// Queues a proposal that is not a publish; refuses it where too many wait.
    func propose(
        _ work: TailWork, _ reply: PendingReply, _ request: RequestID?, _ effects: inout [Effect]
    ) -> Bool {
        if let request, tail.control.count >= configuration.maximumQueuedRequests {
            effects.append(.reply(request, .failure(.overloaded("requests wait for the journal"))))
            return false
        }
        tail.control.append(TailItem(work, reply, request.map { [$0] } ?? []))
        return true
    }

    /// Whether publishes are refused at the door.
    package func setPublishing(_ state: PublishingState) { publishing = state }
}

extension Failure {
    static func overloaded(_ what: String) -> Failure {
        Failure(
            .resourceExhausted, .overloaded, "too many \(what); try again shortly",
            retryAfterNanos: 100_000_000)
    }

    static func tooMany(_ what: String, limit: Int) -> Failure {
        Failure(.resourceExhausted, .tooMany, "there are \(limit) \(what) already, the maximum")
    }

    static func fenced(_ epoch: UInt32, by newer: UInt32) -> Failure {
        Failure(
            .failedPrecondition, .fenced,
            "epoch \(epoch) of this producer is fenced: epoch \(newer) was opened")
    }

    static func sequenceGap(_ base: UInt64, expected: UInt64, wasRefused: Bool) -> Failure {
        wasRefused
            ? Failure(
                .failedPrecondition, .afterRefused,
                "sequence \(base) follows a refused one: send \(expected) again, or skip it")
            : Failure(
                .failedPrecondition, .sequenceGap,
                "sequence \(base) leaves a gap: \(expected) comes next")
    }

    static func sequenceOverlap(_ base: UInt64, _ end: UInt64) -> Failure {
        Failure(
            .failedPrecondition, .sequenceOverlap,
            "sequences \(base) to \(end - 1) are not those of one earlier batch, nor all new")
    }

    static func sequenceExpired(_ base: UInt64) -> Failure {
        Failure(
            .failedPrecondition, .sequenceExpired,
            "sequence \(base) was taken too long ago for its offset to be known")
    }
}
