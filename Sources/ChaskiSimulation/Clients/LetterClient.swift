import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiStreams
import ChaskiWire

/// Somebody who looks through dead letters by filter, and redrives or purges what was found, or
/// whatever lies in a range.
final class LetterClient: SimulatedClient {
    /// Lists first, which is the dry run, then takes out what was listed.
    private struct Errand {
        var subscription: String
        var filter = Chaski_V1_DeadLetterFilter()
        var from: Offset = 0
        var pages = 0
        var found: [Offset] = []
        /// What is shown, then what is taken out.
        var show: Offset?
        var ranges: [Range<Offset>] = []
        /// What an edited message takes the place of.
        var edits: [Offset] = []
        var isPurge = false
        var isListed = false
    }

    private unowned let simulation: Simulation
    private let index: Int
    private var random: SimulationRandom
    private var connection: Int?
    private var task: Errand?
    /// The tag of the request under way; 0 for none, and what to do with its answer.
    private var asked: UInt64 = 0
    private var method = Method.listDeadLetters
    private var nextTag: UInt64 = 1
    private var draining = false
    private let subscriptions: [String]

    init(_ simulation: Simulation, index: Int, random: SimulationRandom) {
        self.simulation = simulation
        self.index = index
        self.random = random
        var names = simulation.names.subscriptions(simulation.plan)
        if simulation.plan.has(.topology) { names += simulation.names.passing }
        subscriptions = names
    }

    /// While dead messages hold keys there is always something to do.
    var isDone: Bool { draining && asked == 0 }
    private var isOver: Bool { draining && !simulation.plan.holdsKeys }
    var state: String { "undertaker: request \(asked)" }

    func drain() {
        draining = true
        task = nil
        if !isOver { simulation.wake(index, after: 0) }
    }

    func connectionLost() {
        connection = nil
        asked = 0
        task = nil
        if !isOver { simulation.wake(index, after: random.skewed(mean: 50_000_000)) }
    }

    func woken() {
        guard !isOver else { return }
        if connection == nil { connection = simulation.connect(client: index) }
        guard let connection else {
            return simulation.wake(index, after: random.skewed(mean: 50_000_000))
        }
        if asked == 0 {
            if task == nil { task = draining ? freeKeys() : think() }
            if let request = next() {
                nextTag += 1
                asked = nextTag
                simulation.countOperation()
                simulation.send(request, tag: asked, on: connection)
            }
        }
        let rest: Int64 = task == nil ? 250_000_000 : asked != 0 ? 1_000_000_000 : 3_000_000
        simulation.wake(index, after: random.skewed(mean: rest))
    }

    // MARK: - Asking

    /// At the end all that a dead message may hold back must come: while something is missing,
    /// all dead letters of one subscription after another go.
    private func freeKeys() -> Errand? {
        guard !simulation.oracle.isDrained else { return nil }
        var task = Errand(subscription: random.pick(subscriptions))
        task.isPurge = random.chance(1, in: 2)
        task.ranges = [0..<1_000_000]
        task.isListed = true
        return task
    }

    private func think() -> Errand {
        let plan = simulation.plan
        var task = Errand(subscription: random.pick(subscriptions))
        task.isPurge =
            plan.has(.redrive)
            ? plan.has(.purge) && random.chance(1, in: 3)
            : plan.has(.purge) || random.chance(1, in: 2)
        if plan.has(.redrive) || plan.has(.purge) || plan.holdsKeys, random.chance(1, in: 4) {
            // Without looking, whatever is there.
            let first = Offset(random.below(200))
            task.ranges = [first..<first + Offset(random.integer(in: 1...60))]
            if random.chance(1, in: 2) {
                let next = first + 100
                task.ranges.append(next..<next + Offset(random.integer(in: 1...1_000)))
            }
            task.isListed = true
            return task
        }
        task.filter = filter()
        return task
    }

    private func filter() -> Chaski_V1_DeadLetterFilter {
        .with {
            switch random.below(7) {
            case 0:
                let first = UInt64(random.below(300))
                $0.ranges = [
                    .with {
                        $0.first = first
                        $0.count = UInt64(random.integer(in: 1...300))
                    }
                ]
            case 1: $0.cause = random.pick(DeathCause.allCases).name
            case 2: $0.reason = random.pick(["out", "bad", "because"])
            case 3: $0.key = [UInt8(random.below(2)), UInt8(random.below(5))]
            case 4: $0.diedFromUnixNanos = simulation.wall - random.nanos(in: 0...3_000_000_000)
            case 5: $0.diedBeforeUnixNanos = simulation.wall - random.nanos(in: 0...3_000_000_000)
            default: break
            }
        }
    }

    private func next() -> Request? {
        guard let task else { return nil }
        if !task.isListed {
            method = .listDeadLetters
            let limit = UInt32(random.pick([0, 1, 3, 20]))
            return .listDeadLetters(
                task.subscription, from: task.from, limit: limit, task.filter)
        }
        if let offset = task.show {
            method = .showDeadLetter
            return .showDeadLetter(task.subscription, offset)
        }
        if let offset = task.edits.last {
            method = .redriveEdited
            return .redriveEdited(task.subscription, offset, edited(of: offset))
        }
        guard !task.ranges.isEmpty else {
            self.task = nil
            return nil
        }
        method = task.isPurge ? .purgeDeadLetters : .redriveDeadLetters
        return task.isPurge
            ? .purge(task.subscription, task.ranges)
            : .redrive(task.subscription, task.ranges, note: "by hand \(nextTag)")
    }

    /// Nobody else has its payload; it says more than it may of where it comes from.
    private func edited(of offset: Offset) -> ChaskiModel.Message {
        var payload: [UInt8] = []
        payload.append(littleEndian: random.next())
        payload.append(littleEndian: random.next())
        var message = Message(payload, attributes: [Attribute("edited", "\(offset)")])
        if random.chance(2, in: 3) {
            message.key = [UInt8(random.below(2)), UInt8(random.below(5))]
        }
        if random.chance(1, in: 4) { message.attributes.append(Attribute("redriveOf", "a@1")) }
        return message
    }

    // MARK: - Answers

    func received(_ response: Response) {
        guard case .answered(let tag, let result) = response, tag == asked else { return }
        asked = 0
        if !isOver { simulation.wake(index, after: random.skewed(mean: 3_000_000)) }
        switch result {
        case .success(let bytes):
            do {
                try answered(bytes)
            } catch {
                simulation.oracle.violated("wire", "an answer cannot be read: \(error)")
            }
        case .failure(let failure): failed(failure)
        }
    }

    private func answered(_ bytes: Bytes) throws {
        switch method {
        case .listDeadLetters:
            let page = try Chaski_V1_ListDeadLettersResponse(serializedBytes: bytes)
            task?.found += page.deadLetters.map(\.offset)
            task?.pages += 1
            if page.more, let pages = task?.pages, pages < 12 {
                task?.from = page.nextOffset
            } else {
                listed()
            }
        case .showDeadLetter: task?.show = nil
        case .redriveDeadLetters:
            taken(try Chaski_V1_RedriveDeadLettersResponse(serializedBytes: bytes).more)
        case .redriveEdited:
            _ = try Chaski_V1_RedriveEditedResponse(serializedBytes: bytes)
            _ = task?.edits.popLast()
        case .purgeDeadLetters:
            taken(try Chaski_V1_PurgeDeadLettersResponse(serializedBytes: bytes).more)
        default: break
        }
    }

    /// It takes what it saw, or only looked.
    private func listed() {
        task?.isListed = true
        guard let found = task?.found, !found.isEmpty else { return }
        task?.show = random.chance(1, in: 3) ? random.pick(found) : nil
        let plan = simulation.plan
        let takesOut = plan.has(.redrive) || plan.has(.purge) || plan.holdsKeys
        if plan.has(.editedRedrive), !takesOut || random.chance(1, in: 2) {
            task?.edits = (0..<random.integer(in: 1...3)).map { _ in random.pick(found) }
            return
        }
        guard takesOut, random.chance(3, in: 4) else { return }
        var ranges: [Range<Offset>] = []
        for offset in found where ranges.last.map({ $0.upperBound <= offset }) ?? true {
            if let last = ranges.last, last.upperBound == offset {
                ranges[ranges.count - 1] = last.lowerBound..<offset + 1
            } else {
                ranges.append(offset..<offset + 1)
            }
        }
        task?.ranges = Array(ranges.prefix(1_000))
    }

    private func taken(_ more: Bool) {
        if more {
            simulation.oracle.violated("Q5", "a request stopped before 10,000 dead letters")
        }
        task = nil
    }

    private func failed(_ failure: Failure) {
        task = nil
        switch failure.reason {
        case .unknownSubscription, .diskFull, .overloaded: break
        case .unknownDeadLetter where method == .showDeadLetter || method == .redriveEdited: break
        case .unknownTopic where method == .redriveEdited: break
        // Small frames do not hold every letter, nor every page.
        case .tooLarge
        where simulation.wireSettings.limits.frameBytes < 128 * 1_024
            && (method == .showDeadLetter || method == .listDeadLetters):
            break
        case .indeterminate, .journalFailed, .draining:
            if let connection { simulation.drop(connection) }
            connectionLost()
        default:
            simulation.oracle.violated(
                "Q5", "a request about dead letters was refused: \(failure)")
        }
    }
}
