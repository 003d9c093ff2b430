import CProtobufC

/// Rewrites bytes that a scan has accepted so that protobuf-c reads them as the protobuf
/// specification means them:
///
/// - the pieces of a singular submessage become one (pieces concatenated are the merged message);
/// - of a oneof the last member stays, merged with its own pieces only;
/// - declared groups become length-prefixed messages;
/// - unknown groups and fields with a foreign wire type become unknown fields, wrapped under
///   `WireFormat.wrapperNumber`.
///
/// It recurses once per nested message, of which the scan has bounded the depth.
struct WireNormalizer {
    private typealias Descriptor = UnsafePointer<ProtobufCMessageDescriptor>

    /// A run of records of one message.
    private struct Piece {
        var bytes: UnsafeRawBufferPointer
    }

    private let depthLimit: Int

    /// The same message in a form that protobuf-c reads rightly. `bytes` must have been scanned.
    static func normalized(
        _ bytes: UnsafeRawBufferPointer, schema: MessageSchema, options: DecodingOptions
    ) throws(DecodingError) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        do throws(WireFormat.Failure) {
            let normalizer = WireNormalizer(depthLimit: max(options.depthLimit, 0))
            try normalizer.write([Piece(bytes: bytes)], schema.descriptor, to: &output)
        } catch {
            throw DecodingError(error.code, field: schema.name)
        }
        return output
    }

    /// Writes the records of all `pieces` as one message.
    private func write(
        _ pieces: [Piece], _ descriptor: Descriptor, to output: inout [UInt8]
    ) throws(WireFormat.Failure) {
        // Singular submessages wait here for their other pieces, in the order of first arrival.
        var waiting: [(index: Int, pieces: [Piece])] = []
        for piece in pieces {
            guard let base = piece.bytes.baseAddress else { continue }
            var at = 0
            while at < piece.bytes.count {
                let start = at
                let (tag, valueAt) = try WireFormat.readTag(base, at, piece.bytes.count)
                at = try WireFormat.skipValue(
                    base, valueAt, piece.bytes.count, tag: tag, depthLeft: depthLimit + 1)
                let record = UnsafeRawBufferPointer(start: base + start, count: at - start)
                let index = WireFormat.index(of: tag >> 3, in: descriptor)
                guard index >= 0, let fields = descriptor.pointee.fields else {
                    appendUnknown(record, tag, to: &output)
                    continue
                }
                let value = UnsafeRawBufferPointer(start: base + valueAt, count: at - valueAt)
                try writeKnown(
                    fields + index, index, tag, record, value, descriptor, &waiting, to: &output)
            }
        }
        for entry in waiting {
            guard let field = descriptor.pointee.fields.map({ $0 + entry.index }) else { continue }
            try writeMessage(field, entry.pieces, to: &output)
        }
    }

    private func writeKnown(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ index: Int, _ tag: UInt32,
        _ record: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
        _ descriptor: Descriptor, _ waiting: inout [(index: Int, pieces: [Piece])],
        to output: inout [UInt8]
    ) throws(WireFormat.Failure) {
        let type = field.pointee.type
        let wire = tag & 7
        let isRepeated = field.pointee.label == PROTOBUF_C_LABEL_REPEATED
        let isMessage = type == PROTOBUF_C_TYPE_MESSAGE
        let expected =
            isMessage && WireFormat.isGroup(field)
            ? WireType.startGroup : WireFormat.wireType(of: type)
        let isPacked =
            isRepeated && wire == WireType.lengthPrefixed && WireFormat.isPackable(type)
        guard wire == expected || isPacked else {
            appendWrapped(record, to: &output)
            return
        }
        dropOthers(ofOneof: field, index, descriptor, &waiting)
        guard isMessage else {
            output.append(contentsOf: record)
            return
        }
        let piece = try content(value, tag)
        if isRepeated {
            try writeMessage(field, [piece], to: &output)
        } else if let position = waiting.firstIndex(where: { $0.index == index }) {
            waiting[position].pieces.append(piece)
        } else {
            waiting.append((index, [piece]))
        }
    }

    /// A later member of a oneof replaces the earlier ones.
    private func dropOthers(
        ofOneof field: UnsafePointer<ProtobufCFieldDescriptor>, _ index: Int,
        _ descriptor: Descriptor, _ waiting: inout [(index: Int, pieces: [Piece])]
    ) {
        let isMember = field.pointee.flags & UInt32(PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue) != 0
        guard isMember, let fields = descriptor.pointee.fields else { return }
        waiting.removeAll { entry in
            let other = fields[entry.index]
            return entry.index != index
                && other.flags & UInt32(PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue) != 0
                && other.quantifier_offset == field.pointee.quantifier_offset
        }
    }

    /// The records inside a length-prefixed value or a group.
    private func content(
        _ value: UnsafeRawBufferPointer, _ tag: UInt32
    ) throws(WireFormat.Failure) -> Piece {
        guard let base = value.baseAddress else { return Piece(bytes: value) }
        if tag & 7 == WireType.lengthPrefixed {
            let length = try WireFormat.readLength(base, 0, value.count)
            return Piece(
                bytes: UnsafeRawBufferPointer(start: base + length.next, count: length.value))
        }
        var at = 0
        while true {
            let inner = try WireFormat.readTag(base, at, value.count)
            if inner.tag == (tag & ~7) | WireType.endGroup { break }
            at = try WireFormat.skipValue(
                base, inner.next, value.count, tag: inner.tag, depthLeft: depthLimit + 1)
        }
        return Piece(bytes: UnsafeRawBufferPointer(start: base, count: at))
    }

    private func writeMessage(
        _ field: UnsafePointer<ProtobufCFieldDescriptor>, _ pieces: [Piece],
        to output: inout [UInt8]
    ) throws(WireFormat.Failure) {
        guard let raw = field.pointee.descriptor else { return }
        var content: [UInt8] = []
        try write(
            pieces, raw.assumingMemoryBound(to: ProtobufCMessageDescriptor.self), to: &content)
        Varint.append(
            UInt64(field.pointee.id) << 3 | UInt64(WireType.lengthPrefixed), to: &output)
        Varint.append(UInt64(content.count), to: &output)
        output.append(contentsOf: content)
    }

    private func appendUnknown(
        _ record: UnsafeRawBufferPointer, _ tag: UInt32, to output: inout [UInt8]
    ) {
        if tag & 7 == WireType.startGroup {
            appendWrapped(record, to: &output)
        } else {
            output.append(contentsOf: record)
        }
    }

    private func appendWrapped(_ record: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        let tag = UInt64(WireFormat.wrapperNumber) << 3 | UInt64(WireType.lengthPrefixed)
        Varint.append(tag, to: &output)
        Varint.append(UInt64(record.count), to: &output)
        output.append(contentsOf: record)
    }
}
