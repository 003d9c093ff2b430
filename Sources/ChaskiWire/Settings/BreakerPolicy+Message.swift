import ChaskiMessages
import ChaskiModel

extension Chaski_V1_BreakerPolicy {
    /// What the change names.
    init(_ change: BreakerChange) {
        self.init()
        if change.isRemoval {
            none = true
            return
        }
        if let share = change.failureThousandths { failureThousandths = share }
        if let nanos = change.windowNanos { windowNanos = UInt64(clamping: nanos) }
        if let verdicts = change.minimumVerdicts { minimumVerdicts = verdicts }
        if let nanos = change.openNanos { openNanos = UInt64(clamping: nanos) }
    }
}

extension BreakerChange {
    /// What a message gives.
    init(_ message: Chaski_V1_BreakerPolicy) {
        self.init()
        isRemoval = message.none
        if message.hasFailureThousandths { failureThousandths = message.failureThousandths }
        if message.hasWindowNanos { windowNanos = Int64(clamping: message.windowNanos) }
        if message.hasMinimumVerdicts { minimumVerdicts = message.minimumVerdicts }
        if message.hasOpenNanos { openNanos = Int64(clamping: message.openNanos) }
    }
}
