import ChaskiModel

extension [UInt8] {
    /// Each with the distance of its offset from the one before.
    mutating func append(namedKeys keys: [NamedKey]) {
        append(varint: UInt64(keys.count))
        var position: Offset = 0
        for key in keys {
            precondition(key.offset >= position, "named keys are not ascending")
            append(varint: key.offset - position)
            append(littleEndian: key.key)
            position = key.offset
        }
    }
}

extension ByteReader {
    mutating func namedKeys() throws(Failure) -> [NamedKey] {
        let number = try count(each: 9)
        var keys: [NamedKey] = []
        keys.reserveCapacity(number)
        var position: Offset = 0
        for _ in 0..<number {
            let (offset, overflow) = position.addingReportingOverflow(try varint())
            guard !overflow else { throw .corruptEntry("a named key has an impossible offset") }
            keys.append(NamedKey(offset: offset, key: try fixed()))
            position = offset
        }
        return keys
    }
}
