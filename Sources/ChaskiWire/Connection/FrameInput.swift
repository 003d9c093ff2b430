import ChaskiModel

/// The frame that is coming in: its header, then its parts, each copied once. Whoever has read the
/// header decides whether the parts are kept; only then is memory taken for them.
struct FrameInput {
    private var headerBytes: [UInt8] = []
    private(set) var header: FrameHeader?
    private var protobufMissing = 0
    private var attachmentMissing = 0
    private var skips = false
    private(set) var protobuf: [UInt8] = []
    private(set) var attachment: [UInt8] = []

    /// Whether some bytes of a frame have come, and not all.
    var isPartial: Bool { header != nil || !headerBytes.isEmpty }

    /// Takes header bytes; true when the header is there.
    mutating func takeHeader(_ bytes: RawSpan, _ position: inout Int) -> Bool {
        assert(header == nil)
        let missing = FrameHeader.bytes - headerBytes.count
        let taken = min(missing, bytes.byteCount - position)
        guard taken > 0 else { return false }
        let part = bytes.extracting(position..<position + taken)
        position += taken
        if taken == FrameHeader.bytes {
            header = FrameHeader(part)
            return true
        }
        Self.append(part, to: &headerBytes)
        guard headerBytes.count == FrameHeader.bytes else { return false }
        header = FrameHeader(headerBytes.span.bytes)
        headerBytes.removeAll(keepingCapacity: true)
        return true
    }

    /// The parts of the frame are kept; an attachment goes on behind `attachment`.
    mutating func keep(_ header: FrameHeader, continuing attachment: consuming [UInt8] = []) {
        begin(header)
        self.attachment = attachment
        protobuf.reserveCapacity(protobufMissing)
        if self.attachment.isEmpty { self.attachment.reserveCapacity(attachmentMissing) }
    }

    /// The parts of the frame are dropped as they come.
    mutating func skip(_ header: FrameHeader) {
        begin(header)
        skips = true
    }

    private mutating func begin(_ header: FrameHeader) {
        precondition(header.protobufLength <= header.length, "checked when the header came")
        protobufMissing = Int(header.protobufLength)
        attachmentMissing = Int(header.attachmentLength)
        skips = false
    }

    /// Takes bytes of the parts; true when the frame is whole.
    mutating func takeBody(_ bytes: RawSpan, _ position: inout Int) -> Bool {
        Self.take(bytes, &position, &protobufMissing, &protobuf, skips)
        if protobufMissing == 0 {
            Self.take(bytes, &position, &attachmentMissing, &attachment, skips)
        }
        return protobufMissing == 0 && attachmentMissing == 0
    }

    private static func take(
        _ bytes: RawSpan, _ position: inout Int, _ missing: inout Int, _ part: inout [UInt8],
        _ skips: Bool
    ) {
        let taken = min(missing, bytes.byteCount - position)
        guard taken > 0 else { return }
        if !skips { append(bytes.extracting(position..<position + taken), to: &part) }
        position += taken
        missing -= taken
    }

    private static func append(_ part: RawSpan, to array: inout [UInt8]) {
        part.withUnsafeBytes { array.append(contentsOf: $0) }
    }

    /// The whole frame's parts; the next frame may begin.
    mutating func takeParts() -> (protobuf: [UInt8], attachment: [UInt8]) {
        precondition(protobufMissing == 0 && attachmentMissing == 0)
        header = nil
        defer {
            protobuf = []
            attachment = []
        }
        return (protobuf, attachment)
    }

    /// Whether the frame was skipped.
    var isSkipped: Bool { skips }
}
