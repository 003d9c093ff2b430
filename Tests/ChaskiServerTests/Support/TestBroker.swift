import ChaskiModel
import ChaskiServer
import ChaskiStorage
import Foundation
import Logging

/// A real broker on a free port, over a directory of its own.
struct TestBroker {
    let directory: String
    let port: Int
    private let task: Task<Void, any Error>

    /// Starts a broker; over a fresh directory unless one is given.
    static func start(
        directory: String? = nil, _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) async throws -> TestBroker {
        let directory = directory ?? NSTemporaryDirectory() + "chaski-test-\(UUID().uuidString)"
        let server = try BrokerServer(
            configuration: configuration(directory, change),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let task = Task { try await server.run() }
        return TestBroker(directory: directory, port: try await server.port(), task: task)
    }

    /// Small files, so that a test does not allocate 200 MiB.
    static func configuration(
        _ directory: String, _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) -> ServerConfiguration {
        var configuration = ServerConfiguration()
        configuration.port = 0
        configuration.dataDirectory = directory
        configuration.journal.fileBytes = 1 << 20
        configuration.journal.reserveBytes = 2 << 20
        configuration.journal.checkpointBytes = 1 << 20
        change(&configuration)
        return configuration
    }

    /// A graceful end; the directory stays.
    func stop() async throws {
        task.cancel()
        try await task.value
    }

    /// A graceful end, and the directory goes.
    func remove() async throws {
        try await stop()
        try FileManager.default.removeItem(atPath: directory)
    }
}
