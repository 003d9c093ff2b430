import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski bench verify`.
struct BenchVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract:
            "Publish and consume while somebody breaks the broker; then judge from own records.",
        discussion: """
            Producers and consumers write every outcome to --history, on a disk that the faults do \
            not touch, and go on across restarts of the broker. Ctrl-C (or the end of --seconds) \
            ends the load; the consumers catch up, the whole log is read again, and the history is \
            checked for messages lost, made up, duplicated, changed, reordered, or handed out \
            again after a confirmed acknowledgement. A verdict needs enough of everything: see the \
            --least options. Whoever makes faults appends "NANOSECONDS-SINCE-BOOT KIND" to the \
            file of --faults, just before each. Exit status: 0 held, 1 violated, 75 no verdict.
            """)

    @Option(
        help: ArgumentHelp("The file to write, or with --check-only to read.", valueName: "path"))
    var history: String

    @Option(help: ArgumentHelp("The list of faults made, read at the end.", valueName: "path"))
    var faults: String?

    @Flag(help: "Check an existing history; no broker is needed.")
    var checkOnly = false

    @Option(help: ArgumentHelp("Producers, each with its connection.", valueName: "count"))
    var producers = 2

    @Option(help: ArgumentHelp("Consumers, each with its connection.", valueName: "count"))
    var consumers = 2

    @Option(help: ArgumentHelp("Messages a second of all producers.", valueName: "count"))
    var rate: Double = 5_000

    @Option(
        help: .duration("End the load after this long; else at Ctrl-C."))
    var seconds: DurationArgument?

    @Option(help: ArgumentHelp("Bytes of a payload, about.", valueName: "size"))
    var size = SizeArgument(bytes: 200)

    @Option(help: ArgumentHelp("OKs that a verdict needs.", valueName: "count"))
    var leastStored: UInt64 = 1_000

    @Option(help: ArgumentHelp("INDETERMINATEs that a verdict needs.", valueName: "count"))
    var leastIndeterminate: UInt64 = 20

    @Option(help: ArgumentHelp("Effective faults that a verdict needs.", valueName: "count"))
    var leastFaults: UInt64 = 5

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
        let kind = try connection.output.kind()
        if !checkOnly {
            let load = VerifyLoad(
                connection: connection, writer: try HistoryWriter(path: history),
                content: VerifyContent(
                    run: String(UInt64.random(in: 0...UInt64.max), radix: 36),
                    payloadBytes: Int(size.bytes)))
            try await load.run(
                producers: producers, consumers: consumers, rate: rate, seconds: seconds?.nanos)
        }
        let verdict = try HistoryFile.check(
            history: history, faults: faults,
            thresholds: HistoryChecker.Thresholds(
                stored: leastStored, indeterminate: leastIndeterminate, faults: leastFaults))
        if kind == .json { kind.print(verdict.json) } else { Terminal.lines(verdict.lines) }
        throw ProgramEnd(verdict.programStatus)
    }
}
