package import ChaskiModel

/// Consecutive offsets of one batch, handed out alike.
package struct DeliveredRun: Hashable, Sendable {
    package var first: Offset
    /// At least 1.
    package var count: UInt32
    /// The hand-out number of these deliveries, from 1.
    package var handout: UInt32
    /// Attempts spent before.
    package var failed: UInt32

    package init(first: Offset, count: UInt32, handout: UInt32, failed: UInt32) {
        self.first = first
        self.count = count
        self.handout = handout
        self.failed = failed
    }
}

/// One section of a Deliver message: runs, and the record batch that holds them.
package struct DeliverySection: Sendable {
    /// Ascending, not overlapping, at least one.
    package var runs: [DeliveredRun]
    /// Not checked yet: `RecordBatchView(validating:origin: .delivered)` does.
    package var batch: Bytes
}

/// The attachment of a Deliver message: sections one after the other, little-endian: u32 length of
/// the section after this field, u32 number of runs, the runs (u64 first offset, u32 count,
/// u32 hand-out, u32 failed before), the record batch.
package enum DeliverySections {
    static let runBytes = 20
    /// Runs of one section, sections of one attachment.
    package static let runsMaximum = Limits.batchMessagesMaximum
    package static let sectionsMaximum = 10_000

    /// Bytes of a section before its batch.
    package static func headerBytes(runs: Int) -> Int { 8 + runs * runBytes }

    /// Appends a section up to its batch, whose bytes (exactly `batchBytes`) the caller appends.
    package static func begin(_ runs: [DeliveredRun], batchBytes: Int, in output: inout [UInt8]) {
        precondition(!runs.isEmpty && runs.count <= runsMaximum && batchBytes >= 0)
        let length = 4 + runs.count * runBytes + batchBytes
        precondition(length <= Limits.unitBytesMaximum, "a section fits a unit")
        output.append(littleEndian: UInt32(length))
        output.append(littleEndian: UInt32(runs.count))
        for run in runs {
            output.append(littleEndian: run.first)
            output.append(littleEndian: run.count)
            output.append(littleEndian: run.handout)
            output.append(littleEndian: run.failed)
        }
    }

    /// Appends a section.
    package static func encode(_ runs: [DeliveredRun], batch: Bytes, to output: inout [UInt8]) {
        output.reserveCapacity(output.count + headerBytes(runs: runs.count) + batch.count)
        begin(runs, batchBytes: batch.count, in: &output)
        output += batch
    }

    /// The sections of an attachment; their batches share its memory. Throws `invalid-ranges` or
    /// `too-many`.
    package static func decode(_ attachment: Bytes) throws(Failure) -> [DeliverySection] {
        var sections: [DeliverySection] = []
        var rest = attachment
        while !rest.isEmpty {
            guard sections.count < sectionsMaximum else {
                throw Failure(
                    .invalidArgument, .tooMany, "more than \(sectionsMaximum) sections of messages")
            }
            guard let stated = rest.littleEndian(UInt32.self, at: 0), stated <= rest.count - 4,
                stated >= 4, let runCount = rest.littleEndian(UInt32.self, at: 4)
            else { throw .invalidRanges("a section passes the end") }
            guard runCount >= 1, runCount <= runsMaximum,
                8 + Int(runCount) * runBytes <= 4 + Int(stated)
            else { throw .invalidRanges("a section of \(runCount) runs does not hold them") }
            let batchStart = rest.startIndex + headerBytes(runs: Int(runCount))
            let end = rest.startIndex + 4 + Int(stated)
            let runs = try decodeRuns(rest, Int(runCount))
            sections.append(DeliverySection(runs: runs, batch: rest[batchStart..<end]))
            rest = rest[end...]
        }
        return sections
    }

    private static func decodeRuns(
        _ section: Bytes, _ count: Int
    ) throws(Failure)
        -> [DeliveredRun]
    {
        let span = section.span.bytes
        var runs: [DeliveredRun] = []
        runs.reserveCapacity(count)
        var next: Offset = 0
        for number in 0..<count {
            let at = 8 + number * runBytes
            guard let first = span.littleEndian(UInt64.self, at: at),
                let length = span.littleEndian(UInt32.self, at: at + 8),
                let handout = span.littleEndian(UInt32.self, at: at + 12),
                let failed = span.littleEndian(UInt32.self, at: at + 16)
            else { throw .invalidRanges("run \(number) is cut short") }
            let (end, overflow) = first.addingReportingOverflow(UInt64(length))
            guard length >= 1, !overflow, first >= next else {
                throw .invalidRanges("run \(number) is empty, or not above the one before")
            }
            next = end
            runs.append(DeliveredRun(first: first, count: length, handout: handout, failed: failed))
        }
        return runs
    }
}
