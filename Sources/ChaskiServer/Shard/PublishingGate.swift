import ChaskiBroker
import ChaskiModel

/// Why publishing is refused at the moment, by cause; the first of them is what publishers hear.
struct PublishingGate {
    /// The broker is on its way out.
    var isDraining = false
    /// No space on the disk.
    var space: Failure?
    /// What the core was told last.
    private var told: Failure?

    var refusal: Failure? {
        isDraining ? .draining : space
    }

    /// The refusal to tell the core, where it changed.
    mutating func change() -> PublishingState? {
        let refusal = refusal
        guard refusal != told else { return nil }
        told = refusal
        if let refusal { return .refused(refusal) }
        return .allowed
    }
}

extension Shard {
    func updatePublishing() {
        if let state = publishing.change() { machine.setPublishing(state) }
    }
}

extension Failure {
    static let draining = Failure(
        .unavailable, .draining, "The broker is shutting down: nothing was stored. Reconnect.",
        retryAfterNanos: 1_000_000_000)
}
