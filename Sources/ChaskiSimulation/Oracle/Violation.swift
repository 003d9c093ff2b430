/// A promise that was not kept, as a checker saw it.
package struct Violation: Sendable, Hashable {
    /// The promise, as INVARIANTS names it (P1, A2, ...), or what else was checked.
    package var check: String
    package var message: String
    /// Virtual time, nanoseconds since the run began.
    package var time: Int64

    package init(check: String, message: String, time: Int64) {
        self.check = check
        self.message = message
        self.time = time
    }
}
