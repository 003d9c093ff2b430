import ChaskiModel
import DequeModule

/// What waits to be sent: frames of the connection, and for each class the streams that have a
/// unit which may be sent.
struct OutboundState {
    /// Whole frames that go first.
    var control: [UInt8] = []
    /// By class: streams in turn.
    var rings = [Deque<StreamID>](repeating: [], count: TrafficClass.allCases.count)
    /// Bytes of all units of all streams.
    private(set) var unitBytes = 0
    /// What may be sent on the connection.
    var window = SendWindow(0)

    var queuedBytes: Int { control.count + unitBytes }

    mutating func appendControl(
        _ type: FrameType, stream: StreamID, protobuf: [UInt8], attachment: [UInt8]
    ) {
        FrameHeader(
            type, stream: stream.rawValue, protobuf: protobuf.count, attachment: attachment.count
        ).write(to: &control)
        control += protobuf
        control += attachment
    }

    mutating func added(_ bytes: Int) { unitBytes += bytes }

    mutating func removed(_ bytes: Int) {
        unitBytes -= bytes
        precondition(unitBytes >= 0, "queued bytes are conserved")
    }

    mutating func clear() {
        control = []
        unitBytes = 0
        for index in rings.indices { rings[index] = [] }
    }
}
