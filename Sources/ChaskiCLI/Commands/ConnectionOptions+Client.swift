import ChaskiClient
import ChaskiModel

extension ConnectionOptions {
    /// Connects, runs `body`, and closes the connection whatever happened.
    func withClient(
        _ body: (ChaskiClient, OutputKind) async throws -> Void
    ) async throws {
        let kind = try output.kind()
        let client = try await connect()
        do {
            try await body(client, kind)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }

    /// A client of the broker and namespace that the options name.
    func connect(name: String = "chaski-cli") async throws -> ChaskiClient {
        let address = try address()
        var settings = ClientConfiguration(namespace: namespaceName())
        settings.clientName = name
        settings.connectTimeout = .nanoseconds(try connectTimeoutNanos())
        do {
            return try await ChaskiClient.connect(
                host: address.host, port: address.port, configuration: settings)
        } catch let error as ChaskiError where error.reason.rawValue == "unreachable" {
            throw Failure(
                .unavailable, error.reason, "no broker answers at \(address.description)")
        }
    }
}

extension ChaskiError {
    /// The same in the words of the program.
    var failure: Failure {
        Failure(
            code, reason, message,
            retryAfterNanos: retryAfter.map { duration in
                let (seconds, attoseconds) = duration.components
                return min(seconds, 1_000_000) * 1_000_000_000 + attoseconds / 1_000_000_000
            })
    }
}
