import ChaskiModel
import ChaskiRecords

/// A small deterministic generator (SplitMix64, https://prng.di.unimi.it/splitmix64.c).
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

enum Samples {
    static func bytes(_ count: Int, _ random: inout SplitMix64) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count + 8)
        while result.count < count {
            let word = random.next()
            withUnsafeBytes(of: word) { result.append(contentsOf: $0) }
        }
        result.removeSubrange(count...)
        return result
    }

    /// Messages of all shapes: with and without each part, payloads that share, fill and span
    /// blocks, some that shrink and some that do not.
    static func messages(_ count: Int, seed: UInt64, largest: Int = 5000) -> [Message] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { number in
            let length = Int.random(in: 0...largest, using: &random)
            var message = Message(
                Bool.random(using: &random)
                    ? bytes(length, &random)
                    : [UInt8](repeating: UInt8(number & 255), count: length))
            if Bool.random(using: &random) {
                message.key = bytes(Int.random(in: 0...20, using: &random), &random)
            }
            for attribute in 0..<Int.random(in: 0...3, using: &random) {
                message.attributes.append(Attribute("name\(attribute)", "välue \(number)"))
            }
            if Bool.random(using: &random) { message.eventTimeNanos = Int64(number) * -7 }
            if Bool.random(using: &random) { message.expiryNanos = .max - Int64(number) }
            if Bool.random(using: &random) { message.schemaID = UInt64.max - UInt64(number) }
            if Bool.random(using: &random) {
                message.dedupID = bytes(Int.random(in: 1...16, using: &random), &random)
            }
            return message
        }
    }

    static func batch(
        _ messages: [Message], compression: BatchCompression = .none,
        limits: RecordBatchLimits = .maximum
    ) throws(Failure) -> [UInt8] {
        var builder = RecordBatchBuilder(limits: limits)
        for message in messages { try builder.append(message: message) }
        return builder.finish(compression: compression)
    }

    /// Writes the checksums of a batch anew after its bytes were changed, as far as its structure
    /// can still be followed, so that what lies behind them is tested.
    static func repairChecksums(_ batch: inout [UInt8]) {
        guard batch.count >= 64 else { return }
        let recordBytes = Int(batch[...].littleEndian(UInt32.self, at: 44) ?? 0)
        let blocks = Int(batch[...].littleEndian(UInt32.self, at: 48) ?? 0)
        var position = 64
        let table = min(64 + recordBytes, batch.count)
        while position + 8 <= table {
            let length = Int(batch[...].littleEndian(UInt32.self, at: position) ?? 0)
            guard length >= 8, length <= table - position else { break }
            let checksum = CRC32C.checksum(batch[position + 8..<position + length])
            batch.set(littleEndian: checksum, at: position + 4)
            position += length
        }
        let end = min(table + blocks * 16, batch.count)
        let header = CRC32C.checksum(batch[32..<60])
        batch.set(littleEndian: CRC32C.checksum(batch[table..<end], seed: header), at: 60)
    }
}
