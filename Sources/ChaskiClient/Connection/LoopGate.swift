import NIOCore
import Synchronization

/// The way onto a client's event loop, shut before the loop is: late calls find it shut instead of
/// a loop that is gone.
final class LoopGate: Sendable {
    private let loop: any EventLoop
    private let isOpen = Mutex(true)

    init(_ loop: any EventLoop) { self.loop = loop }

    /// Runs `body` on the loop; false, and nothing runs, once the gate is shut.
    @discardableResult
    func execute(_ body: @escaping @Sendable () -> Void) -> Bool {
        isOpen.withLock { isOpen in
            if isOpen { loop.execute(body) }
            return isOpen
        }
    }

    /// Runs `body` on the loop and waits for it; not at all once the gate is shut.
    func run(_ body: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            let isRun = execute {
                body()
                continuation.resume()
            }
            if !isRun { continuation.resume() }
        }
    }

    func shut() { isOpen.withLock { $0 = false } }
}
