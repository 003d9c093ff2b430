import SwiftProtobuf

/// The length of what SwiftProtobuf writes; here, as both runtimes name their protocol `Message`.
func theirEncode<M: SwiftProtobuf.Message>(_ message: M) throws -> Int {
    let bytes: [UInt8] = try message.serializedBytes()
    return bytes.count
}
