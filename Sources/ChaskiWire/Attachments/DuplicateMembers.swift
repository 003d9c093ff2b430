package import ChaskiModel

/// Members of a batch that are messages stored before, in a result: 12 bytes each, little-endian:
/// u32 index in the batch, u64 offset.
package enum DuplicateMembers {
    /// Bytes of one.
    package static let bytes = 12

    /// The bytes of members, ascending by index.
    package static func encode(_ members: [DuplicateMember]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(members.count * bytes)
        for member in members {
            output.append(littleEndian: member.index)
            output.append(littleEndian: member.offset)
        }
        return output
    }

    /// The members in a result. Throws `invalid-ranges` where they do not ascend, or bytes are left.
    package static func decode(_ input: [UInt8]) throws(Failure) -> [DuplicateMember] {
        guard input.count % bytes == 0, input.count / bytes <= Limits.batchMessagesMaximum else {
            throw .invalidRanges("\(input.count) bytes are no number of duplicates")
        }
        var members: [DuplicateMember] = []
        members.reserveCapacity(input.count / bytes)
        for at in stride(from: 0, to: input.count, by: bytes) {
            guard let index = input[...].littleEndian(UInt32.self, at: at),
                let offset = input[...].littleEndian(UInt64.self, at: at + 4),
                members.last.map({ $0.index < index }) ?? true
            else { throw .invalidRanges("duplicate \(at / bytes) is not above the one before") }
            members.append(DuplicateMember(index: index, offset: offset))
        }
        return members
    }
}
