import ArgumentParser
import ChaskiClient
import ChaskiModel

/// `chaski bench`.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure a broker, or check that it keeps its word.",
        discussion: """
            Payloads are unique, messages have a key and two attributes, acknowledgements are \
            individual and in shuffled order. With --rate latencies count from the moment a \
            message was due, so that a stall is not hidden (coordinated omission). Topics that a \
            run makes are deleted at its end.
            """,
        subcommands: [
            BenchPublish.self, BenchSubscribe.self, BenchHandle.self, BenchSubscriptions.self,
            BenchPingPong.self, BenchVerify.self, BenchDelivery.self,
        ])
}

/// What all benchmarks take.
struct BenchOptions: ParsableArguments {
    @Option(help: .size("Bytes of a payload."))
    var size = SizeArgument(bytes: 256)

    @Option(help: .duration("How long to run."))
    var seconds = DurationArgument(nanos: 10_000_000_000)

    @Option(help: ArgumentHelp("Use this topic, and keep it.", valueName: "name"))
    var topic: String?

    func validate() throws {
        let smallest = UInt64(Workload.minimumPayloadBytes)
        guard (smallest...UInt64(Limits.payloadBytesMaximum)).contains(size.bytes) else {
            throw ValidationError(
                "--size must be between \(smallest) bytes and 8MiB, so that payloads are unique.")
        }
        guard seconds.nanos >= 100_000_000 else {
            throw ValidationError("--seconds must be at least 0.1.")
        }
    }

    func workload(keys: Int = 1_000, busyPercent: UInt64 = 0) -> Workload {
        Workload(
            payloadBytes: Int(size.bytes), run: UInt64.random(in: 1...UInt64.max), keys: keys,
            busyPercent: busyPercent)
    }
}

/// A topic for one run.
struct BenchTopic {
    let name: String
    let isOurs: Bool

    /// Makes one, or takes the one that was named.
    static func make(_ given: String?, with client: ChaskiClient) async throws -> BenchTopic {
        let name = given ?? "bench-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        do {
            _ = try await client.createTopic(name)
        } catch let error as ChaskiError where error.reason == .alreadyExists && given != nil {
            return BenchTopic(name: name, isOurs: false)
        }
        return BenchTopic(name: name, isOurs: given == nil)
    }

    func remove(with client: ChaskiClient) async {
        if isOurs { try? await client.deleteTopic(name) }
    }
}

extension ChaskiClient {
    /// What the broker wrote in a namespace since it started; nil where it does not tell.
    func storage(of namespace: String) async -> BenchReport.Storage? {
        guard let status = try? await status(),
            let item = status.namespaces.first(where: { $0.name == namespace })
        else { return nil }
        return BenchReport.Storage(
            syncs: item.syncs, bytesWritten: item.bytesWritten,
            messagesAppended: item.messagesAppended, allocations: item.allocations)
    }
}

extension Workload {
    /// Message `index` of the run.
    func message(_ index: UInt64) -> Message {
        Message(
            payload(index), key: key(index),
            attributes: [
                Attribute(Self.attributeNames[0], attributeValue(index, 0)),
                Attribute(Self.attributeNames[1], attributeValue(index, 1)),
            ])
    }
}
