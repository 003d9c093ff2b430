import ChaskiModel

/// One side of a stream: may send messages, has sent its last, or has ended the stream.
enum StreamSide: Hashable {
    case open, ended, closed
}

/// A unit of which some frames have come.
struct UnitAssembly {
    var protobuf: [UInt8]
    var attachment: [UInt8]
    var windowBytes: Int
    var deflated: Bool
}

/// A stream whose slot is taken.
struct StreamState {
    var local: StreamSide = .open
    var remote: StreamSide = .open
    var outbound = StreamOutbound()
    var sendWindow: SendWindow
    var receiveWindow: ReceiveWindow
    var assembly: UnitAssembly?
    /// When it was opened, and the time its call has.
    let openedNanos: Int64
    let timeoutNanos: Int64?
    /// Whether this side has begun to answer.
    var hasSentMessage = false
    /// Whether the host waits for `writable`.
    var wantsWritable = false

    /// Whether the call's own deadline has passed: then a reset is no abuse.
    func isPastDeadline(_ now: Int64) -> Bool {
        guard let timeoutNanos else { return false }
        return now - openedNanos >= timeoutNanos
    }
}

/// Why a frame of a message is not taken.
enum MessageRefusal: Error {
    case afterEnd, window, outOfOrder, unit
}

extension StreamState {
    /// Counts a MESSAGE frame that begins against the stream's window and its unit; returns the
    /// attachment so far where the frame continues one, taken out of the assembly.
    mutating func beginFrame(
        _ header: FrameHeader, unitBytes: Int
    ) throws(MessageRefusal)
        -> [UInt8]
    {
        let length = Int(header.length)
        let continues = header.flags.contains(.continues)
        guard remote == .open else { throw .afterEnd }
        guard receiveWindow.received(length) else { throw .window }
        // A frame continues the unit in hand, or is a whole unit, or begins one where none is in
        // hand.
        guard continues ? assembly != nil : assembly == nil || !header.flags.contains(.more)
        else { throw .outOfOrder }
        // A stream does not end in the middle of a unit.
        guard continues || assembly == nil || !header.flags.contains(.end) else {
            throw .outOfOrder
        }
        guard continues, var unit = assembly else {
            if length > unitBytes { throw .unit }
            return []
        }
        if length > unitBytes - unit.windowBytes { throw .unit }
        var attachment: [UInt8] = []
        assembly = nil
        swap(&attachment, &unit.attachment)
        assembly = unit
        return attachment
    }
}

/// The streams of a connection by id, and the highest id there ever was.
struct StreamTable {
    private var streams: [StreamID: StreamState] = [:]
    /// The highest id opened; 0 before the first. A lower id that is not in the table is over.
    private(set) var highest = StreamID(rawValue: 0)

    var count: Int { streams.count }

    subscript(_ id: StreamID) -> StreamState? {
        _read { yield streams[id] }
        _modify { yield &streams[id] }
    }

    /// Whether the id once was a stream's, or is.
    func wasOpened(_ id: StreamID) -> Bool { id <= highest }

    mutating func open(_ id: StreamID, _ state: StreamState) {
        precondition(id > highest && id.rawValue % 2 == 1, "ids are odd and rise")
        highest = id
        streams[id] = state
    }

    /// Notes an id as used up without a stream.
    mutating func skip(_ id: StreamID) {
        precondition(id > highest)
        highest = id
    }

    /// Ids above `id`, ascending.
    func ids(above id: StreamID) -> [StreamID] { streams.keys.filter { $0 > id }.sorted() }

    mutating func remove(_ id: StreamID) -> StreamState? { streams.removeValue(forKey: id) }

    /// Takes a stream's state out, to be put back by `put`: its bytes are then changed in place.
    mutating func take(_ id: StreamID) -> StreamState? { streams.removeValue(forKey: id) }

    /// Puts a stream's state back.
    mutating func put(_ id: StreamID, _ state: consuming StreamState) { streams[id] = state }

    mutating func removeAll() { streams = [:] }
}
