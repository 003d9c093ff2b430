import ChaskiModel
import ChaskiRecords
import Testing

@Suite struct RecordBatchTests {
    private func read(_ view: RecordBatchView) throws(Failure) -> [Message] {
        var payloads = view.payloads()
        var messages: [Message] = []
        for place in 0..<view.count {
            messages.append(try view.record(at: place, payloads: &payloads).message)
        }
        return messages
    }

    @Test(arguments: [BatchCompression.none, .deflate()])
    func messagesComeBackAsTheyWere(_ compression: BatchCompression) throws {
        for seed in 1...4 as ClosedRange<UInt64> {
            let messages = Samples.messages(
                seed == 1 ? 1 : seed == 2 ? 12 : 100, seed: seed,
                largest: seed == 2 ? 150_000 : 3000)
            let batch = try Samples.batch(messages, compression: compression)
            let view = try RecordBatchView(validating: batch[...], limits: .maximum)
            #expect(view.count == messages.count)
            #expect(try read(view) == messages)
            #expect(try read(try RecordBatchView(trusted: batch[...])) == messages)
        }
    }

    @Test func viewWorksOnASliceThatStartsAnywhere() throws {
        let messages = Samples.messages(20, seed: 9)
        let batch = try Samples.batch(messages)
        let padded = [1, 2, 3] + batch + [4]
        let view = try RecordBatchView(validating: padded[3..<padded.count - 1])
        #expect(try read(view) == messages)
    }

    @Test func recordsOfOneLengthNeedNoTable() throws {
        let same = (0..<50).map { Message("payload", key: "key-\($0 % 10)") }
        let batch = try Samples.batch(same)
        let view = try RecordBatchView(validating: batch[...])
        #expect(view.header(at: 49).index == 49)
        #expect(view.key(of: view.header(at: 37)) == Array("key-7".utf8)[...])
        var indices: [UInt32] = []
        view.forEachRecord { indices.append($0.index) }
        #expect(indices == Array(0..<50))
    }

    @Test func brokerHeaderIsOutsideTheChecksums() throws {
        var batch = try Samples.batch([Message("a"), Message("b")])
        batch.setBrokerHeader(baseOffset: 41, appendTime: -5)
        let view = try RecordBatchView(validating: batch[...], origin: .delivered)
        #expect(view.baseOffset == 41 && view.appendTimeNanos == -5)
        #expect(try view.record(at: 1).offset == 42)
        #expect(failure { try RecordBatchView(validating: batch[...]) }?.reason == .invalidBatch)
        var slice = batch[...]
        slice.setBrokerHeader(baseOffset: .max, appendTime: 1)
        #expect(try RecordBatchView(trusted: slice).record(at: 1).offset == 0)
    }

    @Test(arguments: [BatchCompression.none, .deflate()])
    func subsetHoldsThePublishersRecordsAndOnlyTheBlocksNeeded(
        _ compression: BatchCompression
    ) throws {
        let messages = Samples.messages(200, seed: 5, largest: 8000)
        var batch = try Samples.batch(messages, compression: compression)
        batch.setBrokerHeader(baseOffset: 1000, appendTime: 7)
        let view = try RecordBatchView(trusted: batch[...])
        let ranges: [Range<UInt32>] = [0..<1, 50..<53, 199..<300]
        let bytes = try #require(try view.subset(indices: ranges))
        #expect(bytes.count < batch.count / 2)
        let subset = try RecordBatchView(
            validating: bytes[...], limits: .maximum, origin: .delivered)
        var payloads = subset.payloads()
        let records = try (0..<subset.count).map { try subset.record(at: $0, payloads: &payloads) }
        #expect(records.map(\.offset) == [1000, 1050, 1051, 1052, 1199])
        #expect(records.map(\.message) == [0, 50, 51, 52, 199].map { messages[$0] })
        // A subset of a subset, and nothing at all.
        let again = try #require(try subset.subset(indices: [51..<199]))
        let last = try RecordBatchView(validating: again[...], limits: .maximum, origin: .delivered)
        #expect(last.count == 2 && last.place(ofIndex: 52) == 1)
        #expect(try subset.subset(indices: [60..<70]) == nil)
        #expect(failure { try RecordBatchView(validating: bytes[...], limits: .maximum) } != nil)
    }

    @Test func everySubsetOfASmallBatchIsValid() throws {
        let messages = [0, 70_000, 10, 0, 65_536, 1].map { length in
            Message((0..<length).map { UInt8(truncatingIfNeeded: $0) })
        }
        let batch = try Samples.batch(messages)
        let view = try RecordBatchView(validating: batch[...])
        for mask in 1..<64 {
            let ranges = (0..<6).filter { mask & 1 << $0 != 0 }.map { UInt32($0)..<UInt32($0) + 1 }
            let bytes = try #require(try view.subset(indices: ranges))
            let subset = try RecordBatchView(validating: bytes[...], origin: .delivered)
            #expect(try read(subset) == ranges.map { messages[Int($0.lowerBound)] })
            let compact = try #require(try view.compacted(indices: ranges))
            let own = try RecordBatchView(validating: compact[...], origin: .delivered)
            #expect(try read(own) == ranges.map { messages[Int($0.lowerBound)] })
            #expect((0..<own.count).allSatisfy { own.header(at: $0).index == UInt32($0) })
            let last = UInt32(own.count - 1)
            let lastOnly = try #require(try own.subset(indices: [last..<last + 1]))
            let tail = try RecordBatchView(validating: lastOnly[...], origin: .delivered)
            #expect(try read(tail) == [messages[Int(ranges[Int(last)].lowerBound)]])
        }
    }

    @Test func payloadsThatFitABlockAreNotSplit() throws {
        let batch = try Samples.batch(
            (0..<5).map { _ in Message([UInt8](repeating: 1, count: 40_000)) })
        let view = try RecordBatchView(validating: batch[...])
        #expect(view.blockCount == 5)
        let big = try Samples.batch([Message([UInt8](repeating: 1, count: 200_000))])
        #expect(try RecordBatchView(validating: big[...]).blockCount == 4)
    }

    @Test func compressionIsUsedWhereItPays() throws {
        let text = Message([UInt8](repeating: 65, count: 4000))
        let plain = try Samples.batch([text])
        let small = try Samples.batch([text], compression: .deflate())
        #expect(small.count < 300 && plain.count > 4000)
        let tiny = Message([UInt8](repeating: 65, count: 1023))
        #expect(try Samples.batch([tiny], compression: .deflate()).count > 1023)
        var random = SplitMix64(seed: 1)
        let noise = Message(Samples.bytes(4000, &random))
        var builder = RecordBatchBuilder()
        try builder.append(message: noise)
        #expect(builder.finish(compression: .deflate()).count > 4000)
        // A sample that did not shrink pauses the attempts for 16 batches.
        var sizes: [Bool] = []
        for _ in 0..<17 {
            try builder.append(message: text)
            sizes.append(builder.finish(compression: .deflate()).count < 300)
        }
        #expect(sizes == [Bool](repeating: false, count: 16) + [true])
    }

    @Test func builderStatesItsSizeAndBeginsAnew() throws {
        var builder = RecordBatchBuilder()
        let messages = Samples.messages(30, seed: 3)
        for message in messages {
            let before = builder.byteCount
            try builder.append(message: message)
            #expect(builder.byteCount - before <= RecordBatchBuilder.encodedBytes(of: message))
        }
        let stated = builder.byteCount
        #expect(builder.finish().count == stated)
        #expect(builder.isEmpty && builder.byteCount == 64)
        try builder.append(message: messages[0])
        #expect(try read(try RecordBatchView(validating: builder.finish()[...])) == [messages[0]])
    }

    @Test func attributesAreFoundByName() throws {
        let message = Message(
            [], attributes: [Attribute("a", "1"), Attribute("b", "2"), Attribute("a", "3")])
        let batch = try Samples.batch([message])
        let record = try RecordBatchView(validating: batch[...]).record(at: 0)
        #expect(record.attribute("a") == "1" && record.attribute("b") == "2")
        #expect(record.attribute("c") == nil)
        #expect(record.attributes == message.attributes)
    }
}

/// The failure that `body` throws; nil where it throws none.
func failure<T>(_ body: () throws -> T) -> Failure? {
    do {
        _ = try body()
        return nil
    } catch let failure as Failure {
        return failure
    } catch {
        Issue.record("not a typed failure: \(error)")
        return nil
    }
}
