package import ChaskiModel

/// One offset of a settle that was refused.
package struct SettleRefusal: Hashable, Sendable {
    package var offset: Offset
    package var handout: UInt32
    package var reason: FailureReason

    package init(offset: Offset, handout: UInt32, reason: FailureReason) {
        self.offset = offset
        self.handout = handout
        self.reason = reason
    }
}

/// The attachment of a Settled message: 16 bytes each, little-endian: u64 offset, u32 hand-out,
/// u32 reason (1 stale, 2 already-settled, 3 out-of-order, 0 any other).
package enum SettleRejections {
    /// Bytes of one refusal.
    package static let bytes = 16

    private static let reasons: [(UInt32, FailureReason)] = [
        (1, .stale), (2, .alreadySettled), (3, .outOfOrder),
    ]

    /// Appends refusals.
    package static func encode(_ refusals: [SettleRefusal], to output: inout [UInt8]) {
        output.reserveCapacity(output.count + refusals.count * bytes)
        for refusal in refusals { encode(refusal, to: &output) }
    }

    /// Appends one refusal.
    package static func encode(_ refusal: SettleRefusal, to output: inout [UInt8]) {
        output.append(littleEndian: refusal.offset)
        output.append(littleEndian: refusal.handout)
        let number = reasons.first { $0.1 == refusal.reason }?.0 ?? 0
        output.append(littleEndian: number)
    }

    /// The refusals of an attachment. Throws `invalid-ranges` where it is no whole number of them.
    /// A number that is not known reads as `stale`: the offset was not settled by this token.
    package static func decode(_ attachment: Bytes) throws(Failure) -> [SettleRefusal] {
        guard attachment.count % bytes == 0 else {
            throw .invalidRanges("\(attachment.count) bytes are no whole number of refusals")
        }
        let span = attachment.span.bytes
        var refusals: [SettleRefusal] = []
        refusals.reserveCapacity(attachment.count / bytes)
        for at in stride(from: 0, to: attachment.count, by: bytes) {
            guard let offset = span.littleEndian(UInt64.self, at: at),
                let handout = span.littleEndian(UInt32.self, at: at + 8),
                let number = span.littleEndian(UInt32.self, at: at + 12)
            else { throw .invalidRanges("a refusal is cut short") }
            let reason = reasons.first { $0.0 == number }?.1 ?? .stale
            refusals.append(SettleRefusal(offset: offset, handout: handout, reason: reason))
        }
        return refusals
    }
}
