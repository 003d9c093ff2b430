import ChaskiBroker
import ChaskiModel
import ChaskiRecords
import ChaskiStreams
import ChaskiWire

/// The broker's ends of connections over the wire.
extension BrokerHost {
    var streamSettings: StreamSettings {
        let wire = simulation.wireSettings
        return StreamSettings(
            pauseBytes: wire.pauseBytes, resumeBytes: wire.pauseBytes / 4,
            deliverBytes: wire.deliverBytes,
            recordLimits: RecordBatchLimits(
                messages: wire.limits.batchMessages, payloadBytes: wire.limits.payloadBytes,
                batchBytes: wire.limits.unitBytes))
    }

    func accept(_ number: Int, _ configuration: ConnectionConfiguration) -> WireBroker {
        let broker = WireBroker(number: number, host: self, configuration)
        routes[UInt64(number)] = broker
        return broker
    }

    /// Tells the connections that were spoken to that the run of events is over.
    func endTurns() {
        for number in spokenTo { routes[number]?.streams.take(.turnEnded) }
    }

    /// Sends what the turn left to be sent.
    func pumpSpokenTo() {
        while !spokenTo.isEmpty {
            let numbers = spokenTo
            spokenTo.removeAll(keepingCapacity: true)
            for number in numbers { simulation.pump(Int(number), fromBroker: true) }
        }
    }

    func callDeadline(_ number: Int, _ stream: StreamID) {
        guard let route = routes[UInt64(number)] else { return }
        route.streams.deadlinePassed(of: stream)
        route.streams.endTurn()
        simulation.pump(number, fromBroker: true)
    }
}

extension BrokerHost: ShardEventSink {
    func send(_ event: ShardEvent, to connection: UInt64) {
        if case .answered(let id, let result) = event { oracle.lettersAnswered(id, result) }
        if let route = routes[connection] {
            route.streams.take(event)
            if !spokenTo.contains(connection) { spokenTo.append(connection) }
        } else if case .answered(let id, let result) = event,
            let waiter = waiting.removeValue(forKey: id)
        {
            simulation.respond(
                .answered(tag: waiter.tag, result.map { $0[...] }), on: waiter.connection)
        }
    }
}
