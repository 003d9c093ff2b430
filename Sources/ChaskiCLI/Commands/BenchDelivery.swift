import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski bench delivery`.
struct BenchDelivery: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delivery",
        abstract: "Consume in order, atomically, with retries and deaths, and record all of it.",
        discussion: """
            Producers publish to a topic; consumers of an ordered subscription acknowledge half of \
            the keys' messages, and of the other half publish each to a second topic and \
            acknowledge it in one atomic request. Some messages are first retried, with a delay or \
            by backoff, or given back; some must end dead, and are forwarded to a third topic. \
            Every outcome is written to --history, on a disk that faults do not touch. Ctrl-C (or \
            the end of --seconds) ends the load; the consumers catch up, and the topics and dead \
            letters are read. tools/blackbox/run judges the history.
            """)

    @Option(help: ArgumentHelp("The file to write.", valueName: "path"))
    var history: String

    @Option(help: ArgumentHelp("Producers, each with its connection.", valueName: "count"))
    var producers = 2

    @Option(help: ArgumentHelp("Consumers, each with its connection.", valueName: "count"))
    var consumers = 2

    @Option(help: ArgumentHelp("Messages a second of all producers.", valueName: "count"))
    var rate: Double = 2_000

    @Option(help: .duration("End the load after this long; else at Ctrl-C."))
    var seconds: DurationArgument?

    @Option(help: ArgumentHelp("Bytes of a payload, about.", valueName: "size"))
    var size = SizeArgument(bytes: 200)

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...64).contains(producers), (1...64).contains(consumers) else {
            throw ValidationError("--producers and --consumers must be between 1 and 64.")
        }
        guard rate > 0, rate <= 1e6 else {
            throw ValidationError("--rate must be above 0 and at most 1000000.")
        }
        guard (100...65_536).contains(size.bytes) else {
            throw ValidationError("--size must be between 100 bytes and 64 KiB.")
        }
    }

    func run() async throws {
        let load = DeliveryLoad(
            connection: connection, writer: try HistoryWriter(path: history),
            content: VerifyContent(
                run: String(UInt64.random(in: 0...UInt64.max), radix: 36),
                payloadBytes: Int(size.bytes)))
        let isComplete = try await load.run(
            producers: producers, consumers: consumers, rate: rate, seconds: seconds?.nanos)
        guard isComplete else {
            throw Failure(
                .deadlineExceeded, .overloaded, "not all was handled, or could be read, in time")
        }
    }
}
