import ChaskiModel
import ChaskiRecords

/// Batches whose content nobody else publishes.
enum BatchMaker {
    static func make(
        _ simulation: Simulation, _ random: inout SimulationRandom, producer: Int, epoch: UInt32,
        topic: TopicID, sequence: UInt64, count: Int
    ) -> Int? {
        precondition(count > 0, "an empty batch")
        let compression: BatchCompression =
            simulation.plan.has(.compression) && random.chance(1, in: 4)
            ? .deflate(minimumBytes: 64) : .none
        if compression != .none { simulation.hit(.compression) }
        // A checksum that is taken already makes another attempt; two in a row do not happen.
        for _ in 0..<4 {
            var builder = RecordBatchBuilder()
            var keys: [[UInt8]?] = []
            for place in 0..<count {
                let message = message(
                    simulation, &random, producer: producer, sequence: sequence + UInt64(place))
                guard (try? builder.append(message: message)) != nil else { return nil }
                keys.append(message.key)
            }
            let bytes = builder.finish(compression: compression)
            var publication = Publication(
                producer: producer, producerEpoch: epoch, topic: topic, baseSequence: sequence,
                count: UInt32(count), bytes: bytes[...])
            publication.keys = keys
            if let index = simulation.oracle.register(publication) { return index }
        }
        return nil
    }

    private static func message(
        _ simulation: Simulation, _ random: inout SimulationRandom, producer: Int, sequence: UInt64
    ) -> Message {
        var payload: [UInt8] = []
        payload.append(littleEndian: random.next())
        payload.append(littleEndian: sequence << 8 | UInt64(producer))
        var length = random.below(64)
        if simulation.plan.has(.largePayload), random.chance(1, in: 50) {
            length = 1_000 + random.below(12_000)
            simulation.hit(.largePayload)
        }
        payload += [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: length)
        guard random.chance(simulation.plan.has(.ordered) ? 5 : 2, in: 6) else {
            return Message(payload)
        }
        return Message(
            payload, key: [UInt8(producer), UInt8(random.below(5))],
            attributes: [Attribute("n", "\(sequence)")])
    }
}
