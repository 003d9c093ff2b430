import ChaskiProtobuf
import Synchronization

/// A transport within the process: calls of the channel run at the dispatcher at once. Each
/// direction holds a few messages; then the sender waits.
struct LoopbackChannel: RPCChannel {
    let dispatcher: RPCDispatcher
    var caller = "tests"

    func open(
        _ path: String, isIdempotent: Bool, options: RPCOptions
    ) async throws(RPCError) -> any RPCStream {
        let requests = LoopbackPipe()
        let responses = LoopbackPipe()
        let context = RPCContext(
            path: path, metadata: options.metadata, timeLeft: options.timeout, caller: caller)
        let dispatcher = dispatcher
        let handler = Task {
            do throws(RPCError) {
                try await dispatcher.run(
                    LoopbackStream(incoming: requests, outgoing: responses, cancelled: {}), context)
                responses.end(nil)
            } catch {
                responses.end(error)
            }
            requests.end(RPCError(.cancelled, "the handler has returned"))
        }
        return LoopbackStream(incoming: responses, outgoing: requests) {
            handler.cancel()
            let error = RPCError(.cancelled, "the caller went away")
            requests.end(error)
            responses.end(error)
        }
    }
}

/// One side of a call.
private struct LoopbackStream: RPCStream {
    let incoming: LoopbackPipe
    let outgoing: LoopbackPipe
    let cancelled: @Sendable () -> Void

    func send(_ message: [UInt8], isLast: Bool) async throws(RPCError) {
        try await outgoing.write(message)
        if isLast { outgoing.end(nil) }
    }

    func finish() async throws(RPCError) { outgoing.end(nil) }

    func receive() async throws(RPCError) -> [UInt8]? { try await incoming.read() }

    func cancel() { cancelled() }
}

/// Messages on their way in one direction, at most four.
final class LoopbackPipe: Sendable {
    private struct State {
        var messages: [[UInt8]] = []
        var isOver = false
        var error: RPCError?
        var reader: CheckedContinuation<Void, Never>?
        var writer: CheckedContinuation<Void, Never>?

        mutating func wake() {
            reader?.resume()
            writer?.resume()
            (reader, writer) = (nil, nil)
        }
    }

    private let state = Mutex(State())
    private static let capacity = 4

    /// The end, with success or with `error`; the first one counts.
    func end(_ error: RPCError?) {
        state.withLock { state in
            guard !state.isOver else { return }
            state.isOver = true
            state.error = error
            if error != nil { state.messages = [] }
            state.wake()
        }
    }

    func write(_ message: [UInt8]) async throws(RPCError) {
        while true {
            let outcome = state.withLock { state -> Result<Bool, RPCError> in
                if state.isOver {
                    return .failure(state.error ?? RPCError(.internalError, "after the end"))
                }
                guard state.messages.count < Self.capacity else { return .success(false) }
                state.messages.append(message)
                state.wake()
                return .success(true)
            }
            if try outcome.get() { return }
            try await wait(asReader: false) { $0.messages.count >= Self.capacity }
        }
    }

    func read() async throws(RPCError) -> [UInt8]? {
        while true {
            let outcome = state.withLock { state -> Result<[UInt8]??, RPCError> in
                if !state.messages.isEmpty {
                    let message = state.messages.removeFirst()
                    state.wake()
                    return .success(.some(message))
                }
                guard state.isOver else { return .success(nil) }
                return state.error.map { .failure($0) } ?? .success(.some(nil))
            }
            if let message = try outcome.get() { return message }
            try await wait(asReader: true) { $0.messages.isEmpty }
        }
    }

    private func wait(
        asReader: Bool, while holds: @Sendable @escaping (State) -> Bool
    ) async throws(RPCError) {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    guard holds(state), !state.isOver, !Task.isCancelled else { return false }
                    if asReader { state.reader = continuation } else { state.writer = continuation }
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.wake() }
        }
        if Task.isCancelled { throw RPCError(.cancelled, "the task was cancelled") }
    }
}
