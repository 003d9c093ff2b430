import ChaskiModel
import ChaskiStorage
import NIOCore
import NIOPosix
import Synchronization

/// The thread that compacts files and moves history for all namespaces of a process, a slice of
/// one after a slice of another, so that the disk is the journals' most of the time.
final class UpkeepWorker: Sendable {
    /// Bytes of a slice: what a sync of the journal may have to wait for.
    private static let sliceBytes = 256 << 10
    /// Shorter pauses are not worth a timer.
    private static let leastPause: TimeAmount = .microseconds(200)

    private let thread: NIOThreadPool
    private let bytesPerSecond: Int
    private let isStopping = Atomic(false)

    /// - Parameter bytesPerSecond: what one namespace's upkeep may read or write in a second; 0 for
    ///   no limit.
    init(bytesPerSecond: Int) {
        self.bytesPerSecond = bytesPerSecond
        thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
    }

    /// Carries out a plan for `journal`, then calls `done` on `loop`. Nothing is called once the
    /// worker stops.
    ///
    /// - Parameter isUrgent: the disk is full: without pauses.
    func run(
        _ plan: UpkeepPlan, of journal: Journal, isUrgent: Bool, now: Now, on loop: any EventLoop,
        done: @escaping @Sendable (UpkeepResult) -> Void
    ) {
        thread.submit { state in
            guard case .active = state else { return }
            journal.begin(plan)
            self.step(journal, isUrgent, now, loop, done)
        }
    }

    private func step(
        _ journal: Journal, _ isUrgent: Bool, _ now: Now, _ loop: any EventLoop,
        _ done: @escaping @Sendable (UpkeepResult) -> Void
    ) {
        guard !isStopping.load(ordering: .relaxed) else { return }
        switch journal.stepUpkeep(maximumBytes: Self.sliceBytes, now: now) {
        case .finished(let result): loop.execute { done(result) }
        case .working(let bytes):
            let pause = isUrgent ? .zero : self.pause(after: bytes)
            let next: @Sendable () -> Void = {
                self.thread.submit { state in
                    guard case .active = state else { return }
                    self.step(journal, isUrgent, now, loop, done)
                }
            }
            if pause > Self.leastPause {
                loop.scheduleTask(in: pause) { next() }
            } else {
                next()
            }
        }
    }

    /// How long so many bytes take at the rate that is allowed.
    private func pause(after bytes: Int) -> TimeAmount {
        guard bytesPerSecond > 0 else { return .zero }
        return .nanoseconds(Int64(Double(bytes) / Double(bytesPerSecond) * 1e9))
    }

    /// Ends after the slice under way; what is not finished is done anew after the next start.
    func stop() async {
        guard !isStopping.exchange(true, ordering: .relaxed) else { return }
        try? await thread.shutdownGracefully()
    }
}
