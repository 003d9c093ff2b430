import ChaskiBroker
import ChaskiModel

/// Atomic requests of a consumer: its verdicts, and what it made of the messages.
struct Transforming {
    struct Operation {
        var number: Int
        var inputs: [DeliveryToken]
    }

    /// Under way, by their tags.
    var asked: [UInt64: Operation] = [:]
    /// Nobody knows what became of them.
    var unknown: [Operation] = []
    /// A request with others was refused for one of these: each goes alone.
    var alone: Set<Offset> = []

    mutating func connectionLost() {
        unknown += asked.sorted { $0.key < $1.key }.map(\.value)
        unknown = unknown.suffix(8)
        asked.removeAll()
    }
}

/// Receive, transform, publish and ack in one: for the subscription that is consumed so.
extension ConsumerClient {
    private var transforms: Bool {
        simulation.oracle.transforms && subscription == TopologyNames.transformed
    }

    /// Whether this verdict goes with a publish: an ack always does, a failure with a report now and
    /// then.
    func settlesAtomically(_ verb: Verb) -> Bool {
        guard transforms, verb != .extend else { return false }
        return verb == .ack || random.chance(1, in: 3)
    }

    /// Those of the chosen that can go in one request.
    func mates(_ chosen: ArraySlice<Int>, _ verb: Verb) -> ArraySlice<Int> {
        guard transforms, verb != .extend, let first = chosen.first else { return chosen }
        if transforming.alone.contains(held[first].token.offset) { return chosen.prefix(1) }
        let epoch = held[first].token.epoch
        return chosen.filter {
            held[$0].token.epoch == epoch && !transforming.alone.contains(held[$0].token.offset)
        }[...]
    }

    func transform(_ tokens: [DeliveryToken], _ verb: Verb, _ delay: Int64?, tag: UInt64) {
        let number = simulation.oracle.atomics.operations.count
        var messages = [AtomicModel.marker(number, 0)]
        if verb == .ack {
            messages += tokens.map {
                TransformOutput(
                    subscription: subscriptionID, input: $0.offset, handout: $0.handout
                ).message
            }
        }
        let settlement = AtomicSettlement(
            subscription: subscription, session: session, verb: verb, ranges: ranges(tokens),
            delayNanos: verb == .retry ? delay : nil,
            reason: reason(of: verb))
        simulation.oracle.atomics.add(
            [AtomicModel.Part(topic: simulation.names.atomicTopics[0], messages: messages)],
            settlements: [settlement], seed: simulation.seed)
        ask(
            Transforming.Operation(number: number, inputs: tokens), tag: tag)
    }

    private func ask(_ operation: Transforming.Operation, tag: UInt64) {
        transforming.asked[tag] = operation
        send(.atomic(simulation.oracle.atomics.operations[operation.number].command), tag: tag)
    }

    /// After a reconnect: asks some again, as they were; of the others it sees what it still holds.
    func repeatTransforms() {
        let unknown = transforming.unknown
        transforming.unknown = []
        for operation in unknown where random.chance(2, in: 3) {
            let tag = tag()
            for place in held.indices where operation.inputs.contains(held[place].token) {
                held[place].asked = tag
            }
            simulation.countOperation()
            ask(operation, tag: tag)
        }
    }

    /// The answer of an atomic request; false when the tag is of something else.
    func transformed(_ tag: UInt64, _ result: Result<Void, Failure>) -> Bool {
        guard let operation = transforming.asked.removeValue(forKey: tag) else { return false }
        guard case .failure(let failure) = result else {
            for delivery in held where delivery.asked == tag { remember(delivery.token) }
            held.removeAll { $0.asked == tag }
            return true
        }
        switch failure.reason {
        case .outOfOrder:
            transforming.alone.formUnion(operation.inputs.map(\.offset))
            later(tag)
        case .stale, .alreadySettled:
            transforming.alone.formUnion(operation.inputs.map(\.offset))
            for delivery in held where delivery.asked == tag && operation.inputs.count == 1 {
                remember(delivery.token)
            }
            if operation.inputs.count == 1 { held.removeAll { $0.asked == tag } }
            later(tag)
        case .diskFull, .overloaded, .transactionsFull, .unknownTopic: later(tag)
        case .indeterminate, .journalFailed, .draining, .unknownSubscription: refused(failure)
        default:
            simulation.oracle.violated(
                "P5", "a transform was refused with \(failure.reason.rawValue): \(failure)")
        }
        return true
    }

    /// Held as before: it tries again soon.
    private func later(_ tag: UInt64) {
        for place in held.indices where held[place].asked == tag {
            held[place].asked = 0
            held[place].due = simulation.now + random.skewed(mean: 20_000_000)
        }
    }
}
