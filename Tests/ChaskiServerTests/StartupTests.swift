import ChaskiMessages
import ChaskiModel
import ChaskiServer
import Foundation
import Logging
import NIOCore
import NIOPosix
import Testing

/// What keeps a broker from starting, each with its own kind.
@Suite(.timeLimit(.minutes(1)))
struct StartupTests {
    private func failure(
        _ directory: String, _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) async -> StartupFailure? {
        do {
            let broker = try await TestBroker.start(directory: directory, change)
            try await broker.stop()
            return nil
        } catch {
            return error as? StartupFailure
        }
    }

    @Test("A port in use")
    func portInUse() async throws {
        let broker = try await TestBroker.start()
        let other = NSTemporaryDirectory() + "chaski-test-\(UUID().uuidString)"
        let failure = await failure(other) { $0.port = broker.port }
        #expect(failure?.kind == .portInUse)
        #expect(failure?.failure.message.contains("\(broker.port)") == true)
        #expect(!FileManager.default.fileExists(atPath: other), "nothing was made before")
        try await broker.remove()
    }

    @Test("A data directory in use")
    func directoryInUse() async throws {
        let broker = try await TestBroker.start()
        let failure = await failure(broker.directory)
        #expect(failure?.kind == .directoryInUse)
        try await broker.remove()
    }

    @Test("A listener beyond loopback needs to be told so")
    func beyondLoopback() async throws {
        #expect(throws: StartupFailure.self) {
            try BrokerServer(
                configuration: TestBroker.configuration("/nowhere") { $0.host = "0.0.0.0" },
                logger: Logger(label: "test"))
        }
        #expect(ServerConfiguration.isLoopback("127.0.0.1"))
        #expect(ServerConfiguration.isLoopback("::1"))
        #expect(!ServerConfiguration.isLoopback("127.0.0.1.example.com"))
        #expect(!ServerConfiguration.isLoopback("10.0.0.1"))
    }

    @Test("A namespace's name is also a folder's", arguments: ["../up", "", "a/b", "Ü", ".x", "A"])
    func namespaceNames(name: String) {
        #expect(!ServerConfiguration.isNamespace(name))
        #expect(ServerConfiguration.isNamespace("orders-1.eu_west"))
    }

    /// The oldest journal file of a namespace.
    private func journal(_ directory: String, _ namespace: String) throws -> String {
        let folder = directory + "/" + namespace
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder)
                .filter { $0.hasPrefix("journal-") && $0.hasSuffix(".log") }.sorted().first)
        return folder + "/" + name
    }

    /// Overwrites a namespace's journal; its path, and what was written.
    private func spoil(_ directory: String, _ namespace: String) throws -> (String, Data) {
        let path = try journal(directory, namespace)
        let size = try #require(FileManager.default.contents(atPath: path)).count
        let garbage = Data(repeating: 0x5a, count: size)
        try garbage.write(to: URL(fileURLWithPath: path))
        return (path, garbage)
    }

    @Test("A journal that is no journal is left alone")
    func corruptFile() async throws {
        let broker = try await TestBroker.start()
        try await broker.stop()
        let (path, garbage) = try spoil(broker.directory, "default")
        let failure = await failure(broker.directory)
        #expect(failure?.kind == .damaged)
        #expect(failure?.failure.message.isEmpty == false)
        #expect(FileManager.default.contents(atPath: path) == garbage)
        try FileManager.default.removeItem(atPath: broker.directory)
    }

    @Test("What cannot be read is told to its consumers, and what can be is delivered")
    func damagedBatch() async throws {
        let broker = try await TestBroker.start()
        let first = try await RawClient.connect(port: broker.port)
        try await first.createTopic("orders", subscription: "billing")
        let publisher = try await RawPublisher.open(first, topic: "orders")
        _ = try await publisher.publish(["one"], sequence: 0)
        _ = try await publisher.publish(["to be damaged"], sequence: 1)
        // Not at the end, where damage looks like a write that a power cut tore.
        _ = try await publisher.publish(["three"], sequence: 2)
        try await broker.stop()
        let path = try journal(broker.directory, "default")
        var bytes = try #require(FileManager.default.contents(atPath: path))
        let place = try #require(bytes.range(of: Data("to be damaged".utf8)))
        bytes[place.lowerBound] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))

        let again = try await TestBroker.start(directory: broker.directory)
        let client = try await RawClient.connect(port: again.port)
        let consumer = try await RawConsumer.open(client, subscription: "billing")
        var stalled: Chaski_V1_Stalled?
        var delivered = 0
        while stalled == nil || delivered == 0 {
            let (answer, _) = try await client.message(
                Chaski_V1_ConsumeResponse.self, on: consumer.stream)
            if case .stalled(let told) = answer.kind { stalled = told }
            if case .deliver = answer.kind { delivered += 1 }
        }
        #expect(stalled?.alias == 1)
        #expect(stalled?.status.reason == FailureReason.damaged.rawValue)
        let info = try await client.describe("billing")
        #expect(info.stalledBy == stalled?.status && info.cursor == 1)
        try await again.remove()
    }

    @Test("A damaged namespace is fenced, and its neighbours are served")
    func fencedNamespace() async throws {
        let broker = try await TestBroker.start { $0.namespaces = ["other"] }
        try await broker.stop()
        _ = try spoil(broker.directory, "other")
        let again = try await TestBroker.start(directory: broker.directory)
        let client = try await RawClient.connect(port: again.port)
        try await client.createTopic("orders", subscription: "billing")
        await #expect(throws: FailureReason.damaged) {
            try await client.reason(of: "chaski.v1.Topics/List", namespace: "other")
        }
        try await again.remove()
    }
}
