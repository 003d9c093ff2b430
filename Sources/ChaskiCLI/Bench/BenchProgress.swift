private import Synchronization

/// Counts what a benchmark did, and says so once a second on standard error.
package final class BenchProgress: Sendable {
    private let done = Atomic<UInt64>(0)
    private let failed = Atomic<UInt64>(0)
    private let what: String
    private let isSilent: Bool

    package init(_ what: String, isSilent: Bool) {
        self.what = what
        self.isSilent = isSilent
    }

    package func add(_ count: Int) {
        done.add(UInt64(max(0, count)), ordering: .relaxed)
    }

    package func addError(_ count: Int = 1) {
        failed.add(UInt64(max(0, count)), ordering: .relaxed)
    }

    package var total: UInt64 { done.load(ordering: .relaxed) }
    package var errors: UInt64 { failed.load(ordering: .relaxed) }

    /// Prints a line a second until the task is cancelled.
    package func report() async {
        guard !isSilent else { return }
        let start = Clock.nanos()
        var last: (nanos: Int64, done: UInt64) = (start, total)
        while (try? await Task.sleep(nanoseconds: 1_000_000_000)) != nil {
            let now = (nanos: Clock.nanos(), done: total)
            let rate = Double(now.done - last.done) / (Double(max(1, now.nanos - last.nanos)) / 1e9)
            let seconds = Units.fixed(Double(now.nanos - start) / 1e9, 0)
            let trouble = errors > 0 ? ", \(Units.grouped(errors)) errors" : ""
            Terminal.note(
                "  \(seconds) s  \(Units.grouped(rate)) \(what)/s, "
                    + "\(Units.grouped(now.done)) in all\(trouble)")
            last = now
        }
    }
}
