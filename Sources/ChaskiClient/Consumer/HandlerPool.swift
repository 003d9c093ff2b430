import ChaskiModel
import Synchronization

/// Thrown by a handler: the attempt failed and the message comes back.
public struct RetryError: Error, Hashable, Sendable {
    /// Comes back after this long; nil for the subscription's backoff.
    public var delay: Duration?
    /// Kept with the failure, at most 1 KiB.
    public var reason: String
    /// Kept with it for programs: a short word or number, at most 64 bytes.
    public var code: String

    /// A retry, by the subscription's backoff unless a delay is given.
    public init(after delay: Duration? = nil, reason: String = "", code: String = "") {
        self.delay = delay
        self.reason = reason
        self.code = code
    }
}

/// Thrown by a handler: the message can never be dealt with and is dead at once.
public struct FailError: Error, Hashable, Sendable {
    /// Kept with the dead letter, at most 1 KiB.
    public var reason: String
    /// Kept with it for programs: a short word or number, at most 64 bytes.
    public var code: String

    /// A terminal failure.
    public init(reason: String = "", code: String = "") {
        self.reason = reason
        self.code = code
    }
}

/// Runs a handler for the deliveries of one subscription, so many at a time.
final class HandlerPool: Sendable {
    typealias Handler = @Sendable (Delivery) async throws -> Void

    private let core: SubscriptionCore
    private let handler: Handler
    private let slots: [Slot]
    private let workers: Countdown

    init(core: SubscriptionCore, concurrency: Int, handler: @escaping Handler) {
        self.core = core
        self.handler = handler
        let count = min(max(1, concurrency), 100_000)
        slots = (0..<count).map { _ in Slot() }
        workers = Countdown(count)
    }

    /// Runs until the subscription ends or the task is cancelled, and then until the handlers that
    /// run have ended; gives back what was buffered.
    func run() async throws {
        core.keepKeysApart()
        core.whenLost { [slots] leases in
            let lost = Set(leases)
            for slot in slots { slot.cancel(ifIn: lost) }
        }
        await withTaskCancellationHandler {
            for slot in slots { start(slot) }
            await workers.wait()
        } onCancel: {
            core.onLoop { $0.stop() }
        }
        core.onLoop { $0.finish() }
        let failure = await core.waitForEnd()
        core.whenLost(nil)
        if let failure { throw ChaskiError(failure) }
    }

    private func start(_ slot: Slot) {
        slot.start { [self] in
            if await work(slot) { start(slot) } else { workers.countDown() }
        }
    }

    /// Handles deliveries; true when its task was cancelled with a lost lease and another is to go
    /// on in its place.
    private func work(_ slot: Slot) async -> Bool {
        while let delivery = try? await core.next() {
            slot.began(delivery)
            let verdict = await judge(delivery)
            let isLost = slot.ended()
            if isLost {
                core.givenBack(delivery, isConfirmed: false)
                return true
            }
            delivery.settleUnawaited(verdict)
            if verdict == .ack { core.acked(delivery) }
        }
        return false
    }

    private func judge(_ delivery: Delivery) async -> Verdict {
        do {
            try await handler(delivery)
            return .ack
        } catch let error as RetryError {
            return Verdict(
                .retry, delayNanos: error.delay?.clampedNanos, reason: error.reason,
                code: error.code)
        } catch let error as FailError {
            return Verdict(.fail, reason: error.reason, code: error.code)
        } catch {
            return Verdict(.retry, reason: "\(error)")
        }
    }
}

/// The place of one running handler.
private final class Slot: Sendable {
    private struct State: Sendable {
        var task: Task<Void, Never>?
        var lease: LostLease?
        var isLost = false
    }

    private let state = Mutex(State())

    func start(_ body: @escaping @Sendable () async -> Void) {
        state.withLock { state in
            state.isLost = false
            // Begins to matter only once the lock is free again.
            state.task = Task { await body() }
        }
    }

    func began(_ delivery: Delivery) {
        state.withLock {
            $0.lease = LostLease(offset: delivery.offset, handout: delivery.handout)
        }
    }

    /// The handler returned; true where its lease was lost and its task cancelled.
    func ended() -> Bool {
        state.withLock {
            $0.lease = nil
            return $0.isLost
        }
    }

    func cancel(ifIn lost: Set<LostLease>) {
        state.withLock { state in
            guard let lease = state.lease, lost.contains(lease) else { return }
            state.isLost = true
            state.task?.cancel()
        }
    }
}

/// Waits for a number of things to end.
private final class Countdown: Sendable {
    private struct State: Sendable {
        var left: Int
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state: Mutex<State>

    init(_ count: Int) { state = Mutex(State(left: count)) }

    func countDown() {
        let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
            state.left -= 1
            guard state.left == 0 else { return nil }
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.left > 0 { state.waiter = continuation }
                return state.left <= 0
            }
            if isOver { continuation.resume() }
        }
    }
}
