import ChaskiModel
import DequeModule
import NIOCore
import Synchronization

/// Whoever waits for the confirmation of a verdict.
enum SettleWaiter: Sendable {
    case one(UnsafeContinuation<Void, any Error>)
    /// One of many that are awaited together.
    case group(SettleGroup)
    /// A delivery with a key of an ordered subscription that is not acked, and whoever waits.
    indirect case givenBack(Delivery, SettleWaiter?)

    func confirmed() {
        switch self {
        case .one(let continuation): continuation.resume()
        case .group(let group): group.ended(nil, nil)
        case .givenBack(let delivery, let waiter):
            delivery.core.givenBack(delivery, isConfirmed: true)
            waiter?.confirmed()
        }
    }

    func failed(_ failure: Failure) {
        switch self {
        case .one(let continuation): continuation.resume(throwing: ChaskiError(failure))
        case .group(let group): group.ended(1, failure)
        case .givenBack(let delivery, let waiter):
            // Too early: it is held as before, and may be judged again.
            if failure.reason != .outOfOrder {
                delivery.core.givenBack(delivery, isConfirmed: false)
            }
            waiter?.failed(failure)
        }
    }
}

/// Verdicts that are awaited together.
final class SettleGroup: Sendable {
    private struct State: Sendable {
        var left: Int
        var failed = 0
        var firstFailure: Failure?
        var continuation: UnsafeContinuation<(failed: Int, first: Failure?), Never>?
    }

    private let state: Mutex<State>

    init(count: Int) { state = Mutex(State(left: count)) }

    func ended(_ failed: Int?, _ failure: Failure?) {
        let (continuation, result) = state.withLock { state in
            state.left -= 1
            assert(state.left >= 0, "each verdict ends once")
            state.failed += failed ?? 0
            if state.firstFailure == nil { state.firstFailure = failure }
            let result = (failed: state.failed, first: state.firstFailure)
            guard state.left == 0 else { return (nil, result) as (Continuation?, Result) }
            defer { state.continuation = nil }
            return (state.continuation, result)
        }
        continuation?.resume(returning: result)
    }

    private typealias Result = (failed: Int, first: Failure?)
    private typealias Continuation = UnsafeContinuation<(failed: Int, first: Failure?), Never>

    /// Waits for the last: how many failed, and the first failure.
    func wait() async -> (failed: Int, first: Failure?) {
        await withUnsafeContinuation { continuation in
            let result: Result? = state.withLock { state in
                if state.left == 0 { return (state.failed, state.firstFailure) }
                state.continuation = continuation
                return nil
            }
            if let result { continuation.resume(returning: result) }
        }
    }
}

/// What the event loop and the tasks of one subscription share: deliveries one way, verdicts the
/// other.
final class SubscriptionCore: Sendable {
    struct Settlement: Sendable {
        var item: SettleItem<SettleWaiter>
        var verdict: Verdict
    }

    private struct Buffer: Sendable {
        var deliveries: Deque<Delivery> = []
        /// Handlers of one key run one after the other: keys that have one; nil where any may run.
        var busyKeys: Set<[UInt8]>?
        var receivers: Deque<(id: UInt64, continuation: UnsafeContinuation<Delivery?, Never>)> = []
        var nextReceiver: UInt64 = 0
        /// Nothing is handed to the application any more.
        var isClosed = false
        var endedBy: Failure?
        /// Whoever waits for the end.
        var enders: [UnsafeContinuation<Void, Never>] = []
        var isEnded = false
        /// Whoever waits for the broker's first confirmation.
        var starters: [UnsafeContinuation<Void, Never>] = []
        var isStarted = false
        /// Told of lost leases; set by a handler pool.
        var onLost: (@Sendable ([LostLease]) -> Void)?

        /// The first delivery whose key has no handler; nil when there is none.
        mutating func takeNext() -> Delivery? {
            guard var busy = busyKeys, let first = deliveries.first,
                first.core.topic.isOrdered
            else { return deliveries.popFirst() }
            busyKeys = nil
            defer { busyKeys = busy }
            let place = deliveries.firstIndex { delivery in
                delivery.key.map { !busy.contains(Array($0)) } ?? true
            }
            guard let place else { return nil }
            let delivery = deliveries.remove(at: place)
            if let key = delivery.key { busy.insert(Array(key)) }
            return delivery
        }

        /// Takes the later ones of a key out, up to where `delivery` comes again.
        mutating func dropLater(_ delivery: Delivery, _ key: [UInt8]) -> [LostLease] {
            var dropped: [LostLease] = []
            var cameAgain = false
            deliveries.removeAll { later in
                guard !cameAgain, later.key.map({ $0.elementsEqual(key) }) == true else {
                    return false
                }
                cameAgain = later.offset <= delivery.offset
                if cameAgain { return false }
                dropped.append(LostLease(offset: later.offset, handout: later.handout))
                return true
            }
            return dropped
        }

        /// Deliveries for those that wait for one.
        mutating func serve() -> [(UnsafeContinuation<Delivery?, Never>, Delivery)] {
            var served: [(UnsafeContinuation<Delivery?, Never>, Delivery)] = []
            while !receivers.isEmpty, let delivery = takeNext() {
                guard let receiver = receivers.popFirst() else { break }
                served.append((receiver.continuation, delivery))
            }
            return served
        }
    }

    private struct Inbox: Sendable {
        var acks: [SettleItem<SettleWaiter>] = []
        var others: [Settlement] = []
        var isFlushScheduled = false
    }

    let subscription: String
    let namespace: String
    private let gate: LoopGate
    private let stream: NIOLoopBoundBox<ConsumerStream?>
    private let buffer = Mutex(Buffer())
    private let inbox = Mutex(Inbox())
    private let source = Mutex(Source())

    /// The topic behind the subscription, known once subscribed.
    struct Source: Hashable, Sendable {
        var topic = ""
        var incarnation: UInt32 = 1
        /// Messages of one key come in their order.
        var isOrdered = false
    }

    init(
        subscription: String, namespace: String, gate: LoopGate,
        stream: NIOLoopBoundBox<ConsumerStream?>
    ) {
        self.subscription = subscription
        self.namespace = namespace
        self.gate = gate
        self.stream = stream
    }

    var topic: Source {
        get { source.withLock { $0 } }
        set { source.withLock { $0 = newValue } }
    }

    /// Runs `body` with the stream on the event loop; false once the client is closed.
    @discardableResult
    func onLoop(_ body: @escaping @Sendable (ConsumerStream) -> Void) -> Bool {
        let stream = stream
        return gate.execute {
            if let stream = stream.value { body(stream) }
        }
    }

    /// As `onLoop`, also where the stream is gone.
    func onLoopOrMissing(_ body: @escaping @Sendable (ConsumerStream?) -> Void) -> Bool {
        let stream = stream
        return gate.execute { body(stream.value) }
    }

    /// Takes no more deliveries; returns when the event loop knows.
    func stop() async {
        let stream = stream
        await gate.run { stream.value?.stop() }
    }

    // MARK: Deliveries

    /// Hands deliveries on; false (nothing taken) when nobody wants them any more.
    func deliver(_ deliveries: [Delivery]) -> Bool {
        var served: [(UnsafeContinuation<Delivery?, Never>, Delivery)] = []
        let isTaken = buffer.withLock { buffer in
            guard !buffer.isClosed else { return false }
            buffer.deliveries.append(contentsOf: deliveries)
            served = buffer.serve()
            return true
        }
        for (continuation, delivery) in served { continuation.resume(returning: delivery) }
        return isTaken
    }

    /// From now on a key's next delivery comes only once its last one was `acked` or `givenBack`.
    func keepKeysApart() {
        buffer.withLock { if $0.busyKeys == nil { $0.busyKeys = [] } }
    }

    /// A delivery whose key was kept apart is acked, as far as its handler is concerned.
    func acked(_ delivery: Delivery) {
        guard topic.isOrdered, let key = delivery.key.map({ Array($0) }) else { return }
        let served = buffer.withLock { buffer in
            buffer.busyKeys?.remove(key)
            return buffer.serve()
        }
        for (continuation, delivery) in served { continuation.resume(returning: delivery) }
    }

    /// A delivery comes again, or is dead: the later ones of its key that were on their way are
    /// superseded, and come again behind it. The broker sends its confirmation in one order with
    /// deliveries, so what came before that is stale.
    ///
    /// - Parameter isConfirmed: where it is not, since the lease was lost, what came may be valid,
    ///   and is released.
    func givenBack(_ delivery: Delivery, isConfirmed: Bool) {
        guard topic.isOrdered, let key = delivery.key.map({ Array($0) }) else { return }
        var dropped: [LostLease] = []
        let served = buffer.withLock { buffer in
            buffer.busyKeys?.remove(key)
            dropped = buffer.dropLater(delivery, key)
            return buffer.serve()
        }
        if isConfirmed, !dropped.isEmpty {
            let gone = dropped
            onLoop { $0.forget(gone) }
        } else {
            for lease in dropped {
                settle(
                    SettleItem(offset: lease.offset, handout: lease.handout, waiter: nil),
                    Verdict(.release))
            }
        }
        for (continuation, delivery) in served { continuation.resume(returning: delivery) }
    }

    /// Drops what is lost from the buffer, and tells the handlers.
    func lost(_ leases: [LostLease]) {
        let gone = Set(leases)
        let onLost = buffer.withLock { buffer in
            buffer.deliveries.removeAll {
                gone.contains(LostLease(offset: $0.offset, handout: $0.handout))
            }
            return buffer.onLost
        }
        onLost?(leases)
    }

    func whenLost(_ body: (@Sendable ([LostLease]) -> Void)?) {
        buffer.withLock { $0.onLost = body }
    }

    /// The next delivery; nil when there will be none, or the task is cancelled.
    func next() async throws -> Delivery? {
        let (delivery, id): (Delivery?, UInt64) = buffer.withLock { buffer in
            if let delivery = buffer.takeNext() { return (delivery, 0) }
            buffer.nextReceiver += 1
            return (nil, buffer.nextReceiver)
        }
        if let delivery { return delivery }
        let received = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in wait(id, continuation) }
        } onCancel: {
            cancelReceiver(id)
        }
        if let received { return received }
        if let failure = buffer.withLock({ $0.endedBy }) { throw ChaskiError(failure) }
        return nil
    }

    private func wait(_ id: UInt64, _ continuation: UnsafeContinuation<Delivery?, Never>) {
        let isCancelled = Task.isCancelled
        let (delivery, isDecided): (Delivery?, Bool) = buffer.withLock { buffer in
            if let delivery = buffer.takeNext() { return (delivery, true) }
            if buffer.isClosed || isCancelled { return (nil, true) }
            buffer.receivers.append((id, continuation))
            return (nil, false)
        }
        if isDecided { continuation.resume(returning: delivery) }
    }

    private func cancelReceiver(_ id: UInt64) {
        let continuation: UnsafeContinuation<Delivery?, Never>? = buffer.withLock { buffer in
            guard let at = buffer.receivers.firstIndex(where: { $0.id == id }) else { return nil }
            return buffer.receivers.remove(at: at).continuation
        }
        continuation?.resume(returning: nil)
    }

    /// Hands nothing more on: gives back what was buffered.
    func closeBuffer() -> [LostLease] {
        let (rest, receivers) = buffer.withLock { buffer in
            buffer.isClosed = true
            defer {
                buffer.deliveries.removeAll()
                buffer.receivers.removeAll()
            }
            return (buffer.deliveries, buffer.receivers)
        }
        for receiver in receivers { receiver.continuation.resume(returning: nil) }
        return rest.map { LostLease(offset: $0.offset, handout: $0.handout) }
    }

    /// The subscription is over.
    func ended(_ failure: Failure?) {
        buffer.withLock { if $0.endedBy == nil { $0.endedBy = failure } }
        _ = closeBuffer()
        let enders = buffer.withLock { buffer in
            buffer.isEnded = true
            defer { buffer.enders.removeAll() }
            return buffer.enders
        }
        for ender in enders { ender.resume() }
        started()
    }

    /// Waits until the subscription is over; why, where it did not end by itself.
    func waitForEnd() async -> Failure? {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            let isEnded = buffer.withLock { buffer in
                if !buffer.isEnded { buffer.enders.append(continuation) }
                return buffer.isEnded
            }
            if isEnded { continuation.resume() }
        }
        return buffer.withLock { $0.endedBy }
    }

    /// The broker confirmed the subscription.
    func started() {
        let starters = buffer.withLock { buffer in
            buffer.isStarted = true
            defer { buffer.starters.removeAll() }
            return buffer.starters
        }
        for starter in starters { starter.resume() }
    }

    /// Waits until the broker confirmed the subscription, or it is over: why, in that case.
    func waitForStart() async -> Failure? {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            let isDecided = buffer.withLock { buffer in
                let isDecided = buffer.isStarted || buffer.isEnded
                if !isDecided { buffer.starters.append(continuation) }
                return isDecided
            }
            if isDecided { continuation.resume() }
        }
        return buffer.withLock { $0.endedBy }
    }

    // MARK: Verdicts

    /// Leaves a verdict for the event loop, which is woken once for all that come until it looks.
    func settle(_ item: SettleItem<SettleWaiter>, _ verdict: Verdict) {
        let schedule = inbox.withLock { inbox in
            if verdict == .ack {
                inbox.acks.append(item)
            } else {
                inbox.others.append(Settlement(item: item, verdict: verdict))
            }
            return Self.schedules(&inbox)
        }
        if schedule { wakeLoop() }
    }

    /// Leaves many acks.
    func acknowledge(_ items: [SettleItem<SettleWaiter>]) {
        let schedule = inbox.withLock { inbox in
            inbox.acks.append(contentsOf: items)
            return Self.schedules(&inbox)
        }
        if schedule { wakeLoop() }
    }

    private func wakeLoop() {
        if onLoop({ $0.flush() }) { return }
        let (acks, others) = takeVerdicts()
        for item in acks + others.map(\.item) { item.waiter?.failed(.clientClosed) }
    }

    private static func schedules(_ inbox: inout Inbox) -> Bool {
        if inbox.isFlushScheduled { return false }
        inbox.isFlushScheduled = true
        return true
    }

    /// What was left since the last call.
    func takeVerdicts() -> (acks: [SettleItem<SettleWaiter>], others: [Settlement]) {
        inbox.withLock { inbox in
            inbox.isFlushScheduled = false
            defer {
                inbox.acks = []
                inbox.others = []
            }
            return (inbox.acks, inbox.others)
        }
    }
}
