import ChaskiModel

@testable import ChaskiBroker

struct Random {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next(_ bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state % UInt64(max(1, bound)))
    }
}

/// A consumer of the workload: what it believes it holds.
private struct Client {
    var session: UInt128
    var subscription: String
    var consumer: ConsumerID?
    /// Offset to hand-out number.
    var held: [Offset: UInt32] = [:]
}

/// One random history with its own idea of what must hold.
final class RandomRun {
    let host: BrokerHost
    private(set) var crashes = 0
    private(set) var trace: [UInt64] = []
    private var random: Random
    private var topic: TopicID
    /// A topic that remembers dedup ids, and where messages with them are.
    private var dedupTopic: TopicID
    private var idOffsets: [String: (offset: Offset, at: Int64)] = [:]
    private static let window = 4 * second
    private var clients: [Client] = []
    private var sequences: [UInt128: UInt64] = [:]
    private var asked: [UInt64: (verb: Verb, subscription: String, offsets: [Offset])] = [:]
    private var acked: [String: Set<Offset>] = [:]
    private var text: String?
    /// Keys of the topic's messages, by offset.
    private var keys: [UInt64?] = []
    private var journalRead = 0
    private let isOrdered: Bool

    init(seed: UInt64, isOrdered: Bool = false) {
        self.isOrdered = isOrdered
        random = Random(seed)
        var configuration = BrokerConfiguration(seed: seed)
        configuration.repeatChunks = random.next(4)
        configuration.checkpointSliceBytes = 200 + random.next(4_000)
        configuration.minimumCeilingStep = UInt64(1 + random.next(40))
        configuration.prefetchBytes = 500 + random.next(20_000)
        configuration.sequenceRanges = 1 + random.next(6)
        configuration.maximumDedupIDs = 20 + random.next(100)
        host = BrokerHost(configuration)
        host.maximumGroupBytes = 300 + random.next(10_000)
        topic = host.createTopic()
        dedupTopic = host.createTopic("d", TopicSettings(dedupWindowNanos: Self.window))
        for name in ["s", "u"] {
            var settings = SubscriptionSettings(
                retry: RetryPolicy(
                    minimumBackoffNanos: second, maximumBackoffNanos: 8 * second,
                    maximumFailures: UInt32(1 + random.next(4))),
                leaseNanos: 3 * second, maximumUnsettled: UInt32(20 + random.next(700)))
            if name == "u" {
                if random.next(2) == 0 { settings.rateLimit = UInt32(20 + random.next(1_000)) }
                settings.breaker = BreakerPolicy(
                    failureThousandths: 300, windowNanos: 20 * second, minimumVerdicts: 10,
                    openNanos: 2 * second)
            }
            if isOrdered { settings.order = OrderPolicy(runLength: UInt32(1 + random.next(5))) }
            settings.retry.multiplierThousandths = UInt32(1_000 + random.next(3_000))
            if random.next(2) == 0 {
                settings.retry.maximumAgeNanos = Int64(1 + random.next(20)) * second
            }
            settings.deadLetters.maximum = UInt32(1 + random.next(200))
            settings.deadLetters.retentionNanos = Int64(5 + random.next(100)) * second
            host.subscribe(settings, name: name)
            for number in 0..<2 {
                clients.append(Client(session: UInt128(clients.count + number), subscription: name))
            }
        }
        for index in clients.indices { clients[index].session = UInt128(index + 1) }
    }

    func problem() -> String? { text ?? host.machine.checkInvariants() }

    func step() {
        let choice = random.next(100)
        switch choice {
        case 0..<16: publish()
        case 16..<20: publishWithIDs()
        case 20..<22: atomic()
        case 22..<30: connect()
        case 30..<62: verdict()
        case 62..<64: disconnect()
        case 64..<66: close()
        case 66..<72: host.advance(Int64(random.next(1_500)) * 1_000_000)
        case 72..<74: host.advance(Int64(random.next(20)) * second)
        case 74..<76: heartbeat()
        case 76..<92:
            host.gather()
            if random.next(4) > 0 { host.sync() }
        case 92..<94: refuse()
        case 94..<96: host.machine.beginCheckpoint()
        case 96..<97: crash()
        case 97..<99: deadLetters()
        default: host.settle()
        }
        if random.next(12) == 0 { changeFlow() }
        digestReplies()
        take()
        checkExplanations()
        trace.append(host.machine.stateDigest())
    }

    // MARK: steps

    private func publish() {
        let producer = UInt128(1 + random.next(3))
        let base = sequences[producer] ?? 0
        let count = 1 + random.next(30)
        let keys =
            isOrdered ? (0..<max(0, count - random.next(3))).map { _ in "k\(random.next(9))" } : []
        let command = host.publishCommand(
            topic, base, count, producer: producer, bytes: random.next(60), keys: keys)
        let request = host.request()
        host.send(.publish(request, command))
        if host.reply(request).reason == nil { sequences[producer] = base + UInt64(count) }
    }

    /// Ids of a small pool, each with one payload; now and then another.
    private func publishWithIDs() {
        let producer = UInt128(4 + random.next(2))
        let base = sequences[producer] ?? 0
        let ids = (0..<1 + random.next(6)).map { _ -> String? in
            random.next(5) == 0 ? nil : "id \(random.next(60))"
        }
        let isConflict = random.next(20) == 0
        let command = host.publishCommand(
            dedupTopic, base, ids: ids, producer: producer, text: isConflict ? "other" : nil)
        // Its group is not older than this, nor younger than the moment of its answer.
        let sentAt = host.now.clock
        let request = host.request()
        host.send(.publish(request, command))
        host.settle()
        // After a refusal nothing is gathered for a moment.
        if host.reply(request) == nil { host.advance(second) }
        guard
            case .success(.published(var next, _, let isRepeat, let duplicates))? =
                host.reply(request)
        else { return }
        if isRepeat { text = "a batch of its own came before" }
        sequences[producer] = base + UInt64(ids.count)
        // What the answer says of each member, against what was said before.
        var named = duplicates[...]
        for (place, id) in ids.enumerated() {
            let known = id.flatMap { idOffsets[$0] }
            if let first = named.first, first.index == UInt32(place) {
                named.removeFirst()
                if known?.offset != first.offset {
                    text = "\(id ?? "-") is said to be at \(first.offset)"
                }
            } else {
                if let known, known.at + Self.window > host.now.clock {
                    text = "\(id ?? "-") is stored twice, at \(known.offset) and \(next)"
                }
                if let id { idOffsets[id] = (next, sentAt) }
                next += 1
            }
        }
    }

    /// Messages for both topics, and an ack of what somebody holds: all or nothing, sent twice.
    private func atomic() {
        let index = random.next(clients.count)
        let name = clients[index].subscription
        // Not what a verdict was sent for already.
        let judged = asked.values.filter { $0.subscription == name }.flatMap(\.offsets)
        let held = clients[index].held.sorted { $0.key < $1.key }
            .filter { host.state($0.key, name) != .acked && !judged.contains($0.key) }
            .prefix(random.next(6))
        let ranges = held.map {
            TokenRange(epoch: host.epoch, first: $0.key, count: 1, handout: $0.value)
        }
        let fresh = "atomic \(trace.count)"
        let ids = [fresh, random.next(3) == 0 ? "id \(random.next(60))" : nil]
        let other = random.next(4) == 0 ? "other" : nil
        let tagged = BrokerHost.anyBatch(ids: ids, text: other)
        let plain = BrokerHost.anyBatch(ids: [nil], text: fresh)
        let verdict = AtomicSettlement(
            subscription: name, session: SessionID(rawValue: clients[index].session), verb: .ack,
            ranges: ranges)
        let command = AtomicCommand(
            transaction: TransactionID(rawValue: UInt128(trace.count)),
            publishes: [
                AtomicPublish(topic: "t", batch: plain.batch, count: plain.count),
                AtomicPublish(topic: "d", batch: tagged.batch, count: tagged.count),
            ], settlements: ranges.isEmpty ? [] : [verdict])
        let before = ["t", "d"].map { host.machine.topic(named: $0)?.nextOffset ?? 0 }
        let sentAt = host.now.clock
        let requests = [host.request(), host.request()]
        for request in requests { host.send(.atomic(request, command)) }
        if random.next(4) == 0, host.gather() {
            host.refuse(Failure(.resourceExhausted, .diskFull, "no room"))
            reopenProducers()
        }
        host.settle()
        if host.reply(requests[0]) == nil { host.advance(second) }
        let after = ["t", "d"].map { host.machine.topic(named: $0)?.nextOffset ?? 0 }
        let isAcked = held.allSatisfy { host.state($0.key, name) == .acked }
        guard let published = host.reply(requests[0]).atomic else {
            if !held.isEmpty, isAcked { self.text = "an atomic request was refused, and acked" }
            return
        }
        if !isAcked { self.text = "an atomic request left something unacked" }
        if host.reply(requests[1]).atomic != published { self.text = "its repeat is another" }
        if after[0] < before[0] + 1 || published.count != 2 { self.text = "a batch is missing" }
        for (offset, _) in held {
            acked[name, default: []].insert(offset)
            clients[index].held[offset] = nil
        }
        let duplicates = published[1].duplicates
        if duplicates.isEmpty, let id = ids[1] {
            idOffsets[id] = (published[1].baseOffset + 1, sentAt)
        }
    }

    private func connect() {
        let index = random.next(clients.count)
        let claims = clients[index].held.sorted { $0.key < $1.key }.map {
            TokenRange(
                epoch: host.epoch - UInt32(random.next(2)), first: $0.key, count: 1,
                handout: $0.value)
        }
        let limit = UInt32(1 + random.next(300))
        let (id, held) = host.open(
            clients[index].session, clients[index].subscription, messages: limit,
            bytes: UInt64(50 + random.next(20_000)), claims: claims)
        clients[index].consumer = id
        // Deliveries that came with the opening are taken by the caller.
        var kept: [Offset: UInt32] = [:]
        for range in held {
            for offset in range.first..<range.first + Offset(range.count) {
                kept[offset] = range.handout
            }
        }
        clients[index].held = kept
    }

    private func verdict() {
        let index = random.next(clients.count)
        guard let consumer = clients[index].consumer else { return }
        let offsets = clients[index].held.keys.sorted().filter { _ in random.next(3) > 0 }
        guard !offsets.isEmpty else { return }
        let verb = [Verb.ack, .ack, .ack, .ack, .retry, .fail, .release, .extend][random.next(8)]
        let ranges = offsets.map {
            TokenRange(
                epoch: host.epoch, first: $0, count: 1, handout: clients[index].held[$0] ?? 0)
        }
        let request = host.request()
        asked[request.rawValue] = (verb, clients[index].subscription, offsets)
        host.send(
            .settle(
                request,
                SettleCommand(
                    consumer: consumer, verb: verb, ranges: ranges,
                    delayNanos: random.next(2) == 0 ? Int64(random.next(9)) * second : nil,
                    reason: "because \(request.rawValue)")))
        // A client may forget to ask twice, or repeat itself.
        if verb != .extend, random.next(4) > 0 {
            for offset in offsets { clients[index].held[offset] = nil }
        }
    }

    private func disconnect() {
        let index = random.next(clients.count)
        guard let consumer = clients[index].consumer else { return }
        host.send(.disconnected(consumer))
        clients[index].consumer = nil
    }

    private func close() {
        let index = random.next(clients.count)
        guard let consumer = clients[index].consumer else { return }
        host.send(.closeConsumer(host.request(), consumer))
        clients[index].consumer = nil
        clients[index].held = [:]
    }

    private func heartbeat() {
        for client in clients where random.next(2) == 0 {
            host.send(.heartbeat(SessionID(rawValue: client.session)))
        }
    }

    /// Somebody looks after the dead letters, or changes the settings.
    private func deadLetters() {
        let name = ["s", "u"][random.next(2)]
        let dead = host.machine.deadLetters(subscription: name, from: 0, limit: 1_000) ?? []
        let first = dead.isEmpty ? 0 : dead[random.next(dead.count)].offset
        let range = first..<first + Offset(1 + random.next(300))
        switch random.next(4) {
        case 0, 1: host.send(.redrive(host.request(), subscription: name, [range], note: "again"))
        case 2: host.send(.purge(host.request(), subscription: name, [range]))
        default:
            var change = SubscriptionChange()
            change.maximumFailures = UInt32(1 + random.next(4))
            change.maximumDeadLetters = UInt32(1 + random.next(200))
            host.send(.updateSubscription(host.request(), name: name, change))
        }
    }

    private func refuse() {
        guard host.gather() else { return }
        host.refuse(Failure(.resourceExhausted, .diskFull, "no room"))
        reopenProducers()
    }

    private func reopenProducers() {
        for producer in sequences.keys.sorted() {
            let id = ProducerID(rawValue: producer)
            let topic = producer < 4 ? topic : dedupTopic
            let result = host.ask { .openProducer($0, topic: topic, id, epoch: 0) }
            if case .success(.producerOpened(let next))? = result { sequences[producer] = next }
        }
    }

    private func crash() {
        crashes += 1
        let before = host.machine.stateDigest()
        let isFlying = host.inFlight != nil
        let keeps = isFlying && random.next(2) == 0
        digestReplies()
        host.crash(keepingInFlight: keeps)
        if !keeps, host.machine.stateDigest() != before { text = "recovery changed the state" }
        let again = host.machine.stateDigest()
        host.crash(fromStart: true)
        if host.machine.stateDigest() != again { text = "replay from the start differs" }
        host.crash()
        for index in clients.indices { clients[index].consumer = nil }
        reopenProducers()
    }

    /// Somebody pauses, resumes, or sets the breaker by hand.
    private func changeFlow() {
        let name = ["s", "u"][random.next(2)]
        let request = host.request()
        switch random.next(6) {
        case 0: host.send(.pauseSubscription(request, name: name, forNanos: nil))
        case 1:
            let nanos = 1 + Int64(random.next(5_000)) * 1_000_000
            host.send(.pauseSubscription(request, name: name, forNanos: nanos))
        case 2: host.send(.setBreaker(request, name: name, [.open, .closed][random.next(2)]))
        case 3: host.send(.setBreaker(request, name: name, .auto))
        default: host.send(.resumeSubscription(request, name: name))
        }
    }

    // MARK: checking

    /// At rest, nothing that could go out stays without a cause that is told.
    private func checkExplanations() {
        guard host.inFlight == nil, !host.machine.wantsGroup, host.reads.isEmpty else { return }
        for name in ["s", "u"] {
            guard let told = host.machine.explain(subscription: name, offset: nil, now: host.now)
            else {
                text = "\(name) cannot be explained"
                return
            }
            let info = told.subscription
            if told.causes.isEmpty, info.backlog > 0 { text = "\(name) stays without a cause" }
            let isDeliverable = info.pendingAgain > 0 || info.backlog > told.flow.tracked
            if isDeliverable, !told.tellsWhatHoldsBack {
                text = "\(name) could hand out: \(told.causes.map(\.text))"
            }
        }
    }

    /// Confirmed acks are remembered.
    private func digestReplies() {
        for (request, ask) in asked.sorted(by: { $0.key < $1.key }) {
            guard let reply = host.replies[request] else { continue }
            asked[request] = nil
            guard ask.verb == .ack, case .success(.settled(_, let rejected)) = reply else {
                continue
            }
            let refused = Set(rejected.map(\.offset))
            for offset in ask.offsets where !refused.contains(offset) {
                checkOrder(of: offset, ask.subscription, holder: nil)
            }
            acked[ask.subscription, default: []].formUnion(
                ask.offsets.filter { !refused.contains($0) })
        }
        for (request, count) in host.replyCounts where count != 1 {
            text = "request \(request) was answered \(count) times"
        }
    }

    /// Deliveries reach the clients; nobody else may hold what they bring.
    private func take() {
        for handed in host.takeDeliveries() {
            guard let index = clients.firstIndex(where: { $0.consumer == handed.consumer }) else {
                continue
            }
            let name = clients[index].subscription
            if acked[name]?.contains(handed.offset) == true {
                text = "\(handed.offset) was delivered after its ack was confirmed"
            }
            guard case .leased(let session, let handout, _, _)? = host.state(handed.offset, name)
            else { continue }
            if session.rawValue == clients[index].session, handout == handed.handout {
                clients[index].held[handed.offset] = handed.handout
                checkOrder(of: handed.offset, name, holder: session)
            }
        }
    }

    /// Everything before a message of its key is settled, or with the same holder.
    private func checkOrder(of offset: Offset, _ name: String, holder: SessionID?) {
        guard isOrdered else { return }
        readKeys()
        guard offset < keys.count, let key = keys[Int(offset)],
            let subscription = host.machine.directory.subscription(named: name),
            subscription.window.slot(offset)?.pointee.has(Slot.returning) != true
        else { return }
        for earlier in subscription.window
            .settledBelow..<max(
                offset, subscription.window.settledBelow)
        where keys[Int(earlier)] == key {
            switch host.state(earlier, name) {
            case .acked, .dead, .beforeStart: continue
            case .leased(let session, _, _, _) where session == holder: continue
            // Redriven, and not read again yet: nobody knows its key.
            case .pendingAgain
            where subscription.window.isRevived(earlier)
                && subscription.order?.laneOf[earlier] == nil:
                continue
            default:
                text =
                    "\(name)@\(offset) overtook \(earlier): \(String(describing: host.state(earlier, name)))"
            }
        }
    }

    private func readKeys() {
        while journalRead < host.journal.count {
            for entry in host.journal[journalRead].entries
            where entry.kind == .batch && entry.topic == topic {
                var position = BatchWalk.firstRecord
                for _ in 0..<entry.count {
                    keys.append(
                        entry.body.withSpan { BatchWalk.nextKeyed($0, &position) }?.key)
                }
            }
            journalRead += 1
        }
    }

    /// Everybody comes back and acks everything.
    func drain() {
        for name in ["s", "u"] {
            host.send(.resumeSubscription(host.request(), name: name))
            host.send(.setBreaker(host.request(), name: name, .auto))
        }
        host.settle()
        digestReplies()
        for _ in 0..<200 {
            for index in clients.indices {
                if clients[index].consumer == nil {
                    let claims = clients[index].held.sorted { $0.key < $1.key }.map {
                        TokenRange(
                            epoch: host.epoch, first: $0.key, count: 1, handout: $0.value)
                    }
                    clients[index].consumer =
                        host.open(
                            clients[index].session, clients[index].subscription, claims: claims
                        ).id
                    take()
                }
                guard let consumer = clients[index].consumer else { continue }
                host.send(.setLimit(consumer, ConsumerLimit(messages: 1_000, bytes: 1 << 30)))
                take()
                let ranges = clients[index].held.sorted { $0.key < $1.key }.map {
                    TokenRange(epoch: host.epoch, first: $0.key, count: 1, handout: $0.value)
                }
                if !ranges.isEmpty {
                    let request = host.request()
                    asked[request.rawValue] = (
                        .ack, clients[index].subscription, ranges.map(\.first)
                    )
                    host.send(
                        .settle(
                            request,
                            SettleCommand(consumer: consumer, verb: .ack, ranges: ranges)))
                }
                clients[index].held = [:]
            }
            host.settle()
            digestReplies()
            take()
            host.advance(second)
            take()
        }
    }

    /// Subscriptions that are not drained.
    func leftOver() -> [String] {
        host.machine.subscriptions().filter { $0.backlog > 0 }.map {
            "\($0.name): \($0.backlog) of \($0.cursor), leased \($0.leased), retry \($0.waitingRetry), again \($0.pendingAgain), resume \($0.awaitingResume), ceiling \($0.handoutCeiling), blocked \(String(describing: $0.blockedBy))"
        }
    }
}
