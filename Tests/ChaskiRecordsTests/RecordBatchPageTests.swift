import ChaskiModel
import ChaskiRecords
import Testing

/// The examples of the page RecordBatch are batches, and the ones that the builder makes.
@Suite struct RecordBatchPageTests {
    private let page: PageExamples
    private let first = Message(
        Array("first".utf8), key: Array("k1".utf8),
        attributes: [Attribute("source", "web"), Attribute("lang", "")],
        eventTimeNanos: 1_700_000_000_000_000_000, dedupID: Array("d-1".utf8))
    private let second = Message(
        Array("second!".utf8), expiryNanos: 1_800_000_000_000_000_000, schemaID: 9)

    init() throws {
        page = try PageExamples("ChaskiRecords/Documentation.docc/RecordBatch.md")
    }

    @Test func publishedBatches() throws {
        let expected: [(String, [Message])] = [
            ("batch-one", [Message("hello")]), ("batch-empty-payload", [Message("", key: "")]),
            ("batch-two", [first, second]),
        ]
        for (name, messages) in expected {
            let bytes = try page[name]
            let view = try RecordBatchView(validating: bytes[...])
            #expect(try (0..<view.count).map { try view.record(at: $0).message } == messages)
            #expect(try Samples.batch(messages) == bytes)
        }
    }

    @Test func deflatedBatch() throws {
        let bytes = try page["batch-deflated"]
        let view = try RecordBatchView(validating: bytes[...])
        #expect(try view.record(at: 0).message == Message(String(repeating: "na", count: 600)))
        #expect(bytes.count < 150)
    }

    @Test func subsetOfAStoredBatch() throws {
        var stored = try page["batch-two"]
        stored.setBrokerHeader(baseOffset: 1000, appendTime: 1_750_000_000_000_000_000)
        let subset = try RecordBatchView(trusted: stored[...]).subset(indices: [1..<2])
        #expect(try subset == page["batch-subset"])
        let view = try RecordBatchView(
            validating: try page["batch-subset"][...], origin: .delivered)
        let record = try view.record(at: 0)
        #expect(record.offset == 1001 && record.message == second)
        #expect(view.appendTimeNanos == 1_750_000_000_000_000_000)
    }

    @Test func everyExampleIsLookedAt() {
        #expect(
            page.names == [
                "batch-deflated", "batch-empty-payload", "batch-one", "batch-subset", "batch-two",
            ])
    }
}
