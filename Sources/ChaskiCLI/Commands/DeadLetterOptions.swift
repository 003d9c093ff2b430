import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `--offset`: one offset, or a range as `5..<9` or `5..`.
struct OffsetsArgument: ExpressibleByArgument {
    var range: Range<Offset>

    init?(argument: String) {
        if let offset = UInt64(argument), offset < .max, !argument.hasPrefix("+") {
            range = offset..<offset + 1
            return
        }
        guard let dots = argument.firstRange(of: "..") else { return nil }
        let low = argument[..<dots.lowerBound]
        var high = argument[dots.upperBound...]
        guard let first = UInt64(low), !low.hasPrefix("+") else { return nil }
        if high.isEmpty {
            range = first..<UInt64(Int64.max)
            return
        }
        guard high.hasPrefix("<") else { return nil }
        high = high.dropFirst()
        guard let end = UInt64(high), !high.hasPrefix("+"), end > first else { return nil }
        range = first..<end
    }
}

/// `--attribute`: NAME=VALUE.
struct AttributeArgument: ExpressibleByArgument {
    var attribute: Attribute

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else {
            return nil
        }
        attribute = Attribute(
            String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
    }
}

/// `--cause`.
enum CauseArgument: String, ExpressibleByArgument, CaseIterable {
    case failedOnPurpose = "failed-on-purpose"
    case maximumFailures = "maximum-failures"
    case maximumAge = "maximum-age"
    case abandoned
}

/// Which dead letters a command is about.
struct DeadLetterOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Only this offset, or those of a range as 5..<9 or 5..; may be repeated.",
            valueName: "offset"))
    var offset: [OffsetsArgument] = []

    @Option(help: "Only those that died of this.")
    var cause: CauseArgument?

    @Option(help: ArgumentHelp("Only those whose last reason has this in it.", valueName: "text"))
    var reason: String?

    @Option(help: "Only those whose last reason came with this code.")
    var code: String?

    @Option(help: .duration("Only those that died within this time."))
    var within: DurationArgument?

    @Option(help: .duration("Only those that died longer ago than this."))
    var before: DurationArgument?

    @Option(help: "Only messages with this key.")
    var key: String?

    @Option(
        help: ArgumentHelp(
            "Only messages with this attribute; may be repeated.", valueName: "name=value"))
    var attribute: [AttributeArgument] = []

    var filter: DeadLetterFilter {
        var filter = DeadLetterFilter()
        filter.offsets = offset.map(\.range).sorted { $0.lowerBound < $1.lowerBound }
        filter.cause = cause?.rawValue
        filter.reason = reason
        filter.code = code
        let now = Clock.wallNanos()
        filter.diedFromNanos = within.map { now - $0.nanos }
        filter.diedBeforeNanos = before.map { now - $0.nanos }
        filter.key = key.map { Array($0.utf8) }
        filter.attributes = attribute.map(\.attribute)
        return filter
    }

    /// Whether nothing says which: all are meant.
    var isEmpty: Bool { filter == DeadLetterFilter() }

    func validate() throws {
        let ranges = filter.offsets
        for (low, high) in zip(ranges, ranges.dropFirst()) where low.upperBound > high.lowerBound {
            throw ValidationError("--offset: the ranges must not overlap.")
        }
        if ranges.count > 1_000 { throw ValidationError("--offset: at most 1000 are taken.") }
    }
}
