import CProtobufC

/// One pass over the bytes of a message before protobuf-c sees them: a loop driven by the C
/// descriptors, never recursive.
///
/// It refuses what must be refused (too deep, too many items, malformed, truncated), estimates the
/// memory that unpacking takes, and says whether the bytes hold one of the legal but rare cases that
/// protobuf-c gets wrong: a submessage in pieces, a known field with another wire type, a group.
struct WireScan {
    /// A message or group whose records are being read.
    struct Frame {
        var descriptor: UnsafePointer<ProtobufCMessageDescriptor>
        var end: Int
        /// Which singular message fields came already, by field index modulo 64.
        var seen: UInt64
        /// The field of the parent that holds this message; 0 for the outermost.
        var number: UInt32
        /// The number that ends this group; 0 for a message.
        var group: UInt32
        var records: Int
        var lastIndex: Int
    }

    /// What a scan that refused nothing found.
    struct Finding {
        /// Bytes that protobuf-c will allocate, about.
        var memoryEstimate: Int
        var needsNormalising: Bool
    }

    private static let inlineFrames = 24
    /// Records that protobuf-c notes without allocating.
    private static let freeRecords = 16
    /// Bytes that a further record costs protobuf-c, slabs doubling.
    private static let recordBytes = 64

    private let base: UnsafeRawPointer
    private let depthLimit: Int
    private var itemsLeft: Int
    private var estimate: Int
    private var needsNormalising = false

    private init(_ base: UnsafeRawPointer, _ options: DecodingOptions) {
        self.base = base
        depthLimit = options.depthLimit
        itemsLeft = max(options.itemLimit, 0)
        estimate = 64
    }

    /// Scans `count` bytes at `base` as a message of `schema`.
    static func scan(
        _ base: UnsafeRawPointer, _ count: Int, schema: MessageSchema, options: DecodingOptions
    ) throws(DecodingError) -> Finding {
        guard count <= WireFormat.maximumLength else {
            throw DecodingError(.overMemoryBudget, field: schema.name)
        }
        var scan = WireScan(base, options)
        let failure = withUnsafeTemporaryAllocation(of: Frame.self, capacity: inlineFrames) {
            buffer -> DecodingError? in
            guard let start = buffer.baseAddress else {
                return DecodingError(.overMemoryBudget, field: schema.name)
            }
            var frames = FrameStack(start, capacity: inlineFrames)
            defer { frames.free() }
            do throws(WireFormat.Failure) {
                try scan.run(count, schema.descriptor, &frames)
                return nil
            } catch {
                let path = schema.path(frames.numbers)
                return DecodingError(error.code, field: path, byteOffset: error.offset)
            }
        }
        if let failure { throw failure }
        return Finding(
            memoryEstimate: scan.estimate, needsNormalising: scan.needsNormalising)
    }

    private mutating func run(
        _ count: Int, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
        _ frames: inout FrameStack
    ) throws(WireFormat.Failure) {
        var frame = Frame(
            descriptor: descriptor, end: count, seen: 0, number: 0, group: 0, records: 0,
            lastIndex: 0)
        estimate &+= descriptor.pointee.sizeof_message
        var at = 0
        while true {
            if at == frame.end {
                guard frame.group == 0 else {
                    throw WireFormat.Failure(code: .truncated, offset: at)
                }
                guard let parent = frames.pop() else { return }
                frame = parent
                continue
            }
            let start = at
            var tag = UInt32(base.load(fromByteOffset: at, as: UInt8.self))
            if tag < 0x80 {
                at &+= 1
                guard tag >> 3 != 0 else {
                    throw WireFormat.Failure(code: .malformed, offset: start)
                }
            } else {
                (tag, at) = try WireFormat.readTag(base, at, frame.end)
            }
            frame.records &+= 1
            if frame.records > Self.freeRecords { estimate &+= Self.recordBytes }
            let index = Self.lookup(tag >> 3, &frame)
            if index >= 0, let fields = frame.descriptor.pointee.fields {
                at = try known(fields + index, index, tag, start, at, &frame, &frames)
            } else if tag & 7 == WireType.endGroup {
                guard frame.group == tag >> 3, let parent = frames.pop() else {
                    throw WireFormat.Failure(code: .malformed, offset: start)
                }
                frame = parent
            } else {
                at = try unknown(tag, at, frame, frames)
            }
        }
    }

    /// The index of field `number`, tried first at the last one found and the next.
    @inline(__always)
    private static func lookup(_ number: UInt32, _ frame: inout Frame) -> Int {
        let count = Int(frame.descriptor.pointee.n_fields)
        guard let fields = frame.descriptor.pointee.fields, count > 0 else { return -1 }
        var index = frame.lastIndex
        if fields[index].id == number { return index }
        index &+= 1
        if index >= count || fields[index].id != number {
            index = WireFormat.index(of: number, in: frame.descriptor)
            if index < 0 { return -1 }
        }
        frame.lastIndex = index
        return index
    }

    /// A record that protobuf-c keeps as an unknown field, or that the normaliser makes one.
    private mutating func unknown(
        _ tag: UInt32, _ at: Int, _ frame: Frame, _ frames: FrameStack
    ) throws(WireFormat.Failure) -> Int {
        if tag & 7 == WireType.startGroup { needsNormalising = true }
        let next = try WireFormat.skipValue(
            base, at, frame.end, tag: tag, depthLeft: depthLimit - frames.count)
        estimate &+= Arena.rounded(next &- at) &+ MemoryLayout<ProtobufCMessageUnknownField>.size
        return next
    }

    /// A record of a field in the schema; enters it if it holds a message.
    @inline(__always)
    private mutating func known(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ index: Int, _ tag: UInt32,
        _ start: Int, _ valueAt: Int, _ frame: inout Frame, _ frames: inout FrameStack
    ) throws(WireFormat.Failure) -> Int {
        var at = valueAt
        let wire = tag & 7
        let type = field.pointee.type
        let isRepeated = field.pointee.label == PROTOBUF_C_LABEL_REPEATED
        guard wire == WireFormat.wireType(of: type) else {
            return try otherWireType(field, index, tag, start, at, &frame, &frames)
        }
        switch wire {
        case WireType.varint:
            var left = min(frame.end &- at, Varint.maximumBytes)
            while true {
                guard left > 0 else {
                    throw WireFormat.varintFailure(valueAt, frame.end, Varint.maximumBytes)
                }
                left &-= 1
                at &+= 1
                if base.load(fromByteOffset: at &- 1, as: UInt8.self) < 0x80 { break }
            }
        case WireType.lengthPrefixed:
            var length = 0
            if at < frame.end, case let byte = base.load(fromByteOffset: at, as: UInt8.self),
                byte < 0x80
            {
                length = Int(byte)
                at &+= 1
                guard length <= frame.end &- at else {
                    throw WireFormat.Failure(code: .truncated, offset: valueAt)
                }
            } else {
                (length, at) = try WireFormat.readLength(base, at, frame.end)
            }
            if type == PROTOBUF_C_TYPE_MESSAGE {
                if WireFormat.isGroup(field) {
                    needsNormalising = true
                    return at &+ length
                }
                try enter(field, index, at, at &+ length, group: 0, &frame, &frames)
                return at
            }
            if isRepeated { try countItems(1, at) }
            estimate &+= Arena.rounded(length) &+ 16
            at &+= length
            return at
        default:
            let size = wire == WireType.fixed64 ? 8 : 4
            guard frame.end &- at >= size else {
                throw WireFormat.Failure(code: .truncated, offset: at)
            }
            at &+= size
        }
        if isRepeated {
            try countItems(1, at)
            estimate &+= 8
        }
        return at
    }

    /// A packed block, a declared group, or a wire type that the schema does not expect.
    private mutating func otherWireType(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ index: Int, _ tag: UInt32,
        _ start: Int, _ at: Int, _ frame: inout Frame, _ frames: inout FrameStack
    ) throws(WireFormat.Failure) -> Int {
        let wire = tag & 7
        if wire == WireType.lengthPrefixed, WireFormat.isPackable(field.pointee.type),
            field.pointee.label == PROTOBUF_C_LABEL_REPEATED
        {
            let length = try WireFormat.readLength(base, at, frame.end)
            let next = length.next + length.value
            let count = try WireFormat.countPacked(base, length.next, next, field.pointee.type)
            try countItems(count, at)
            estimate &+= count &* 8
            return next
        }
        if wire == WireType.startGroup, field.pointee.type == PROTOBUF_C_TYPE_MESSAGE,
            WireFormat.isGroup(field)
        {
            needsNormalising = true
            try enter(field, index, at, frame.end, group: tag >> 3, &frame, &frames)
            return at
        }
        if wire == WireType.endGroup {
            guard frame.group == tag >> 3, let parent = frames.pop() else {
                throw WireFormat.Failure(code: .malformed, offset: start)
            }
            frame = parent
            return at
        }
        needsNormalising = true
        return try unknown(tag, at, frame, frames)
    }

    /// Goes on with the records of the message in `field`.
    private mutating func enter(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ index: Int, _ at: Int, _ end: Int,
        group: UInt32, _ frame: inout Frame, _ frames: inout FrameStack
    ) throws(WireFormat.Failure) {
        guard let raw = field.pointee.descriptor else {
            throw WireFormat.Failure(code: .malformed, offset: at)
        }
        if field.pointee.label == PROTOBUF_C_LABEL_REPEATED {
            try countItems(1, at)
            estimate &+= 8
        } else {
            let bit: UInt64 = 1 << UInt64(index & 63)
            if frame.seen & bit != 0 { needsNormalising = true }
            frame.seen |= bit
        }
        guard frames.count < depthLimit else {
            throw WireFormat.Failure(code: .tooDeep, offset: at)
        }
        frames.push(frame)
        let descriptor = raw.assumingMemoryBound(to: ProtobufCMessageDescriptor.self)
        estimate &+= Arena.rounded(descriptor.pointee.sizeof_message)
        frame = Frame(
            descriptor: descriptor, end: end, seen: 0, number: field.pointee.id, group: group,
            records: 0, lastIndex: 0)
        frames.current = frame.number
    }

    @inline(__always)
    private mutating func countItems(_ count: Int, _ at: Int) throws(WireFormat.Failure) {
        guard count <= itemsLeft else {
            throw WireFormat.Failure(code: .tooManyItems, offset: at)
        }
        itemsLeft &-= count
    }
}

/// The frames of the messages around the one being scanned: on the stack while they are few, then
/// in one block of the heap.
struct FrameStack {
    private var base: UnsafeMutablePointer<WireScan.Frame>
    private var capacity: Int
    private var isOwned = false
    private(set) var count = 0
    /// The field that holds the message being scanned; for errors.
    var current: UInt32 = 0

    init(_ base: UnsafeMutablePointer<WireScan.Frame>, capacity: Int) {
        self.base = base
        self.capacity = capacity
    }

    mutating func push(_ frame: WireScan.Frame) {
        if count == capacity { grow() }
        (base + count).initialize(to: frame)
        count &+= 1
    }

    mutating func pop() -> WireScan.Frame? {
        guard count > 0 else { return nil }
        count &-= 1
        let frame = base[count]
        current = frame.number
        return frame
    }

    /// The fields from the outermost message to the one being scanned.
    var numbers: [Int32] {
        var result: [Int32] = []
        for index in 0..<count where index > 0 {
            result.append(Int32(truncatingIfNeeded: base[index].number))
        }
        if count > 0 { result.append(Int32(truncatingIfNeeded: current)) }
        return result
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<WireScan.Frame>.allocate(capacity: capacity &* 2)
        larger.moveInitialize(from: base, count: count)
        if isOwned { base.deallocate() }
        base = larger
        capacity &*= 2
        isOwned = true
    }

    func free() {
        if isOwned { base.deallocate() }
    }
}
