import ChaskiModel
import ChaskiRecords
import Testing

/// At each limit, one past it, and a thousand times past it; for the builder and for the reader of
/// a batch that somebody else built.
@Suite struct RecordBatchLimitTests {
    private static let small = RecordBatchLimits(messages: 10, payloadBytes: 100, batchBytes: 4096)

    private func built(_ messages: [Message], limits: RecordBatchLimits) -> String? {
        failure { try Samples.batch(messages, limits: limits) }?.reason.rawValue
    }

    private func received(_ messages: [Message], limits: RecordBatchLimits) throws -> String? {
        let batch = try Samples.batch(messages, limits: .maximum)
        return failure {
            try RecordBatchView(validating: batch[...], limits: limits)
        }?.reason.rawValue
    }

    @Test(arguments: [(10, nil), (11, "too-many"), (10_000, "too-many")])
    func messagesOfABatch(_ count: Int, _ reason: String?) throws {
        let messages = [Message](repeating: Message("x"), count: count)
        #expect(built(messages, limits: Self.small) == reason)
        var roomy = Self.small
        roomy.batchBytes = 1 << 20
        #expect(try received(messages, limits: roomy) == reason)
    }

    @Test(arguments: [(100, nil), (101, "too-large"), (100_000, "too-large")])
    func bytesOfAPayload(_ count: Int, _ reason: String?) throws {
        let messages = [Message([UInt8](repeating: 0, count: count))]
        #expect(built(messages, limits: Self.small) == reason)
        var roomy = Self.small
        roomy.batchBytes = 1 << 20
        #expect(try received(messages, limits: roomy) == reason)
    }

    @Test func bytesOfABatch() throws {
        let batch = try Samples.batch([Message("payload")])
        for (limit, isFine) in [(batch.count, true), (batch.count - 1, false), (0, false)] {
            let limits = RecordBatchLimits(batchBytes: limit)
            let reason = failure {
                try RecordBatchView(validating: batch[...], limits: limits)
            }?.reason
            #expect(reason == (isFine ? nil : .tooLarge))
        }
        let limits = RecordBatchLimits(payloadBytes: 1 << 20, batchBytes: 4096)
        let big = Message([UInt8](repeating: 0, count: 1 << 20))
        #expect(built([big], limits: limits) == "too-large")
        #expect(try received([big], limits: limits) == "too-large")
        #expect(
            try received([big] + [big] + [big] + [big], limits: RecordBatchLimits()) == "too-large")
    }

    @Test(arguments: [(65_536, nil), (65_537, "invalid-batch"), (65_536_000, "invalid-batch")])
    func bytesOfABlock(_ length: UInt32, _ reason: String?) throws {
        let payload = [UInt8](repeating: 0, count: 65_536)
        var batch = try Samples.batch([Message(payload)], compression: .deflate())
        let table = 64 + Int(batch[...].littleEndian(UInt32.self, at: 44) ?? 0)
        batch.set(littleEndian: length, at: table + 4)
        Samples.repairChecksums(&batch)
        let result = failure { try RecordBatchView(validating: batch[...]) }
        #expect(result?.reason.rawValue == reason)
    }

    @Test func deflatedBlockThatIsABomb() throws {
        // The table says 10 bytes, the block holds 60,000.
        let payload = [UInt8](repeating: 0, count: 60_000)
        var batch = try Samples.batch([Message(payload)], compression: .deflate())
        let table = 64 + Int(batch[...].littleEndian(UInt32.self, at: 44) ?? 0)
        let stored = batch[...].littleEndian(UInt32.self, at: table + 8) ?? 0
        batch.set(littleEndian: stored + 1, at: table + 4)
        batch.set(littleEndian: stored + 1, at: 52)
        batch.set(littleEndian: stored + 1, at: 64 + 16)
        Samples.repairChecksums(&batch)
        let view = try RecordBatchView(validating: batch[...])
        #expect(failure { try view.record(at: 0) }?.reason == .damaged)
    }

    @Test func partsOfAMessageAreLimitedForTheReaderToo() throws {
        var batch = try Samples.batch([Message([], key: [UInt8](repeating: 1, count: 1024))])
        batch.set(littleEndian: UInt16(1025), at: 64 + 24)
        Samples.repairChecksums(&batch)
        #expect(failure { try RecordBatchView(validating: batch[...]) }?.reason == .invalidBatch)
        var wide = try Samples.batch([Message([], key: [UInt8](repeating: 1, count: 1020))])
        wide.set(littleEndian: UInt32(32 + 1028), at: 64)
        wide.insert(contentsOf: [UInt8](repeating: 1, count: 8), at: 64 + 32)
        wide.set(littleEndian: UInt32(32 + 1028), at: 44)
        wide.set(littleEndian: UInt16(1028), at: 64 + 24)
        Samples.repairChecksums(&wide)
        #expect(failure { try RecordBatchView(validating: wide[...]) }?.reason == .tooLarge)
        var many = try Samples.batch([Message([])])
        many.set(littleEndian: UInt16(65), at: 64 + 26)
        Samples.repairChecksums(&many)
        #expect(failure { try RecordBatchView(validating: many[...]) }?.reason == .tooMany)
        var text = try Samples.batch([Message([], attributes: [Attribute("name", "abcd")])])
        text[64 + 32 + 4 + 4] = 0xff
        Samples.repairChecksums(&text)
        #expect(failure { try RecordBatchView(validating: text[...]) }?.reason == .invalidBatch)
    }
}
