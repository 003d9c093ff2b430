import ChaskiModel

/// Settings as a list of fields, each with a tag and its length: varint number of fields, then
/// for each, ascending, varint tag, varint length and that many bytes.
struct TaggedFields {
    private var count: UInt64 = 0
    private var bytes: [UInt8] = []
    private var lastTag: UInt64 = 0

    init() {}

    /// Adds a field with what `write` appends; tags ascend.
    mutating func add(_ tag: UInt64, _ write: (inout [UInt8]) -> Void) {
        precondition(tag > lastTag, "tags ascend")
        var value: [UInt8] = []
        write(&value)
        lastTag = tag
        count += 1
        bytes.append(varint: tag)
        bytes.append(varint: UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    func write(to out: inout [UInt8]) {
        out.append(varint: count)
        out.append(contentsOf: bytes)
    }
}

extension ByteReader {
    /// Calls `read` for each field, with a reader of its bytes that must read all of them.
    mutating func taggedFields(
        _ read: (UInt64, inout ByteReader) throws(Failure) -> Void
    ) throws(Failure) {
        var lastTag: UInt64 = 0
        for _ in 0..<(try count(each: 2)) {
            let tag = try varint()
            guard tag > lastTag else { throw .corruptEntry("the fields do not ascend") }
            lastTag = tag
            let length = try count(each: 1)
            guard let bytes = take(length) else { throw .corruptEntry("it ends early") }
            var field = ByteReader(bytes)
            try read(tag, &field)
            try field.finish()
        }
    }
}
