package import ChaskiModel
package import ChaskiProtobuf

extension ChaskiProtobuf.Message {
    /// The message in the wire format; `internal` where it cannot be encoded.
    package func bytes() throws(Failure) -> [UInt8] {
        do {
            return try serializedBytes()
        } catch {
            throw Failure(
                .internalError, FailureReason(rawValue: "encoding"),
                "An answer could not be encoded: \(error)")
        }
    }

    /// Decodes a control message with the limits of the framing layer.
    ///
    /// - Throws: `protocol-error` for bytes that are no such message.
    package init(control bytes: Bytes) throws(Failure) {
        do {
            try self.init(
                serializedBytes: bytes,
                options: DecodingOptions(
                    depthLimit: Limits.protobufDepthOfControl, memoryBudget: 1 << 20,
                    itemLimit: Limits.repeatedItemsOfControl))
        } catch {
            throw .malformed(Self.protoMessageName, error)
        }
    }
}
