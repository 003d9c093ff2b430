import ChaskiBroker
import ChaskiModel
import ChaskiRecords
import ChaskiStreams

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
                    simulation.producerID(producer), epoch: epoch))
        case .publish(let index):
            let publication = oracle.publications[index]
            submit(
                .publish(
                    self.request(tag, on: number),
                    PublishCommand(
                        topic: publication.topic,
                        producer: simulation.producerID(publication.producer),
                        producerEpoch: publication.producerEpoch,
                        baseSequence: publication.baseSequence, batch: publication.bytes,
                        count: publication.count)))
        case .atomic(let command):
            submit(.atomic(self.request(tag, on: number), command))
        case .skip(let topic, let producer, let epoch, let next):
            submit(
                .skipSequences(
                    self.request(tag, on: number), topic: topic, simulation.producerID(producer),
                    epoch: epoch,
                    next: next))
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
        case .call(let method, let bytes, let attachment):
            call(method, bytes, attachment, tag: tag, on: number)
        }
    }

    private func call(
        _ method: Method, _ bytes: [UInt8], _ attachment: Bytes, tag: UInt64, on number: Int
    ) {
        let id = request(tag, on: number, .called)
        do throws(Failure) {
            guard
                let admin = try AdminRequest(
                    method, bytes[...], attachment: attachment, limits: .maximum)
            else {
                preconditionFailure("\(method) is not unary")
            }
            expectAnswer(id, admin)
            if let command = service?.command(for: .admin(id, admin), now: now) { submit(command) }
        } catch {
            oracle.violated("wire", "a request of our own cannot be read: \(error.message)")
        }
    }

    func connectionGone(_ number: Int) {
        guard isServing, simulation.connections[number].life == life else { return }
        simulation.note("gone", UInt64(number))
        if let route = routes.removeValue(forKey: UInt64(number)) {
            route.streams.connectionEnded()
            route.flushLines()
            return
        }
        for consumer in simulation.connections[number].consumers
        where connectionOfConsumer.removeValue(forKey: consumer) != nil {
            submit(.disconnected(consumer))
        }
    }
}
