import ChaskiBroker
import ChaskiModel

/// Turns what clients send into commands, as the server's connections do.
extension BrokerHost {
    private func request(
        _ tag: UInt64, on connection: Int, _ shape: Waiting.Shape = .plain
    ) -> RequestID {
        let id = RequestID(rawValue: nextRequest)
        nextRequest += 1
        waiting[id] = Waiting(connection: connection, tag: tag, shape: shape)
        return id
    }

    private func producerID(_ number: Int) -> ProducerID {
        ProducerID(rawValue: UInt128(simulation.seed) << 32 | UInt128(number + 1))
    }

    func received(_ request: Request, tag: UInt64, on number: Int) {
        guard let machine, simulation.connections[number].life == life else { return }
        simulation.note("request", UInt64(number), tag, "\(request)")
        switch request {
        case .bind(let name, let producer, let epoch):
            guard let topic = machine.topic(named: name) else {
                return simulation.respond(
                    .bound(tag: tag, nil, .failure(.unknownTopic(name))), on: number)
            }
            submit(
                .openProducer(
                    self.request(tag, on: number, .bound(topic.id)), topic: topic.id,
                    producerID(producer), epoch: epoch), producer: producer)
        case .publish(let index):
            let publication = oracle.publications[index]
            submit(
                .publish(
                    self.request(tag, on: number),
                    PublishCommand(
                        topic: publication.topic, producer: producerID(publication.producer),
                        producerEpoch: publication.producerEpoch,
                        baseSequence: publication.baseSequence, batch: publication.bytes,
                        count: publication.count)), publication: index)
        case .skip(let topic, let producer, let epoch, let next):
            submit(
                .skipSequences(
                    self.request(tag, on: number), topic: topic, producerID(producer), epoch: epoch,
                    next: next), producer: producer)
        case .open(let session, let subscription, let limit, let claims):
            let consumer = ConsumerID(rawValue: nextConsumer)
            nextConsumer += 1
            connectionOfConsumer[consumer] = number
            simulation.connections[number].consumers.append(consumer)
            submit(
                .openConsumer(
                    self.request(tag, on: number, .opened(consumer)), consumer, session: session,
                    subscription: subscription, limit, claims: claims))
        case .setLimit(let consumer, let limit):
            guard connectionOfConsumer[consumer] == number else { return }
            submit(.setLimit(consumer, limit))
        case .settle(let settle):
            guard connectionOfConsumer[settle.consumer] == number else {
                let failure = Failure(.notFound, .unknownSession, "no such consumer here")
                return simulation.respond(.reply(tag: tag, .failure(failure)), on: number)
            }
            submit(.settle(self.request(tag, on: number), settle))
        case .heartbeat(let session): submit(.heartbeat(session))
        case .close(let consumer):
            guard connectionOfConsumer[consumer] == number else { return }
            submit(.closeConsumer(self.request(tag, on: number), consumer))
        default: topologyReceived(request, tag: tag, on: number)
        }
    }

    private func topologyReceived(_ request: Request, tag: UInt64, on number: Int) {
        let id = self.request(tag, on: number)
        switch request {
        case .createTopic(let name): submit(.createTopic(id, name: name, TopicSettings()))
        case .deleteTopic(let name): submit(.deleteTopic(id, name: name))
        case .createSubscription(let name, let topic, let settings):
            submit(.createSubscription(id, name: name, topic: topic, settings))
        case .deleteSubscription(let name): submit(.deleteSubscription(id, name: name))
        default: preconditionFailure("not a change of topology")
        }
    }

    func connectionGone(_ number: Int) {
        guard isServing, simulation.connections[number].life == life else { return }
        simulation.note("gone", UInt64(number))
        for consumer in simulation.connections[number].consumers
        where connectionOfConsumer.removeValue(forKey: consumer) != nil {
            submit(.disconnected(consumer))
        }
    }
}
