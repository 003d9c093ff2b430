private import Glibc
private import Synchronization
package import ChaskiModel

/// Writes a history: lines of all tasks in one order, to a file that no fault touches.
package final class HistoryWriter: Sendable {
    private struct State {
        var buffer: [UInt8] = []
        var failed = false
    }
    private let state = Mutex(State())
    private let descriptor: Int32
    private static let flushBytes = 256 * 1024

    /// Creates the file, which must not exist or be empty.
    package init(path: String) throws(Failure) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileProblem.failure("write", path, errno) }
    }

    deinit { close(descriptor) }

    package func append(_ event: HistoryEvent) {
        state.withLock { state in
            event.write(into: &state.buffer)
            if state.buffer.count >= Self.flushBytes { Self.flush(&state, to: descriptor) }
        }
    }

    package func append(_ events: some Sequence<HistoryEvent>) {
        state.withLock { state in
            for event in events { event.write(into: &state.buffer) }
            if state.buffer.count >= Self.flushBytes { Self.flush(&state, to: descriptor) }
        }
    }

    /// One line of another kind of history, without its newline.
    package func append(line: String) {
        state.withLock { state in
            state.buffer += line.utf8
            state.buffer.append(0x0A)
            if state.buffer.count >= Self.flushBytes { Self.flush(&state, to: descriptor) }
        }
    }

    /// A mark with the time of this moment.
    package func mark(_ what: String) {
        append(.mark(nanos: Clock.nanos(), what))
    }

    /// Hands everything to the kernel. False where any write failed: the history is worthless then.
    @discardableResult
    package func flush() -> Bool {
        state.withLock { state in
            Self.flush(&state, to: descriptor)
            return !state.failed
        }
    }

    private static func flush(_ state: inout State, to descriptor: Int32) {
        if !Terminal.writeAll(state.buffer, to: descriptor) { state.failed = true }
        state.buffer.removeAll(keepingCapacity: true)
    }
}

/// Reads histories and lists of faults.
package enum HistoryFile {
    /// Feeds a history to a checker, with the faults of `faults` (lines `NANOS KIND`, nanoseconds
    /// since boot) put between the marks where they belong.
    ///
    /// - Throws: where a file cannot be read, or a line is none.
    package static func check(
        history: String, faults: String?, thresholds: HistoryChecker.Thresholds
    ) throws(Failure) -> VerifyVerdict {
        var pending = try faults.map { path throws(Failure) in try readFaults(path) } ?? []
        pending.sort { $0.nanos > $1.nanos }
        var checker = HistoryChecker()
        var reader = try LineReader(path: history, maximumLineBytes: 4_096)
        var number = 0
        while let line = try reader.next() {
            number += 1
            guard let event = HistoryEvent(line) else {
                throw Failure(
                    .dataLoss, .damaged,
                    "line \(number) of \(Text.printable(history)) is not a history event; "
                        + "only a file written by chaski bench verify can be checked")
            }
            if case .mark(let nanos, _) = event {
                while let fault = pending.last, fault.nanos <= nanos {
                    checker.add(.mark(nanos: fault.nanos, "fault-" + fault.kind))
                    pending.removeLast()
                }
            }
            checker.add(event)
        }
        return checker.verdict(thresholds)
    }

    private static func readFaults(
        _ path: String
    ) throws(Failure) -> [(nanos: Int64, kind: String)] {
        var reader = try LineReader(path: path, maximumLineBytes: 4_096)
        var faults: [(nanos: Int64, kind: String)] = []
        while let line = try reader.next() {
            let words = line.split(separator: 0x20)
            guard words.count == 2, let nanos = Text.decoded(words[0]).flatMap({ Int64($0) }),
                let kind = Text.decoded(words[1])
            else {
                throw Failure(
                    .dataLoss, .damaged,
                    "\(Text.printable(path)) has a line that is not \"NANOSECONDS KIND\"")
            }
            faults.append((nanos, kind))
        }
        return faults
    }
}
