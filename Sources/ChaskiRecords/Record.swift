package import ChaskiModel

/// One message as it comes out of a batch. Its bytes are shared with the batch where the block was
/// not compressed, with the inflated block otherwise.
package struct Record: Sendable {
    package let offset: Offset
    /// The record's number in the batch as it was published.
    package let index: UInt32
    package let payload: Bytes
    package let key: Bytes?
    package let dedupID: Bytes?
    package let eventTimeNanos: Int64?
    package let expiryNanos: Int64?
    package let schemaID: UInt64?
    /// How many attributes it has.
    package let attributeCount: Int
    /// The attributes as they are encoded.
    let attributeBytes: Bytes

    /// The attributes, in the publisher's order; decoded at each call.
    package var attributes: [Attribute] {
        var result: [Attribute] = []
        result.reserveCapacity(min(attributeCount, Limits.attributes))
        forEachAttribute { result.append(Attribute(Self.text($0), Self.text($1))) }
        return result
    }

    /// The value of the first attribute with this name; nil without one.
    package func attribute(_ name: String) -> String? {
        var found: Bytes?
        forEachAttribute { candidate, value in
            if found == nil, candidate.elementsEqual(name.utf8) { found = value }
        }
        return found.map(Self.text)
    }

    /// The message as a publisher would write it.
    package var message: Message {
        Message(
            Array(payload), key: key.map { Array($0) }, attributes: attributes,
            eventTimeNanos: eventTimeNanos, dedupID: dedupID.map { Array($0) },
            expiryNanos: expiryNanos, schemaID: schemaID)
    }

    private static func text(_ bytes: Bytes) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Calls `body` with the bytes of each name and value; stops at the end of the record,
    /// whatever the count says.
    private func forEachAttribute(_ body: (Bytes, Bytes) -> Void) {
        var rest = attributeBytes
        for _ in 0..<attributeCount {
            guard let name = rest.littleEndian(UInt16.self, at: 0),
                let value = rest.littleEndian(UInt16.self, at: 2),
                rest.count - 4 >= Int(name) + Int(value)
            else { return }
            let start = rest.startIndex + 4
            let middle = start + Int(name)
            let end = middle + Int(value)
            body(rest[start..<middle], rest[middle..<end])
            rest = rest[end...]
        }
    }
}

extension RecordBatchView {
    /// The record at a place of this batch, with its payload by way of `payloads`, a reader of
    /// this view. Throws `damaged` or `checksum-mismatch` where the payload's block is not
    /// what the publisher wrote.
    ///
    /// - Precondition: `place` is below `count`.
    package func record(at place: Int, payloads: inout PayloadReader) throws(Failure) -> Record {
        let header = header(at: place)
        return try record(header, payloads: &payloads)
    }

    /// The record at a place of this batch, with a reader of its own: for one record, not for many.
    package func record(at place: Int) throws(Failure) -> Record {
        var payloads = self.payloads()
        return try record(at: place, payloads: &payloads)
    }

    /// The record of a header that this view gave.
    package func record(
        _ header: RecordHeader, payloads: inout PayloadReader
    )
        throws(Failure) -> Record
    {
        let payload = try payloads.payload(of: header)
        var position = header.optionalPosition
        func optional<T: FixedWidthInteger & BitwiseCopyable>(_ flag: UInt16, _: T.Type) -> T? {
            guard header.flags & flag != 0 else { return nil }
            defer { position += 8 }
            return bytes.littleEndian(T.self, at: position)
        }
        let eventTime = optional(RecordBatchLayout.hasEventTime, Int64.self)
        let expiry = optional(RecordBatchLayout.hasExpiry, Int64.self)
        let schema = optional(RecordBatchLayout.hasSchema, UInt64.self)
        return Record(
            offset: baseOffset &+ UInt64(header.index), index: header.index, payload: payload,
            key: key(of: header), dedupID: dedupID(of: header), eventTimeNanos: eventTime,
            expiryNanos: expiry, schemaID: schema, attributeCount: Int(header.attributeCount),
            attributeBytes: slice(header.attributesPosition..<header.position + header.length))
    }
}
