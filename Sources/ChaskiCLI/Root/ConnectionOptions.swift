package import ArgumentParser
package import ChaskiModel

/// Which broker, which namespace, how to print: of every command that talks to a broker.
package struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The broker's address (CHASKI_SERVER; 127.0.0.1:7420).", valueName: "host:port"))
    package var server: String?

    @Option(
        help: ArgumentHelp("The namespace (CHASKI_NAMESPACE; default).", valueName: "name"))
    package var namespace: String?

    @Option(
        help: .duration("How long to try to reach the broker (CHASKI_CONNECT_TIMEOUT; 5s)."))
    package var connectTimeout: DurationArgument?

    @OptionGroup package var output: OutputOptions

    package init() {}

    package func address(_ environment: Environment = .process) throws(Failure) -> HostPort {
        if let server { return try HostPort.parse(server, source: "--server") }
        guard let text = environment.text("SERVER") else { return .standard }
        return try HostPort.parse(text, source: "CHASKI_SERVER")
    }

    package func namespaceName(_ environment: Environment = .process) -> String {
        environment.resolve(namespace, "NAMESPACE", default: "default")
    }

    package func connectTimeoutNanos(
        _ environment: Environment = .process
    ) throws(Failure) -> Int64 {
        let given = try environment.resolve(
            connectTimeout, "CONNECT_TIMEOUT", parse: DurationArgument.init(argument:))
        return given?.nanos ?? 5_000_000_000
    }
}

extension ArgumentHelp {
    /// The help of a duration, which ArgumentParser repeats where the value is none.
    static func duration(_ text: String) -> ArgumentHelp {
        ArgumentHelp("\(text) Use e.g. 250ms, 30s, 10m, 1d.", valueName: "duration")
    }

    /// The help of a size.
    static func size(_ text: String) -> ArgumentHelp {
        ArgumentHelp("\(text) Use e.g. 65536, 64KiB, 10MiB, 1.5GiB.", valueName: "size")
    }
}

/// A duration on the command line: `250ms`, `30s`, `10m`, `1h`, `7d`; a bare number is seconds.
package struct DurationArgument: ExpressibleByArgument, Hashable, Sendable {
    package var nanos: Int64

    package init(nanos: Int64) { self.nanos = nanos }

    package init?(argument: String) {
        guard let nanos = Units.parseDuration(nanos: argument) else { return nil }
        self.nanos = nanos
    }

    package var duration: Duration { .nanoseconds(nanos) }

    package var defaultValueDescription: String { Units.duration(nanos: nanos) }
}

/// A size on the command line: `65536`, `64KiB`, `1.5GiB`.
package struct SizeArgument: ExpressibleByArgument, Hashable, Sendable {
    package var bytes: UInt64

    package init(bytes: UInt64) { self.bytes = bytes }

    package init?(argument: String) {
        guard let bytes = Units.parseBytes(argument) else { return nil }
        self.bytes = bytes
    }

    package var defaultValueDescription: String { Units.bytes(bytes) }
}
