import ChaskiModel

/// What a frame is. The page WireProtocol describes each.
package enum FrameType: UInt8, Sendable, CaseIterable {
    case hello = 1
    case welcome, open, message, close, reset, window, ping, pong, goAway

    /// The smallest of the types that a receiver skips when it does not know them.
    package static let firstExtension: UInt8 = 128

    /// Whether frames of this type carry a protobuf message and no attachment.
    var isProtobufOnly: Bool {
        switch self {
        case .hello, .welcome, .open, .close, .reset, .goAway: true
        case .message, .window, .ping, .pong: false
        }
    }

    /// Whether the frame is about the connection: stream id 0.
    var isOfConnection: Bool {
        switch self {
        case .hello, .welcome, .ping, .pong, .goAway: true
        case .open, .message, .close, .reset, .window: false
        }
    }
}

/// Flags of a frame.
package struct FrameFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The unit goes on in a later frame of the stream.
    package static let more = Self(rawValue: 1)
    /// The protobuf part is raw deflate.
    package static let deflated = Self(rawValue: 2)
    /// The sender's last message on the stream.
    package static let end = Self(rawValue: 4)
    /// Goes on with the unit that an earlier frame of the stream began with `more`.
    package static let continues = Self(rawValue: 8)
    /// Only with `end`: no message is in this frame.
    package static let noMessage = Self(rawValue: 16)

    static let known: Self = [.more, .deflated, .end, .continues, .noMessage]
}

/// The 20 bytes before the parts of a frame, little-endian.
package struct FrameHeader: Hashable, Sendable {
    /// Bytes of the header itself.
    package static let bytes = 20

    /// Bytes after the header: protobuf part and attachment.
    package var length: UInt32
    /// The type as sent; 128 and above may be unknown.
    package var rawType: UInt8
    package var flags: FrameFlags
    package var reserved: UInt16 = 0
    /// 0 for frames about the connection.
    package var stream: UInt64
    /// Bytes of the protobuf part, as sent.
    package var protobufLength: UInt32

    package init(
        length: UInt32, rawType: UInt8, flags: FrameFlags, stream: UInt64, protobufLength: UInt32
    ) {
        self.length = length
        self.rawType = rawType
        self.flags = flags
        self.stream = stream
        self.protobufLength = protobufLength
    }

    /// A header for parts of these sizes, which the caller holds against the frame limit.
    init(_ type: FrameType, flags: FrameFlags = [], stream: UInt64, protobuf: Int, attachment: Int)
    {
        precondition(protobuf >= 0 && attachment >= 0 && protobuf + attachment <= Int(UInt32.max))
        self.init(
            length: UInt32(protobuf + attachment), rawType: type.rawValue, flags: flags,
            stream: stream, protobufLength: UInt32(protobuf))
    }

    /// Reads a header from the first 20 bytes; nil where fewer are there. Judges nothing.
    package init?(_ span: RawSpan) {
        guard let length = span.littleEndian(UInt32.self, at: 0),
            let rawType = span.littleEndian(UInt8.self, at: 4),
            let flags = span.littleEndian(UInt8.self, at: 5),
            let reserved = span.littleEndian(UInt16.self, at: 6),
            let stream = span.littleEndian(UInt64.self, at: 8),
            let protobufLength = span.littleEndian(UInt32.self, at: 16)
        else { return nil }
        self.init(
            length: length, rawType: rawType, flags: FrameFlags(rawValue: flags), stream: stream,
            protobufLength: protobufLength)
        self.reserved = reserved
    }

    /// Appends the 20 bytes.
    package func write(to output: inout [UInt8]) {
        output.append(littleEndian: length)
        output.append(rawType)
        output.append(flags.rawValue)
        output.append(littleEndian: reserved)
        output.append(littleEndian: stream)
        output.append(littleEndian: protobufLength)
    }

    /// Bytes of the attachment. Zero where the lengths contradict each other.
    package var attachmentLength: UInt32 { length >= protobufLength ? length - protobufLength : 0 }
}
