import ChaskiModel
import ChaskiStreams
import NIOCore

/// A shard's table of the connections that it talks to, and what waits to be said to each.
/// Confined to the shard's loop.
final class EventRouter: ShardEventSink {
    private struct Route {
        let port: ConnectionPort
        let isLocal: Bool
        var isTouched = false
        /// Only used towards other loops.
        var outbox: [ShardEvent] = []
    }

    private let loop: any EventLoop
    private var routes: [UInt64: Route] = [:]
    /// Numbers of the connections that were spoken to in this turn, in that order.
    private var touched: [UInt64] = []

    init(loop: any EventLoop) { self.loop = loop }

    func attach(_ port: ConnectionPort) {
        routes[port.number] = Route(port: port, isLocal: port.loop === loop)
    }

    func detach(_ port: ConnectionPort) { routes[port.number] = nil }

    /// Says `event` to the connection of that number; nothing when it is gone.
    func send(_ event: ShardEvent, to number: UInt64) {
        guard let index = routes.index(forKey: number) else { return }
        if !routes.values[index].isTouched {
            routes.values[index].isTouched = true
            touched.append(number)
        }
        if routes.values[index].isLocal {
            let connection = routes.values[index].port.connection
            connection.take(event)
        } else {
            routes.values[index].outbox.append(event)
        }
    }

    /// The end of a turn: what was said goes out.
    func flush() {
        while !touched.isEmpty {
            let numbers = touched
            touched.removeAll(keepingCapacity: true)
            for number in numbers { flush(number) }
        }
    }

    private func flush(_ number: UInt64) {
        guard let index = routes.index(forKey: number) else { return }
        routes.values[index].isTouched = false
        let port = routes.values[index].port
        if routes.values[index].isLocal {
            port.connection.take(.turnEnded)
            return
        }
        let events = routes.values[index].outbox
        routes.values[index].outbox = []
        port.loop.execute {
            let connection = port.connection
            for event in events { connection.take(event) }
            connection.take(.turnEnded)
        }
    }
}
