import CProtobufC

/// Fills C messages from the wire in one pass: a loop driven by the C descriptors, never recursive.
///
/// It stands in for `protobuf_c_message_unpack`, which recurses without limit, refuses legal input
/// (a known field with another wire type, unknown groups), merges the pieces of a submessage wrongly
/// and takes 1.5 to 2 times the instructions.
/// Here a piece simply goes on filling the message that the first one began, and what the schema
/// does not expect is kept as it came. Text and bytes are not copied: they point into the input,
/// which must outlive the tree.
struct WireUnpacker {
    /// A message or group whose records are being read.
    struct Frame {
        var fields: UnsafePointer<ProtobufCFieldDescriptor>?
        var fieldCount: Int
        var message: UnsafeMutableRawPointer
        var end: Int
        var lastIndex: Int
        /// The field of the parent that holds this message; 0 for the outermost.
        var number: UInt32
        /// The number that ends this group; 0 for a message.
        var group: UInt32
    }

    private static let inlineFrames = 16

    private let base: UnsafeRawPointer
    private let arena: UnsafeMutablePointer<Arena.State>
    private let depthLimit: Int
    private var itemsLeft: Int

    /// Unpacks `count` bytes at `base` as a message of `schema` into `arena`.
    static func unpack(
        _ base: UnsafeRawPointer, _ count: Int, schema: MessageSchema, options: DecodingOptions,
        into arena: UnsafeMutablePointer<Arena.State>
    ) throws(DecodingError) -> UnsafeRawPointer {
        var unpacker = WireUnpacker(
            base: base, arena: arena, depthLimit: options.depthLimit,
            itemsLeft: max(options.itemLimit, 0))
        var root: UnsafeRawPointer?
        let failure = withUnsafeTemporaryAllocation(of: Frame.self, capacity: inlineFrames) {
            buffer -> DecodingError? in
            guard let start = buffer.baseAddress else {
                return DecodingError(.overMemoryBudget, field: schema.name)
            }
            var frames = FrameStack(start, capacity: inlineFrames)
            defer { frames.free() }
            do throws(WireFormat.Failure) {
                let frame = try unpacker.frame(
                    schema.descriptor, end: count, number: 0, group: 0, at: 0)
                root = UnsafeRawPointer(frame.message)
                try unpacker.run(frame, &frames)
                return nil
            } catch {
                let path = schema.path(frames.numbers)
                return DecodingError(error.code, field: path, byteOffset: error.offset)
            }
        }
        if let failure { throw failure }
        guard let root else { throw DecodingError(.overMemoryBudget, field: schema.name) }
        return root
    }

    /// A frame with a new, zeroed message.
    @inline(__always)
    private func frame(
        _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>, end: Int, number: UInt32,
        group: UInt32, at offset: Int
    ) throws(WireFormat.Failure) -> Frame {
        let size = descriptor.pointee.sizeof_message
        let message = try allocate(size, offset)
        message.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        message.storeBytes(of: descriptor, as: UnsafePointer<ProtobufCMessageDescriptor>.self)
        return Frame(
            fields: descriptor.pointee.fields, fieldCount: Int(descriptor.pointee.n_fields),
            message: message, end: end, lastIndex: 0, number: number, group: group)
    }

    // MARK: The loop

    private mutating func run(
        _ outermost: Frame, _ frames: inout FrameStack
    ) throws(WireFormat.Failure) {
        var frame = outermost
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
            at &+= 1
            if tag >= 0x80 {
                (tag, at) = try WireFormat.readTag(base, start, frame.end)
            } else if tag < 8 {
                throw WireFormat.Failure(code: .malformed, offset: start)
            }
            let wire = tag & 7
            guard let field = Self.lookup(tag >> 3, &frame) else {
                if wire == WireType.endGroup {
                    frame = try closeGroup(tag, start, frame, &frames)
                } else {
                    at = try keepUnknown(tag, at, start, frame, frames.count)
                }
                continue
            }
            let type = field.pointee.type
            guard wire == WireFormat.wireType(of: type) else {
                at = try otherWireType(field, tag, start, at, &frame, &frames)
                continue
            }
            switch wire {
            case WireType.varint:
                var value = UInt64(0)
                if at < frame.end, case let byte = base.load(fromByteOffset: at, as: UInt8.self),
                    byte < 0x80
                {
                    value = UInt64(byte)
                    at &+= 1
                } else {
                    guard let read = Varint.read(base, at, frame.end) else {
                        throw WireFormat.varintFailure(at, frame.end, Varint.maximumBytes)
                    }
                    (value, at) = read
                }
                Self.store(varint: value, type, try slot(field, frame.message, at))
            case WireType.lengthPrefixed:
                at = try lengthPrefixed(field, tag, start, at, &frame, &frames)
            case WireType.fixed64:
                guard frame.end &- at >= 8 else {
                    throw WireFormat.Failure(code: .truncated, offset: at)
                }
                let value = base.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                try slot(field, frame.message, at)
                    .storeBytes(of: UInt64(littleEndian: value), as: UInt64.self)
                at &+= 8
            default:
                guard frame.end &- at >= 4 else {
                    throw WireFormat.Failure(code: .truncated, offset: at)
                }
                let value = base.loadUnaligned(fromByteOffset: at, as: UInt32.self)
                try slot(field, frame.message, at)
                    .storeBytes(of: UInt32(littleEndian: value), as: UInt32.self)
                at &+= 4
            }
        }
    }

    /// The field with `number`, tried first at the last one found and the next.
    @inline(__always)
    private static func lookup(
        _ number: UInt32, _ frame: inout Frame
    ) -> UnsafePointer<ProtobufCFieldDescriptor>? {
        guard let fields = frame.fields else { return nil }
        let last = fields + frame.lastIndex
        if last.pointee.id == number { return last }
        let index = frame.lastIndex &+ 1
        if index < frame.fieldCount, fields[index].id == number {
            frame.lastIndex = index
            return fields + index
        }
        guard let found = WireFormat.index(of: number, in: fields, frame.fieldCount) else {
            return nil
        }
        frame.lastIndex = found
        return fields + found
    }

    /// Stores a varint as C holds values of `type`.
    @inline(__always)
    private static func store(
        varint value: UInt64, _ type: ProtobufCType, _ slot: UnsafeMutableRawPointer
    ) {
        switch type {
        case PROTOBUF_C_TYPE_INT64, PROTOBUF_C_TYPE_UINT64:
            slot.storeBytes(of: value, as: UInt64.self)
        case PROTOBUF_C_TYPE_SINT64:
            slot.storeBytes(of: (value >> 1) ^ (0 &- (value & 1)), as: UInt64.self)
        case PROTOBUF_C_TYPE_SINT32:
            let short = UInt32(truncatingIfNeeded: value)
            slot.storeBytes(of: (short >> 1) ^ (0 &- (short & 1)), as: UInt32.self)
        case PROTOBUF_C_TYPE_BOOL:
            slot.storeBytes(of: value == 0 ? 0 : 1, as: UInt32.self)
        default:
            slot.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
        }
    }

    /// Where the next value of `field` goes; marks it as present, or counts it.
    @inline(__always)
    private mutating func slot(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ message: UnsafeMutableRawPointer,
        _ at: Int
    ) throws(WireFormat.Failure) -> UnsafeMutableRawPointer {
        if field.pointee.label == PROTOBUF_C_LABEL_REPEATED {
            return try append(field, message, 1, at)
        }
        Self.mark(field, message)
        return message + Int(field.pointee.offset)
    }

    /// Sets the `has_` flag or the case of the oneof.
    @inline(__always)
    private static func mark(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ message: UnsafeMutableRawPointer
    ) {
        let quantifier = Int(field.pointee.quantifier_offset)
        guard quantifier != 0 else { return }
        let value = WireFormat.isOneofMember(field) ? field.pointee.id : 1
        message.storeBytes(of: value, toByteOffset: quantifier, as: UInt32.self)
    }

    // MARK: Repeated fields

    /// Room for `count` more elements of `field`; the first of them.
    private mutating func append(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ message: UnsafeMutableRawPointer,
        _ count: Int, _ at: Int
    ) throws(WireFormat.Failure) -> UnsafeMutableRawPointer {
        guard count <= itemsLeft else {
            throw WireFormat.Failure(code: .tooManyItems, offset: at)
        }
        itemsLeft &-= count
        let size = WireFormat.elementSize(field.pointee.type)
        let quantifier = Int(field.pointee.quantifier_offset)
        let offset = Int(field.pointee.offset)
        let old = message.load(fromByteOffset: quantifier, as: Int.self)
        let new = old &+ count
        message.storeBytes(of: new, toByteOffset: quantifier, as: Int.self)
        let array = message.load(fromByteOffset: offset, as: UnsafeMutableRawPointer?.self)
        if let array, new <= Self.capacity(old) { return array + old &* size }
        let larger = try allocate(Self.capacity(new) &* size, at)
        if let array { larger.copyMemory(from: array, byteCount: old &* size) }
        message.storeBytes(of: larger, toByteOffset: offset, as: UnsafeMutableRawPointer.self)
        return larger + old &* size
    }

    /// How many elements an array of `count` has room for: a power of two from 4.
    @inline(__always)
    private static func capacity(_ count: Int) -> Int {
        count <= 4 ? 4 : 1 &<< (Int.bitWidth &- (count &- 1).leadingZeroBitCount)
    }

    private mutating func packed(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ from: Int, _ to: Int,
        _ message: UnsafeMutableRawPointer
    ) throws(WireFormat.Failure) {
        let type = field.pointee.type
        let count = try WireFormat.countPacked(base, from, to, type)
        guard count > 0 else { return }
        let size = WireFormat.elementSize(type)
        var slot = try append(field, message, count, from)
        guard WireFormat.wireType(of: type) == WireType.varint else {
            #if _endian(little)
                slot.copyMemory(from: base + from, byteCount: to &- from)
                return
            #else
                #error("packed numbers need swapping")
            #endif
        }
        var at = from
        while at < to {
            // Counted above: every varint ends.
            guard let read = Varint.read(base, at, to) else { break }
            Self.store(varint: read.value, type, slot)
            slot += size
            at = read.next
        }
        precondition(at == to, "a packed block was not read whole")
    }

    // MARK: Length-prefixed fields

    @inline(__always)
    private mutating func lengthPrefixed(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ tag: UInt32, _ start: Int, _ at: Int,
        _ frame: inout Frame, _ frames: inout FrameStack
    ) throws(WireFormat.Failure) -> Int {
        var length = 0
        var next = at
        if at < frame.end, case let byte = base.load(fromByteOffset: at, as: UInt8.self),
            byte < 0x80
        {
            length = Int(byte)
            next = at &+ 1
            guard length <= frame.end &- next else {
                throw WireFormat.Failure(code: .truncated, offset: at)
            }
        } else {
            (length, next) = try WireFormat.readLength(base, at, frame.end)
        }
        if field.pointee.type == PROTOBUF_C_TYPE_MESSAGE {
            if WireFormat.isGroup(field) {
                return try keepUnknown(tag, at, start, frame, frames.count)
            }
            try enter(field, next, next &+ length, group: 0, &frame, &frames)
            return next
        }
        let slot = try slot(field, frame.message, at)
            .assumingMemoryBound(to: ProtobufCBinaryData.self)
        // The tree is only read.
        let data = UnsafeMutableRawPointer(mutating: base + next)
        slot.pointee.len = length
        slot.pointee.data = data.assumingMemoryBound(to: UInt8.self)
        return next &+ length
    }

    /// Goes on with the records of the message in `field`, a new one or the one that an earlier
    /// piece began.
    @inline(__always)
    private mutating func enter(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ at: Int, _ end: Int, group: UInt32,
        _ frame: inout Frame, _ frames: inout FrameStack
    ) throws(WireFormat.Failure) {
        guard let raw = field.pointee.descriptor else {
            throw WireFormat.Failure(code: .malformed, offset: at)
        }
        let descriptor = raw.assumingMemoryBound(to: ProtobufCMessageDescriptor.self)
        let number = field.pointee.id
        guard frames.count < depthLimit else {
            throw WireFormat.Failure(code: .tooDeep, offset: at)
        }
        let pointer: UnsafeMutableRawPointer
        if field.pointee.label == PROTOBUF_C_LABEL_REPEATED {
            pointer = try append(field, frame.message, 1, at)
            pointer.storeBytes(of: nil, as: UnsafeMutableRawPointer?.self)
        } else {
            pointer = frame.message + Int(field.pointee.offset)
            if WireFormat.isOneofMember(field) {
                let quantifier = Int(field.pointee.quantifier_offset)
                if frame.message.load(fromByteOffset: quantifier, as: UInt32.self) != number {
                    pointer.storeBytes(of: nil, as: UnsafeMutableRawPointer?.self)
                }
            }
            Self.mark(field, frame.message)
        }
        let existing = pointer.load(as: UnsafeMutableRawPointer?.self)
        frames.push(frame)
        frames.current = number
        if let existing {
            frame = Frame(
                fields: descriptor.pointee.fields, fieldCount: Int(descriptor.pointee.n_fields),
                message: existing, end: end, lastIndex: 0, number: number, group: group)
        } else {
            frame = try self.frame(descriptor, end: end, number: number, group: group, at: at)
            pointer.storeBytes(of: frame.message, as: UnsafeMutableRawPointer.self)
        }
    }

    // MARK: What the schema does not expect

    /// A packed block, a declared group, the end of a group, or a foreign wire type.
    @inline(never)
    private mutating func otherWireType(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ tag: UInt32, _ start: Int, _ at: Int,
        _ frame: inout Frame, _ frames: inout FrameStack
    ) throws(WireFormat.Failure) -> Int {
        let wire = tag & 7
        if wire == WireType.lengthPrefixed, WireFormat.isPackable(field.pointee.type),
            field.pointee.label == PROTOBUF_C_LABEL_REPEATED
        {
            let length = try WireFormat.readLength(base, at, frame.end)
            let end = length.next &+ length.value
            try packed(field, length.next, end, frame.message)
            return end
        }
        if wire == WireType.startGroup, WireFormat.isGroup(field) {
            try enter(field, at, frame.end, group: tag >> 3, &frame, &frames)
            return at
        }
        if wire == WireType.endGroup {
            frame = try closeGroup(tag, start, frame, &frames)
            return at
        }
        return try keepUnknown(tag, at, start, frame, frames.count)
    }

    /// The frame around a group that ends.
    private func closeGroup(
        _ tag: UInt32, _ start: Int, _ frame: Frame, _ frames: inout FrameStack
    ) throws(WireFormat.Failure) -> Frame {
        guard frame.group == tag >> 3, let parent = frames.pop() else {
            throw WireFormat.Failure(code: .malformed, offset: start)
        }
        return parent
    }

    /// Keeps a record among the message's unknown fields; where the next one begins.
    ///
    /// Records that follow each other share one entry, as C writes its data as it stands.
    @inline(never)
    private func keepUnknown(
        _ tag: UInt32, _ at: Int, _ start: Int, _ frame: Frame, _ depth: Int
    ) throws(WireFormat.Failure) -> Int {
        let next = try WireFormat.skipValue(
            base, at, frame.end, tag: tag, depthLeft: depthLimit &- depth)
        let message = frame.message.assumingMemoryBound(to: ProtobufCMessage.self)
        let count = Int(message.pointee.n_unknown_fields)
        if count > 0, let last = message.pointee.unknown_fields.map({ $0 + (count &- 1) }),
            let data = last.pointee.data, UnsafeRawPointer(data) + last.pointee.len == base + start
        {
            last.pointee.len &+= next &- start
            return next
        }
        let room = count == 0 ? 0 : Self.capacity(count)
        if count == room {
            let size = MemoryLayout<ProtobufCMessageUnknownField>.stride
            let larger = try allocate(Self.capacity(count &+ 1) &* size, start)
            if let old = message.pointee.unknown_fields {
                larger.copyMemory(from: old, byteCount: count &* size)
            }
            message.pointee.unknown_fields = larger.assumingMemoryBound(
                to: ProtobufCMessageUnknownField.self)
        }
        message.pointee.unknown_fields[count] = ProtobufCMessageUnknownField(
            tag: tag >> 3, wire_type: ProtobufCWireType(rawValue: tag & 7), len: next &- at,
            data: UnsafeMutableRawPointer(mutating: base + at).assumingMemoryBound(to: UInt8.self))
        message.pointee.n_unknown_fields &+= 1
        return next
    }

    @inline(__always)
    private func allocate(
        _ size: Int, _ at: Int
    ) throws(WireFormat.Failure) -> UnsafeMutableRawPointer {
        guard let memory = Arena.allocate(arena, size) else {
            throw WireFormat.Failure(code: .overMemoryBudget, offset: at)
        }
        return memory
    }
}
