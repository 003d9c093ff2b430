import ChaskiModel
import ChaskiStreams
import ChaskiWire

/// Bytes between the ends of connections over the real wire, and their timers.
extension Simulation {
    func openWire(_ number: Int, client: Int) {
        hit(.wire)
        let grace = plan.resumeGraceNanos
        wires[number] = WireConnection(
            number: number,
            client: WireClient(
                self, number: number, client: client,
                wireSettings.configuration(.client, resumeGraceNanos: grace)),
            broker: host.accept(
                number, wireSettings.configuration(.server, resumeGraceNanos: grace)),
            capacity: wireSettings.capacity)
        pump(number, fromBroker: false)
    }

    /// Writes what an end has to say while the pipe takes it, and sets its timer.
    func pump(_ number: Int, fromBroker: Bool) {
        guard let wire = wires[number] else { return }
        if fromBroker {
            var hasWritten = false
            while wire.toClient.room > 0 {
                var bytes: [UInt8] = []
                let more = wire.broker.machine.writeOutput(
                    into: &bytes, maximumBytes: wire.toClient.room, now: now)
                guard !bytes.isEmpty else { break }
                write(bytes, wire, toBroker: false)
                hasWritten = true
                if !more { break }
            }
            if hasWritten, !connections[number].brokerKnows { wire.broker.streams.outputDrained() }
        } else {
            while wire.toBroker.room > 0 {
                var bytes: [UInt8] = []
                let more = wire.client.machine.writeOutput(
                    into: &bytes, maximumBytes: wire.toBroker.room, now: now)
                guard !bytes.isEmpty else { break }
                write(bytes, wire, toBroker: true)
                if !more { break }
            }
            // It may have become writable.
            wire.client.handleEvents()
        }
        armWireTimer(wire, atBroker: fromBroker)
    }

    private func write(_ bytes: [UInt8], _ wire: WireConnection, toBroker: Bool) {
        var rest = bytes[...]
        var scheduled: Int64 = -1
        while !rest.isEmpty {
            let size = plan.has(.fragments) ? fragment(rest.count) : rest.count
            let arrival: Int64
            if toBroker {
                arrival = wire.toBroker.append(Array(rest.prefix(size)), arrival: now + delay())
            } else {
                arrival = wire.toClient.append(Array(rest.prefix(size)), arrival: now + delay())
            }
            rest = rest.dropFirst(size)
            guard arrival != scheduled else { continue }
            scheduled = arrival
            queue.schedule(.bytesArrive(connection: wire.number, toBroker: toBroker), at: arrival)
        }
    }

    /// How much of what is left goes as one piece: a few bytes now and then, mostly a segment.
    private func fragment(_ left: Int) -> Int {
        hit(.fragments)
        let size =
            networkRandom.chance(1, in: 4)
            ? networkRandom.integer(in: 1...24) : networkRandom.integer(in: 25...4_000)
        return min(left, size)
    }

    func bytesArrive(_ number: Int, toBroker: Bool) {
        guard let wire = wires[number] else { return }
        let pipe = toBroker ? wire.toBroker : wire.toClient
        guard !pipe.isDead else { return }
        guard now >= pipe.stalledUntil else {
            return queue.schedule(
                .bytesArrive(connection: number, toBroker: toBroker), at: pipe.stalledUntil)
        }
        if toBroker {
            guard !connections[number].brokerKnows else { return }
            readAtBroker(wire)
            if !connections[number].clientKnows { pump(number, fromBroker: false) }
        } else {
            guard !connections[number].clientKnows else { return }
            readAtClient(wire)
            if !connections[number].brokerKnows { pump(number, fromBroker: true) }
        }
    }

    private func readAtBroker(_ wire: WireConnection) {
        while let bytes = wire.toBroker.take(now: now) {
            note("to broker", UInt64(wire.number), UInt64(bytes.count))
            wire.broker.machine.received(bytes.span.bytes, now: now)
            wire.broker.handleEvents()
        }
        pump(wire.number, fromBroker: true)
        if wire.broker.hasFailed || (wire.toBroker.isFinished && wire.toBroker.isEmpty) {
            brokerLeaves(wire)
        }
    }

    private func readAtClient(_ wire: WireConnection) {
        while !connections[wire.number].clientKnows, let bytes = wire.toClient.take(now: now) {
            note("to client", UInt64(wire.number), UInt64(bytes.count))
            wire.client.machine.received(bytes.span.bytes, now: now)
            wire.client.handleEvents()
        }
        guard !connections[wire.number].clientKnows else { return }
        pump(wire.number, fromBroker: false)
        if wire.toClient.isFinished, wire.toClient.isEmpty { lost(wire.number) }
    }

    // MARK: - Timers

    private func armWireTimer(_ wire: WireConnection, atBroker: Bool) {
        let deadline =
            atBroker ? wire.broker.machine.nextDeadlineNanos : wire.client.machine.nextDeadlineNanos
        guard let deadline else { return }
        let armed = atBroker ? wire.brokerTimer : wire.clientTimer
        guard deadline < armed else { return }
        if atBroker { wire.brokerTimer = deadline } else { wire.clientTimer = deadline }
        queue.schedule(.wireTimer(connection: wire.number, atBroker: atBroker), at: deadline)
    }

    func wireTimer(_ number: Int, atBroker: Bool) {
        guard let wire = wires[number] else { return }
        if atBroker {
            guard !connections[number].brokerKnows, now >= wire.brokerTimer else { return }
            wire.brokerTimer = .max
            wire.broker.machine.timerFired(now: now)
            wire.broker.handleEvents()
            pump(number, fromBroker: true)
            if wire.broker.hasFailed { brokerLeaves(wire) }
        } else {
            guard !connections[number].clientKnows, now >= wire.clientTimer else { return }
            wire.clientTimer = .max
            wire.client.machine.timerFired(now: now)
            wire.client.handleEvents()
            if !connections[number].clientKnows { pump(number, fromBroker: false) }
        }
    }

    // MARK: - Ends

    /// An end gave the connection up.
    func wireFailed(_ failure: Failure, atBroker: Bool, on number: Int) {
        note("wire failed", UInt64(number), atBroker ? 1 : 0, failure.message)
        if failure.reason == .protocolError {
            oracle.violated("wire", "a protocol error between our own ends: \(failure.message)")
        }
    }

    /// The broker's end is over: what it still said arrives, then the end.
    private func brokerLeaves(_ wire: WireConnection) {
        guard !connections[wire.number].brokerKnows else { return }
        connections[wire.number].brokerKnows = true
        host.connectionGone(wire.number)
        guard !wire.toClient.isBroken else { return }
        let arrival = wire.toClient.finish(arrival: now + delay())
        queue.schedule(.bytesArrive(connection: wire.number, toBroker: false), at: arrival)
        forgetWire(wire.number)
    }

    /// The client's end is over, and the client is told.
    func lost(_ number: Int) {
        guard !connections[number].clientKnows else { return }
        leave(number)
        clients[connections[number].client].connectionLost()
    }

    /// The client closes its end; what it said before arrives, then the end.
    func leave(_ number: Int) {
        connections[number].clientKnows = true
        guard let wire = wires[number] else { return }
        wire.client.end()
        if !wire.toBroker.isBroken {
            let arrival = wire.toBroker.finish(arrival: now + delay())
            queue.schedule(.bytesArrive(connection: number, toBroker: true), at: arrival)
        }
        forgetWire(number)
    }

    /// A reset: of what is on its way both ends get the beginning.
    func resetWire(_ number: Int) {
        guard let wire = wires[number] else { return }
        wire.toBroker.reset(keeping: networkRandom.below(wire.toBroker.count + 1))
        wire.toClient.reset(keeping: networkRandom.below(wire.toClient.count + 1))
        queue.schedule(
            .connectionGone(connection: number), at: max(now + delay(), wire.toBroker.lastArrival))
        queue.schedule(
            .connectionLost(connection: number), at: max(now + delay(), wire.toClient.lastArrival))
    }

    /// Frees what nobody looks at any more.
    func forgetWire(_ number: Int) {
        if connections[number].clientKnows, connections[number].brokerKnows { wires[number] = nil }
    }
}
