package import ChaskiModel

/// Ranges of a settle or a claim as an attachment: 16 bytes each, little-endian: u64 first offset,
/// u32 count, u32 hand-out. The epoch of all of them is in the protobuf part.
package enum TokenRanges {
    /// Bytes of one range.
    package static let bytes = 16

    /// Appends ranges, whose epoch the receiver learns otherwise.
    package static func encode(_ ranges: [TokenRange], to output: inout [UInt8]) {
        output.reserveCapacity(output.count + ranges.count * bytes)
        for range in ranges {
            output.append(littleEndian: range.first)
            output.append(littleEndian: range.count)
            output.append(littleEndian: range.handout)
        }
    }

    /// The ranges of an attachment, each of at least one offset, ascending and not overlapping.
    /// Throws `too-many` beyond `maximumRanges`, `invalid-ranges` for anything else.
    package static func decode(
        _ attachment: Bytes, epoch: UInt32, maximumRanges: Int = Limits.settleRanges
    ) throws(Failure) -> [TokenRange] {
        let count = attachment.count / bytes
        guard attachment.count % bytes == 0 else {
            throw .invalidRanges("\(attachment.count) bytes are no whole number of ranges")
        }
        guard count <= maximumRanges else {
            throw Failure(
                .invalidArgument, .tooMany,
                "\(count) ranges; at most \(maximumRanges) are allowed in one message")
        }
        let span = attachment.span.bytes
        var ranges: [TokenRange] = []
        ranges.reserveCapacity(count)
        var next: Offset = 0
        for number in 0..<count {
            let at = number * bytes
            guard let first = span.littleEndian(UInt64.self, at: at),
                let length = span.littleEndian(UInt32.self, at: at + 8),
                let handout = span.littleEndian(UInt32.self, at: at + 12)
            else { throw .invalidRanges("range \(number) is cut short") }
            let (end, overflow) = first.addingReportingOverflow(UInt64(length))
            guard length >= 1, !overflow, first >= next else {
                throw .invalidRanges("range \(number) is empty, or not above the one before")
            }
            next = end
            ranges.append(TokenRange(epoch: epoch, first: first, count: length, handout: handout))
        }
        return ranges
    }
}

extension Failure {
    static func invalidRanges(_ what: String) -> Failure {
        Failure(.invalidArgument, .invalidRanges, "the ranges of the attachment are wrong: \(what)")
    }
}

extension FailureReason {
    /// An attachment of ranges, rejections or sections that is not what it should be.
    package static let invalidRanges = Self(rawValue: "invalid-ranges")
}
