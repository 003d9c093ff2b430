/// The limits of the framing layer and the messages, with their defaults and hard maxima;
/// each is checked before anything is allocated.
package enum Limits {
    /// Bytes of a frame, header included.
    package static let frameBytes = 128 * 1024
    /// Bytes of a frame before authentication, and of all such frames of a connection.
    package static let frameBytesBeforeWelcome = 8 * 1024
    package static let totalBytesBeforeWelcome = 16 * 1024
    /// Bytes of a unit assembled from frames with MORE: default, hard maximum.
    package static let unitBytes = 4 * 1024 * 1024
    package static let unitBytesMaximum = 16 * 1024 * 1024
    /// Bytes of a payload: default, hard maximum.
    package static let payloadBytes = 1024 * 1024
    package static let payloadBytesMaximum = 8 * 1024 * 1024
    package static let nameBytes = 255
    package static let keyBytes = 1024
    package static let dedupIDBytes = 128
    /// For how long a topic may remember dedup ids: 10 min unless told.
    package static let dedupWindowNanos: Int64 = 600_000_000_000
    package static let dedupWindowNanosMinimum: Int64 = 1_000_000_000
    package static let dedupWindowNanosMaximum: Int64 = 86_400_000_000_000
    package static let attributes = 64
    package static let attributeNameBytes = 128
    package static let attributeValueBytes = 4 * 1024
    package static let attributesBytes = 16 * 1024
    /// Messages of a batch: default, hard maximum.
    package static let batchMessages = 1_000
    package static let batchMessagesMaximum = 10_000
    /// Concurrent streams of a connection: default, hard maximum.
    package static let streams = 256
    package static let streamsMaximum = 10_000
    package static let settleRanges = 10_000
    /// Batches and verdicts of one atomic request.
    package static let atomicParts = 64
    package static let emptyFramesInARow = 100
    /// Inflated bytes of one block of a batch body.
    package static let blockBytes = 64 * 1024
    package static let inflateRatio = 100
    package static let protobufDepthOfControl = 32
    package static let repeatedItemsOfControl = 4_096
    package static let outboundBytes = 8 * 1024 * 1024
    package static let outboundStallNanos: Int64 = 10_000_000_000
    package static let frameCompletionNanos: Int64 = 30_000_000_000
    package static let handshakeNanos: Int64 = 5_000_000_000
    package static let keepaliveNanos: Int64 = 30_000_000_000
    package static let pingSpacingNanos: Int64 = 5_000_000_000
    package static let resumeGraceNanos: Int64 = 10_000_000_000
}
