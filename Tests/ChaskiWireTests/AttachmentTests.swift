import ChaskiModel
import ChaskiWire
import Testing

@Suite struct AttachmentTests {
    private func reason<T>(_ body: () throws -> T) -> String? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? Failure)?.reason.rawValue ?? "untyped"
        }
    }

    private func ranges(_ ranges: [TokenRange]) -> [UInt8] {
        var bytes: [UInt8] = []
        TokenRanges.encode(ranges, to: &bytes)
        return bytes
    }

    @Test(arguments: [(10_000, nil), (10_001, "too-many"), (10_000_000, "too-many")])
    func rangesOfASettle(_ count: Int, _ expected: String?) {
        var bytes: [UInt8]
        if count <= 10_001 {
            bytes = ranges(
                (0..<count).map { TokenRange(epoch: 1, first: UInt64($0), count: 1, handout: 1) })
        } else {
            bytes = [UInt8](repeating: 0, count: count * 16)
        }
        #expect(reason { try TokenRanges.decode(bytes[...], epoch: 1) } == expected)
    }

    @Test func rangesAscendAndDoNotOverflow() throws {
        let last = TokenRange(epoch: 2, first: .max - 5, count: 5, handout: 1)
        #expect(try TokenRanges.decode(ranges([last])[...], epoch: 2) == [last])
        let bad: [[TokenRange]] = [
            [TokenRange(epoch: 1, first: .max - 5, count: 6, handout: 1)],
            [TokenRange(epoch: 1, first: 5, count: 0, handout: 1)],
            [
                TokenRange(epoch: 1, first: 5, count: 3, handout: 1),
                TokenRange(epoch: 1, first: 7, count: 1, handout: 1),
            ],
        ]
        for each in bad {
            let bytes = ranges(each)
            #expect(reason { try TokenRanges.decode(bytes[...], epoch: 1) } == "invalid-ranges")
        }
        #expect(reason { try TokenRanges.decode([1, 2, 3], epoch: 1) } == "invalid-ranges")
        #expect(reason { try SettleRejections.decode([1, 2, 3]) } == "invalid-ranges")
    }

    @Test(arguments: [(10_000, nil), (10_001, "too-many"), (100_000, "too-many")])
    func sectionsOfADelivery(_ count: Int, _ expected: String?) {
        var one: [UInt8] = []
        DeliverySections.encode(
            [DeliveredRun(first: 1, count: 1, handout: 1, failed: 0)], batch: [], to: &one)
        var bytes: [UInt8] = []
        for _ in 0..<count { bytes += one }
        #expect(reason { try DeliverySections.decode(bytes[...]) } == expected)
    }

    @Test(arguments: [(10_000, nil), (10_001, "invalid-ranges"), (10_000_000, "invalid-ranges")])
    func runsOfASection(_ count: UInt32, _ expected: String?) {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(4 + 20 * min(count, 10_001)))
        bytes.append(littleEndian: count)
        for number in 0..<min(count, 10_001) {
            bytes.append(littleEndian: UInt64(number))
            bytes.append(littleEndian: UInt32(1))
            bytes.append(littleEndian: UInt64(0))
        }
        #expect(reason { try DeliverySections.decode(bytes[...]) } == expected)
    }

    @Test func nothingTrapsOnChangedAttachments() {
        var random = SplitMix64(seed: 99)
        var original: [UInt8] = []
        for section in 0..<3 as Range<UInt64> {
            DeliverySections.encode(
                [
                    DeliveredRun(first: section * 10, count: 2, handout: 1, failed: 0),
                    DeliveredRun(first: section * 10 + 5, count: 1, handout: 2, failed: 1),
                ], batch: [1, 2, 3], to: &original)
        }
        var passed = 0
        for _ in 0..<5000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                bytes[position] =
                    Bool.random(using: &random) ? 0xff : UInt8.random(in: 0...255, using: &random)
            }
            if Bool.random(using: &random) {
                bytes.removeLast(Int.random(in: 0..<20, using: &random))
            }
            let decoded = reason { try DeliverySections.decode(bytes[...]) }
            if decoded == nil { passed += 1 }
            let others = [
                decoded, reason { try TokenRanges.decode(bytes[...], epoch: 1) },
                reason { try SettleRejections.decode(bytes[...]) },
            ]
            for other in others where other != nil && other != "invalid-ranges" {
                Issue.record("refused with \(other ?? "")")
            }
        }
        #expect(passed > 0)
    }
}
