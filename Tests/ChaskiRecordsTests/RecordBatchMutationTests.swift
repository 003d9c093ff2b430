import ChaskiModel
import ChaskiRecords
import Testing

/// Changed batches: with the old checksums each change is found; with new ones nothing traps, and
/// what is let through can be read and cut without harm.
@Suite struct RecordBatchMutationTests {
    private func use(_ view: RecordBatchView) {
        var payloads = view.payloads()
        for place in 0..<view.count {
            _ = failure {
                let record = try view.record(at: place, payloads: &payloads)
                _ = record.attributes
            }
        }
        let last = view.header(at: view.count - 1).index
        let half = last / 2
        _ = failure { try view.subset(indices: [0..<half, half..<last]) }
        _ = view.isStored(0)
    }

    private func mutate(_ batch: inout [UInt8], _ random: inout SplitMix64) {
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let position = Int.random(in: 0..<batch.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: batch[position] = UInt8.random(in: 0...255, using: &random)
            case 1: batch[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: batch.removeSubrange(position...)
            case 3: batch.insert(UInt8.random(in: 0...255, using: &random), at: position)
            case 4:
                // A field of the headers, at the edges of its range.
                let field = 4 * Int.random(in: 0..<24, using: &random)
                let edges: [UInt32] = [0, 1, .max, 0x7fff_ffff, 0x8000_0000, 0xffff, 64, 65536]
                if field + 4 <= batch.count {
                    batch.set(littleEndian: edges.randomElement(using: &random) ?? 0, at: field)
                }
            default:
                let end = min(batch.count, position + 40)
                batch.replaceSubrange(position..<end, with: [UInt8](repeating: 0xff, count: 4))
            }
            if batch.isEmpty { batch = [0] }
        }
    }

    @Test func nothingTrapsAndWhatPassesIsUsable() throws {
        var random = SplitMix64(seed: 2026)
        var passed = 0
        let originals = try (0..<40).map { number in
            try Samples.batch(
                Samples.messages(1 + number % 7, seed: UInt64(number), largest: 300),
                compression: number % 2 == 0 ? .none : .deflate(minimumBytes: 1))
        }
        for round in 0..<3000 {
            var batch = originals[round % originals.count]
            mutate(&batch, &random)
            if round % 4 != 0 { Samples.repairChecksums(&batch) }
            for origin in [RecordBatchOrigin.published, .delivered] {
                let refused = failure {
                    let view = try RecordBatchView(
                        validating: batch[...], limits: .maximum, origin: origin)
                    use(view)
                    passed += 1
                }
                let reasons: [FailureReason?] = [
                    nil, .invalidBatch, .checksumMismatch, .tooLarge, .tooMany, .invalidMessage,
                ]
                if !reasons.contains(refused?.reason) {
                    Issue.record("refused with \(String(describing: refused))")
                }
            }
            _ = failure { use(try RecordBatchView(trusted: batch[...])) }
        }
        // Changes of keys and payload bytes pass once the checksums are those of the change.
        #expect(passed > 100)
    }

    @Test func everyFlippedBitIsFound() throws {
        let messages = Samples.messages(2, seed: 4, largest: 20)
        let batch = try Samples.batch(messages)
        for bit in 0..<batch.count * 8 {
            var changed = batch
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            let found = failure {
                let view = try RecordBatchView(validating: changed[...], limits: .maximum)
                var payloads = view.payloads()
                for place in 0..<view.count { _ = try view.record(at: place, payloads: &payloads) }
            }
            if found == nil { Issue.record("bit \(bit)") }
        }
    }

    @Test func everyPrefixIsRefused() throws {
        let batch = try Samples.batch(Samples.messages(5, seed: 8, largest: 100))
        for count in 0..<batch.count {
            if failure({ try RecordBatchView(validating: batch[..<count]) }) == nil {
                Issue.record("\(count) bytes are no batch")
            }
            _ = failure { use(try RecordBatchView(trusted: batch[..<count])) }
        }
    }
}
