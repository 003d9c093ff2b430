package import NIOCore
import NIOPosix

/// Opens and accepts connections.
package enum Sockets {
    /// Connects to `host:port`; the owner's `connectionStarted` is called on the connection's loop
    /// before the future succeeds.
    ///
    /// - Parameters:
    ///   - timeout: for the TCP connection; the handshake has its own limit in the machine.
    ///   - makeConnection: called on the connection's loop; nil gives it up.
    /// - Returns: done when the socket is open; fails with NIO's error when it cannot be opened.
    package static func connect(
        host: String, port: Int, on loop: any EventLoop, timeout: TimeAmount,
        makeConnection: @escaping @Sendable (any EventLoop) -> Connection?
    ) -> EventLoopFuture<Void> {
        ClientBootstrap(group: loop)
            .connectTimeout(timeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.maxMessagesPerRead, value: SocketSettings.readsInARow)
            .channelOption(.recvAllocator, value: receiveAllocator)
            .channelOption(.writeBufferWaterMark, value: SocketSettings.writeWatermark)
            .channelInitializer { channel in
                install(makeConnection(channel.eventLoop), in: channel)
            }
            .connect(host: host, port: port)
            .map { _ in }
    }

    /// Listens on `host:port` (0: any free port); accepted connections run on `connections`.
    ///
    /// - Parameter makeConnection: called on the accepted connection's loop; nil turns it away.
    /// - Returns: the listening channel; fails with NIO's error, as EADDRINUSE.
    package static func listen(
        host: String, port: Int, on loop: any EventLoop, connections: any EventLoopGroup,
        makeConnection: @escaping @Sendable (any EventLoop) -> Connection?
    ) -> EventLoopFuture<any Channel> {
        ServerBootstrap(group: loop, childGroup: connections)
            .serverChannelOption(.backlog, value: SocketSettings.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: 16)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: SocketSettings.readsInARow)
            .childChannelOption(.recvAllocator, value: receiveAllocator)
            .childChannelOption(
                .writeBufferWaterMark, value: SocketSettings.writeWatermark
            )
            .childChannelInitializer { channel in
                install(makeConnection(channel.eventLoop), in: channel)
            }
            .bind(host: host, port: port)
    }

    private static var receiveAllocator: AdaptiveRecvByteBufferAllocator {
        AdaptiveRecvByteBufferAllocator(
            minimum: 4096, initial: 16 * 1024, maximum: SocketSettings.readBytes)
    }

    private static func install(
        _ connection: Connection?, in channel: any Channel
    )
        -> EventLoopFuture<Void>
    {
        guard let connection else { return channel.close() }
        return channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(connection)
        }
    }
}
