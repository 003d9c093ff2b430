package import NIOCore

/// How sockets are used; the protocol's own limits are the machine's.
package enum SocketSettings {
    /// Bytes handed to the kernel at once.
    package static let writeBytes = 128 * 1024
    /// Bytes read from the kernel at once, at most.
    package static let readBytes = 128 * 1024
    /// Reads in a row before other connections get their turn.
    package static let readsInARow: UInt = 4
    /// Bytes that the channel may hold unwritten before the rest stays in the machine's queues,
    /// where it is sorted by class and counted against the limits.
    package static let writeWatermark = ChannelOptions.Types.WriteBufferWaterMark(
        low: 64 * 1024, high: 128 * 1024)
    /// How long a side that said its last word waits for the other to close.
    package static let lingerTime = TimeAmount.seconds(1)
    /// Memory of a write buffer that a quiet connection keeps.
    package static let keptBytes = 16 * 1024
    /// Bytes thrown away while waiting.
    package static let lingerBytes = 16 * 1024 * 1024
    /// Connections waiting to be accepted.
    package static let backlog: Int32 = 1024
}
