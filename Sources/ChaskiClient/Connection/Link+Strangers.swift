import ChaskiModel
import ChaskiTransport
import ChaskiWire
import NIOCore
import NIOPosix

/// What a failed attempt to connect means.
extension Link {
    /// Why there was no connection at all.
    func connectFailure(_ error: any Error) -> Failure {
        if let error = error as? NIOConnectionError, error.connectionErrors.isEmpty,
            error.dnsAError != nil || error.dnsAAAAError != nil
        {
            return Failure(
                .unavailable, .unknownHost,
                "the name \(host) cannot be resolved; check its spelling and the name service")
        }
        return Failure(.unavailable, .unreachable, "cannot connect to \(host):\(port): \(error)")
    }

    /// Whether the peer broke the protocol before it said WELCOME. What a broker says in a GOAWAY
    /// is no such thing: it is counted nowhere.
    func isStranger(_ connection: Connection) -> Bool {
        let counters = connection.machine.counters
        return isGreeting(connection)
            && (counters.protocolErrors > 0 || counters.exceeded(.frameBytesBeforeWelcome) > 0
                || counters.exceeded(.totalBytesBeforeWelcome) > 0)
    }

    /// Something answered, and it is no broker.
    var notChaski: Failure {
        Failure(
            .failedPrecondition, .protocolError,
            "\(host):\(port) does not speak Chaski; another program listens there")
    }
}
