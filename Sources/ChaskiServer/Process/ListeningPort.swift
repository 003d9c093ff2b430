import Synchronization

/// The port that a broker listens on, for whoever waits to know it.
final class ListeningPort: Sendable {
    private enum State: Sendable {
        case unknown([CheckedContinuation<Int, any Error>])
        case known(Result<Int, StartupFailure>)
    }

    private let state = Mutex(State.unknown([]))

    /// Waits until the broker listens.
    ///
    /// - Throws: a `StartupFailure` when it never will.
    func get() async throws -> Int {
        try await withCheckedThrowingContinuation { continuation in
            let result = state.withLock { state -> Result<Int, StartupFailure>? in
                switch state {
                case .unknown(let waiting):
                    state = .unknown(waiting + [continuation])
                    return nil
                case .known(let result):
                    return result
                }
            }
            if let result { continuation.resume(with: result.mapError { $0 as any Error }) }
        }
    }

    /// Tells all who wait; only the first call counts.
    func resolve(_ result: Result<Int, StartupFailure>) {
        let waiting = state.withLock { state -> [CheckedContinuation<Int, any Error>] in
            guard case .unknown(let waiting) = state else { return [] }
            state = .known(result)
            return waiting
        }
        for continuation in waiting {
            continuation.resume(with: result.mapError { $0 as any Error })
        }
    }
}
