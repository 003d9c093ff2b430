/// Names one message of a verification run: globally unique by run, producer and number.
package struct VerifyValue: Hashable, Sendable {
    package var producer: UInt32
    package var number: UInt64

    package init(producer: UInt32, number: UInt64) {
        self.producer = producer
        self.number = number
    }
}

/// What messages of a run look like, so that every byte that comes back can be checked.
package struct VerifyContent: Sendable {
    package let run: String
    /// Bytes of a payload, including its head.
    package let payloadBytes: Int

    package init(run: String, payloadBytes: Int) {
        self.run = run
        self.payloadBytes = payloadBytes
    }

    /// `run producer number` and a filler that follows from them.
    package func payload(of value: VerifyValue) -> [UInt8] {
        var bytes = Array("\(run) \(value.producer) \(value.number) ".utf8)
        var random = SplitMix(seed: value.number &* 1_000_003 &+ UInt64(value.producer))
        // Lengths differ, so that blocks and pages are cut in all places.
        let wanted = max(bytes.count, payloadBytes - Int(random.next() % 64))
        while bytes.count < wanted {
            let word = random.next()
            for shift in 0..<min(8, wanted - bytes.count) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift * 8)) % 95 + 32)
            }
        }
        return bytes
    }

    package func key(of value: VerifyValue) -> [UInt8] { Array("k\(value.number % 97)".utf8) }

    package static let attributeName = "number"

    package func attribute(of value: VerifyValue) -> String { String(value.number) }

    /// The value that a payload names; nil where it is not one of this run's.
    package func value(in payload: some Collection<UInt8>) -> VerifyValue? {
        let head = payload.prefix(80).split(
            separator: 0x20, maxSplits: 3, omittingEmptySubsequences: false)
        guard head.count >= 3, Text.decoded(head[0]) == run,
            let producer = Text.decoded(head[1]).flatMap({ UInt32($0) }),
            let number = Text.decoded(head[2]).flatMap({ UInt64($0) })
        else { return nil }
        return VerifyValue(producer: producer, number: number)
    }

    /// Whether payload, key and attribute are byte for byte what was published.
    package func isIntact(
        _ value: VerifyValue, payload: [UInt8], key: [UInt8]?, attribute: String?
    ) -> Bool {
        payload == self.payload(of: value) && key == self.key(of: value)
            && attribute == self.attribute(of: value)
    }
}
