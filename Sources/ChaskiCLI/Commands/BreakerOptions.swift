import ArgumentParser
import ChaskiModel

/// The share of failures at which a breaker opens, or that there is to be none.
struct BreakerShareArgument: ExpressibleByArgument {
    /// nil for no breaker.
    var thousandths: UInt32?

    /// `off`, `50%` or `0.5`.
    init?(argument: String) {
        if argument == "off" { return }
        let isPercent = argument.hasSuffix("%")
        guard let value = Double(isPercent ? String(argument.dropLast()) : argument),
            value.isFinite
        else { return nil }
        let thousandths = (value * (isPercent ? 10 : 1_000)).rounded()
        guard thousandths >= 1, thousandths <= 1_000 else { return nil }
        self.thousandths = UInt32(thousandths)
    }
}

/// The breaker of a subscription, for creating and updating one.
struct BreakerOptions: ParsableArguments {
    @Option(
        name: .customLong("breaker"),
        help: ArgumentHelp(
            "Stop handing out at this share of failures among the verdicts, as 50%; or off (off).",
            valueName: "share"))
    var share: BreakerShareArgument?

    @Option(
        name: .customLong("breaker-window"),
        help: .duration("How far back the breaker counts verdicts (30s)."))
    var window: DurationArgument?

    @Option(
        name: .customLong("breaker-min"),
        help: ArgumentHelp(
            "Verdicts in the window below which the breaker stays closed (20).",
            valueName: "count"))
    var minimum: UInt32?

    @Option(
        name: .customLong("breaker-open"),
        help: .duration("How long the breaker stays open before it tries one message (30s)."))
    var open: DurationArgument?

    /// What the options name; nil for nothing.
    var change: BreakerChange? {
        if let share, share.thousandths == nil { return .removal }
        guard share != nil || window != nil || minimum != nil || open != nil else { return nil }
        var change = BreakerChange()
        change.failureThousandths = share?.thousandths
        change.windowNanos = window?.nanos
        change.minimumVerdicts = minimum
        change.openNanos = open?.nanos
        return change
    }

    func validate() throws {
        let day: Int64 = 86_400_000_000_000
        if let share, share.thousandths == nil, window != nil || minimum != nil || open != nil {
            throw ValidationError("--breaker off takes no other option of the breaker.")
        }
        if let window, !(100_000_000...day).contains(window.nanos) {
            throw ValidationError("--breaker-window must be between 100ms and 1d.")
        }
        if let minimum, !(1...1_000_000).contains(minimum) {
            throw ValidationError("--breaker-min must be between 1 and 1000000.")
        }
        if let open, !(1_000_000...day).contains(open.nanos) {
            throw ValidationError("--breaker-open must be between 1ms and 1d.")
        }
    }
}
