private import Dispatch
private import Glibc
private import Synchronization

/// SIGINT and SIGTERM as a request to end in good order; the second one ends at once.
package final class Interruption: Sendable {
    private struct State {
        var isRequested = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        var next: UInt64 = 0
    }
    private let state = Mutex(State())

    /// The process's own; signals are caught from the first use on.
    package static let shared = Interruption(catching: [SIGINT, SIGTERM])

    package init() {}

    private convenience init(catching signals: [Int32]) {
        self.init()
        for number in signals {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [weak self] in
                if self?.request() == false { _exit(128 + number) }
            }
            source.activate()
            // It lives as long as the process.
            _ = Unmanaged.passRetained(source as AnyObject)
        }
    }

    package var isRequested: Bool { state.withLock { $0.isRequested } }

    /// Asks to end. False where that had been asked before.
    @discardableResult
    package func request() -> Bool {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>]? in
            guard !state.isRequested else { return nil }
            state.isRequested = true
            let waiting = state.waiters.sorted { $0.key < $1.key }.map(\.value)
            state.waiters = [:]
            return waiting
        }
        guard let waiters else { return false }
        for waiter in waiters { waiter.resume() }
        return true
    }

    /// Returns once it was asked for, or the task is cancelled.
    package func wait() async {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isRequested || Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
