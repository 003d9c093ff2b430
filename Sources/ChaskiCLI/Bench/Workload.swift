/// The messages of a benchmark: unique payloads that do not compress, one of some keys (1,000
/// unless told), and two attributes.
package struct Workload: Sendable {
    /// Bytes of each payload, at least 16.
    package let payloadBytes: Int
    /// So many of 100 messages have the key `busy`, in no regular turn.
    package let busyPercent: UInt64
    package static let busyKey = Array("busy".utf8)
    private let run: UInt64
    private let filler: [UInt8]
    /// Made once and shared, so that a message costs one allocation: its payload.
    package let keys: [[UInt8]]
    package static let attributeNames = ["kind", "part"]
    package let attributeValues: [String]

    package static let minimumPayloadBytes = 16
    private static let variants = 251

    package init(payloadBytes: Int, run: UInt64, keys count: Int = 1_000, busyPercent: UInt64 = 0) {
        precondition(payloadBytes >= Self.minimumPayloadBytes, "room for what makes it unique")
        precondition(count > 0 && busyPercent <= 100, "options are checked before")
        self.busyPercent = busyPercent
        self.payloadBytes = payloadBytes
        self.run = run
        var random = SplitMix(seed: run)
        filler = (0..<payloadBytes + Self.variants).map { _ in
            UInt8(truncatingIfNeeded: random.next())
        }
        keys = (0..<count).map { Array("key-\($0)".utf8) }
        attributeValues = (0..<16).map { "value-\($0)" }
    }

    /// The payload of message `index`: run and index in front, then bytes of a random text from a
    /// place that depends on the index.
    package func payload(_ index: UInt64) -> [UInt8] {
        let start = Int(index % UInt64(Self.variants))
        return [UInt8](unsafeUninitializedCapacity: payloadBytes) { target, count in
            filler.withUnsafeBytes { source in
                UnsafeMutableRawBufferPointer(target).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: source[start..<start + payloadBytes]))
            }
            let raw = UnsafeMutableRawBufferPointer(target)
            raw.storeBytes(of: run.littleEndian, as: UInt64.self)
            raw.storeBytes(of: index.littleEndian, toByteOffset: 8, as: UInt64.self)
            count = payloadBytes
        }
    }

    package func key(_ index: UInt64) -> [UInt8] {
        if busyPercent > 0 {
            var random = SplitMix(seed: index)
            if random.next() % 100 < busyPercent { return Self.busyKey }
        }
        return keys[Int(index % UInt64(keys.count))]
    }

    package func attributeValue(_ index: UInt64, _ position: Int) -> String {
        attributeValues[Int((index &+ UInt64(position) &* 7) % 16)]
    }
}
