import NIOCore

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Whether an address could be listened on, found out before anything else is touched.
enum AddressProbe {
    /// Binds to `host:port` and lets go at once; nothing listens, so nobody can connect.
    ///
    /// - Throws: NIO's `SocketAddressError` for a name without address, and `IOError` as EADDRINUSE.
    static func check(host: String, port: Int) throws {
        let address = try SocketAddress.makeAddressResolvingHost(host, port: port)
        let family = address.protocol == .inet6 ? AF_INET6 : AF_INET
        let descriptor = socket(
            family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        defer { close(descriptor) }
        // As the listener does: what is left of closed connections is in nobody's way.
        var yes: Int32 = 1
        _ = setsockopt(
            descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let code = address.withSockAddr { address, size in
            bind(descriptor, address, socklen_t(size)) == 0 ? 0 : errno
        }
        guard code == 0 else { throw IOError(errnoCode: code, reason: "bind") }
    }
}
