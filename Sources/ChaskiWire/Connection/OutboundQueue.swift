import ChaskiModel
import DequeModule

/// A message, or the end of a stream, on its way out.
struct OutboundUnit {
    enum Kind {
        case message
        /// CLOSE, whose status is the protobuf part.
        case close
    }

    var kind: Kind
    var protobuf: [UInt8]
    var attachment: Bytes
    var flags: FrameFlags
    var trafficClass: TrafficClass
    /// Bytes of the attachment already sent; nil before the first frame.
    var sentAttachment: Int?

    init(
        kind: Kind = .message, protobuf: [UInt8], attachment: Bytes, flags: FrameFlags,
        trafficClass: TrafficClass
    ) {
        self.kind = kind
        self.protobuf = protobuf
        self.attachment = attachment
        self.flags = flags
        self.trafficClass = trafficClass
    }

    /// What it takes of the windows.
    var windowBytes: Int { kind == .message ? protobuf.count + attachment.count : 0 }

    /// What it counts in the queue: its bytes and a frame header.
    var queuedBytes: Int { protobuf.count + attachment.count + FrameHeader.bytes }
}

/// What waits to be sent on one stream. Within a class units keep their order; what ends the
/// stream goes last, whatever its class.
struct StreamOutbound {
    private var queues: [Deque<OutboundUnit>] = []
    /// Waits until everything else of the stream is sent.
    private var finale: Deque<OutboundUnit> = []
    private(set) var queuedBytes = 0
    /// Whether the stream stands in the ring of a class.
    private var inRing: UInt8 = 0

    var isEmpty: Bool { finale.isEmpty && queues.allSatisfy(\.isEmpty) }

    mutating func enqueue(_ unit: OutboundUnit, isLast: Bool) {
        queuedBytes += unit.queuedBytes
        if isLast {
            finale.append(unit)
        } else {
            if queues.isEmpty { queues = .init(repeating: [], count: TrafficClass.allCases.count) }
            queues[unit.trafficClass.rawValue].append(unit)
        }
        promote()
    }

    /// Moves what ends the stream into its queue once that is all there is.
    private mutating func promote() {
        guard !finale.isEmpty, queues.allSatisfy(\.isEmpty) else { return }
        if queues.isEmpty { queues = .init(repeating: [], count: TrafficClass.allCases.count) }
        let unit = finale.removeFirst()
        queues[unit.trafficClass.rawValue].append(unit)
    }

    func head(of trafficClass: TrafficClass) -> OutboundUnit? {
        queues.isEmpty ? nil : queues[trafficClass.rawValue].first
    }

    /// Notes that `bytes` more of the head's attachment are sent; the head stays.
    mutating func advanceHead(of trafficClass: TrafficClass, by bytes: Int) {
        let sent = queues[trafficClass.rawValue][0].sentAttachment ?? 0
        queues[trafficClass.rawValue][0].sentAttachment = sent + bytes
    }

    /// Takes the head out, which is sent whole.
    mutating func removeHead(of trafficClass: TrafficClass) {
        let unit = queues[trafficClass.rawValue].removeFirst()
        queuedBytes -= unit.queuedBytes
        assert(queuedBytes >= 0)
        promote()
    }

    /// Throws everything away; returns what a unit in progress had still reserved.
    mutating func clear() -> Int {
        var reserved = 0
        for queue in queues {
            if let unit = queue.first, let sent = unit.sentAttachment {
                reserved += unit.attachment.count - sent
            }
        }
        queues = []
        finale = []
        queuedBytes = 0
        return reserved
    }

    /// Classes with something to send that are in no ring yet; they count as in the ring from
    /// now on.
    mutating func enterRings(_ body: (TrafficClass) -> Void) {
        guard !queues.isEmpty else { return }
        for trafficClass in TrafficClass.allCases {
            let bit = UInt8(1) << UInt8(trafficClass.rawValue)
            guard inRing & bit == 0, !queues[trafficClass.rawValue].isEmpty else { continue }
            inRing |= bit
            body(trafficClass)
        }
    }

    mutating func leftRing(_ trafficClass: TrafficClass) {
        inRing &= ~(UInt8(1) << UInt8(trafficClass.rawValue))
    }
}
