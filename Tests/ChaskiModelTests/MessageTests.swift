import ChaskiModel
import Testing

@Suite struct MessageTests {
    private func reason(_ message: Message, payloadBytes: Int = 1024 * 1024) -> String? {
        do throws(Failure) {
            try message.checkLimits(payloadBytes: payloadBytes)
            return nil
        } catch {
            return error.reason.rawValue
        }
    }

    @Test(arguments: [(1024, nil), (1025, "too-large"), (1_024_000, "too-large")])
    func keyIsLimited(_ length: Int, _ expected: String?) {
        #expect(reason(Message([], key: [UInt8](repeating: 1, count: length))) == expected)
    }

    @Test(arguments: [(10, nil), (11, "too-large"), (10_000, "too-large")])
    func payloadIsLimited(_ length: Int, _ expected: String?) {
        #expect(reason(Message([UInt8](repeating: 1, count: length)), payloadBytes: 10) == expected)
    }

    @Test(arguments: [
        (128, nil), (129, "too-large"), (128_000, "too-large"), (0, "invalid-message"),
    ])
    func dedupIDIsLimited(_ length: Int, _ expected: String?) {
        #expect(reason(Message([], dedupID: [UInt8](repeating: 1, count: length))) == expected)
    }

    @Test(arguments: [(64, nil), (65, "too-many"), (64_000, "too-many")])
    func attributesAreCounted(_ count: Int, _ expected: String?) {
        let attributes = [Attribute](repeating: Attribute("a", "b"), count: count)
        #expect(reason(Message([], attributes: attributes)) == expected)
    }

    @Test(arguments: [
        (128, nil), (129, "too-large"), (128_000, "too-large"), (0, "invalid-message"),
    ])
    func attributeNameIsLimited(_ length: Int, _ expected: String?) {
        let attribute = Attribute(String(repeating: "n", count: length), "v")
        #expect(reason(Message([], attributes: [attribute])) == expected)
    }

    @Test(arguments: [(4096, nil), (4097, "too-large"), (4_096_000, "too-large")])
    func attributeValueIsLimited(_ length: Int, _ expected: String?) {
        let attribute = Attribute("n", String(repeating: "v", count: length))
        #expect(reason(Message([], attributes: [attribute])) == expected)
    }

    @Test(arguments: [(4091, nil), (4092, "too-large")])
    func attributesAreLimitedTogether(_ length: Int, _ expected: String?) {
        // Four names of 5 bytes and four values: 16,384 bytes at 4,091.
        let attribute = Attribute("name5", String(repeating: "v", count: length))
        #expect(reason(Message([], attributes: .init(repeating: attribute, count: 4))) == expected)
    }

    @Test func textBecomesBytes() {
        let message = Message("é", key: "k")
        #expect(message.payload == [0xc3, 0xa9])
        #expect(message.key == [0x6b])
    }
}
