import ChaskiModel
import ChaskiStreams
import NIOCore

/// The way to a connection, from any loop.
struct ConnectionPort: Sendable {
    /// Unique among the living connections of a process.
    let number: UInt64
    let loop: any EventLoop
    private let bound: NIOLoopBound<ServerConnection>

    /// Called on the connection's loop.
    init(number: UInt64, loop: any EventLoop, connection: ServerConnection) {
        self.number = number
        self.loop = loop
        bound = NIOLoopBound(connection, eventLoop: loop)
    }

    /// The connection itself, on its loop only.
    var connection: ServerConnection { bound.value }
}

/// The way to a shard, from any loop.
struct ShardPort: Sendable {
    let namespace: String
    let loop: any EventLoop
    private let bound: NIOLoopBound<Shard>

    /// Called on the shard's loop.
    init(namespace: String, loop: any EventLoop, shard: Shard) {
        self.namespace = namespace
        self.loop = loop
        bound = NIOLoopBound(shard, eventLoop: loop)
    }

    /// The shard itself, on its loop only.
    var shard: Shard { bound.value }
}

/// One connection's line to one shard: direct where they share a loop, else one hop for each run
/// of requests. Confined to the connection's loop.
final class ShardLink {
    let shard: ShardPort
    let connection: ConnectionPort
    private let isLocal: Bool
    private var outbox: [ShardRequest] = []

    init(shard: ShardPort, connection: ConnectionPort) {
        self.shard = shard
        self.connection = connection
        isLocal = shard.loop === connection.loop
    }

    func send(_ request: ShardRequest) {
        if isLocal {
            shard.shard.take(request, from: connection)
        } else {
            outbox.append(request)
        }
    }

    /// The end of a run of requests.
    func flush() {
        if isLocal {
            shard.shard.endTurn()
        } else if !outbox.isEmpty {
            let requests = outbox
            outbox = []
            let (shard, connection) = (shard, connection)
            shard.loop.execute {
                let target = shard.shard
                for request in requests { target.take(request, from: connection) }
                target.endTurn()
            }
        }
    }
}
