import ChaskiBroker

/// One connection between a client and the broker: in order both ways, until it is cut.
struct Connection {
    let client: Int
    /// The broker process that it leads to.
    let life: Int
    /// Nothing gets through any more.
    var isCut = false
    var clientKnows = false
    var brokerKnows = false
    /// What was sent before a cut may still arrive.
    var lingers = false
    /// The arrival of the last message each way; the next arrives no earlier.
    var lastAtBroker: Int64 = 0
    var lastAtClient: Int64 = 0
    /// Open consumers, in order of opening.
    var consumers: [ConsumerID] = []
}

extension Simulation {
    /// A new connection for `client`, if the broker listens.
    func connect(client: Int) -> Int? {
        guard host.isServing else { return nil }
        connections.append(Connection(client: client, life: host.life))
        let number = connections.count - 1
        if plan.has(.wire) { openWire(number, client: client) }
        return number
    }

    func delay() -> Int64 { networkRandom.skewed(mean: plan.networkNanos) }

    func send(_ request: Request, tag: UInt64, on number: Int) {
        guard !connections[number].isCut else { return }
        if let wire = wires[number] {
            wire.client.ask(request, tag: tag)
            if !connections[number].clientKnows { pump(number, fromBroker: false) }
            return
        }
        let arrival = max(connections[number].lastAtBroker, now + delay())
        connections[number].lastAtBroker = arrival
        queue.schedule(.requestArrives(connection: number, tag: tag, request), at: arrival)
    }

    func respond(_ response: Response, on number: Int) {
        guard !connections[number].isCut else { return }
        let arrival = max(connections[number].lastAtClient, now + delay())
        connections[number].lastAtClient = arrival
        queue.schedule(.responseArrives(connection: number, response), at: arrival)
    }

    /// Cuts a connection in the middle of whatever it carries. Either side notices in its time.
    func cut(_ number: Int, halfOpen: Bool) {
        guard !connections[number].isCut else { return }
        if let wire = wires[number], halfOpen {
            // Neither end is told: their keepalives must find out.
            let direction = networkRandom.below(3)
            if direction != 0 { wire.toBroker.isDead = true }
            if direction != 1 { wire.toClient.isDead = true }
            return
        }
        connections[number].isCut = true
        if wires[number] != nil { return resetWire(number) }
        connections[number].lingers = networkRandom.chance(1, in: 2)
        queue.schedule(.connectionLost(connection: number), at: now + delay())
        let notice =
            halfOpen ? networkRandom.nanos(in: 1_000_000_000...20_000_000_000) : delay()
        queue.schedule(.connectionGone(connection: number), at: now + notice)
    }

    /// Nothing passes one way for a while; it is all there afterwards.
    func stall(_ number: Int, nanos: Int64) {
        let toBroker = networkRandom.chance(1, in: 2)
        let until = now + nanos
        guard let wire = wires[number] else {
            if toBroker {
                connections[number].lastAtBroker = max(connections[number].lastAtBroker, until)
            } else {
                connections[number].lastAtClient = max(connections[number].lastAtClient, until)
            }
            return
        }
        if toBroker {
            wire.toBroker.stalledUntil = until
        } else {
            wire.toClient.stalledUntil = until
        }
    }

    /// The client closes its side without a word.
    func drop(_ number: Int) {
        if wires[number] != nil {
            connections[number].isCut = true
            return leave(number)
        }
        guard !connections[number].isCut else { return }
        connections[number].clientKnows = true
        connections[number].isCut = true
        let arrival = max(connections[number].lastAtBroker, now + delay())
        queue.schedule(.connectionGone(connection: number), at: arrival)
    }

    /// The broker's process is gone, and all its connections with it.
    func cutAll() {
        for number in firstLiveConnection..<connections.count where !connections[number].isCut {
            connections[number].isCut = true
            connections[number].brokerKnows = true
            if let wire = wires[number] {
                wire.toClient.reset(keeping: networkRandom.below(wire.toClient.count + 1))
                connections[number].lastAtClient = wire.toClient.lastArrival
            }
            connections[number].lingers = networkRandom.chance(1, in: 2)
            queue.schedule(
                .connectionLost(connection: number),
                at: max(connections[number].lastAtClient, now + delay()))
        }
        firstLiveConnection = connections.count
    }
}
