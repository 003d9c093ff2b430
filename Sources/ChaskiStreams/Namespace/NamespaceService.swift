package import ChaskiBroker
package import ChaskiModel

/// Whoever leads what a shard says to its connections.
package protocol ShardEventSink: AnyObject {
    /// Says `event` to the connection of that number; nothing when it is gone.
    func send(_ event: ShardEvent, to connection: UInt64)
}

/// What connections ask of one namespace, as commands to its core, and the core's effects as
/// events for the connections. Pure; confined to the namespace's loop.
package final class NamespaceService {
    package let machine: NamespaceMachine
    private unowned let sink: any ShardEventSink
    var followUps: [RequestID: FollowUp] = [:]
    /// When the last request came.
    private(set) var now = Now(clock: 0, wall: 0)

    /// - Parameter sink: outlives the service.
    package init(_ machine: NamespaceMachine, sink: any ShardEventSink) {
        self.machine = machine
        self.sink = sink
    }

    /// Requests whose answer needs more than the core's reply, at the moment.
    package var pendingFollowUps: Int { followUps.count }

    /// What a request asks of the core, which the host hands it at once; nil for one that was
    /// answered here. `attach` and `detach` are the host's.
    package func command(for request: ShardRequest, now: Now) -> Command? {
        self.now = now
        switch request {
        case .attach, .detach:
            return nil
        case .command(let command):
            return command
        case .bind(let request, let topic, let producer, let epoch):
            return bind(request, topic: topic, producer: producer, epoch: epoch)
        case .subscribe(let request):
            return subscribe(request)
        case .admin(let request, let admin):
            return take(admin, request: request)
        }
    }

    /// Carries an effect out as far as it is about connections; false where all of it is the
    /// host's.
    package func carryOut(_ effect: Effect) -> Bool {
        switch effect {
        case .reply(let request, let result):
            if let followUp = followUps.removeValue(forKey: request) {
                follow(followUp, request: request, result)
            } else {
                reply(.replied(request, result), request)
            }
        case .deliver(let consumer, _, let deliveries):
            send(.deliver(consumer, deliveries), to: consumer)
        case .consumerEnded(let consumer, let failure):
            send(.ended(consumer, failure), to: consumer)
        case .stalled(_, let consumers, let failure):
            for consumer in consumers { send(.stalled(consumer, failure), to: consumer) }
        case .read, .released, .topicRemoved, .deathsHeld:
            return false
        }
        return true
    }

    func reply(_ event: ShardEvent, _ request: RequestID) {
        sink.send(event, to: Numbering.connection(of: request.rawValue))
    }

    private func send(_ event: ShardEvent, to consumer: ConsumerID) {
        sink.send(event, to: Numbering.connection(of: consumer.rawValue))
    }
}
