import ChaskiModel
import DequeModule

/// Mixes words into 64 bits; the same on every machine and in every run.
private struct Digest {
    private(set) var value: UInt64 = 0x6368_6173_6B69

    mutating func add(_ word: UInt64) { value = SplitMix64.mix(value ^ word) &+ word }
    mutating func add(_ word: Int64) { add(UInt64(bitPattern: word)) }
    mutating func add(_ text: String) {
        add(UInt64(text.utf8.count))
        for byte in text.utf8 { add(UInt64(byte)) }
    }
    mutating func add(_ word: UInt128) {
        add(UInt64(truncatingIfNeeded: word))
        add(UInt64(truncatingIfNeeded: word >> 64))
    }
}

extension NamespaceMachine {
    /// A digest of the durable state: what the machine before a crash had applied and the machine
    /// that replayed the same journal agree on. Leases, cursors and counters are not in it.
    package func stateDigest() -> UInt64 {
        var digest = Digest()
        for topic in directory.topicsByID {
            digest.add(topic.id.rawValue)
            digest.add(topic.name)
            digest.add(UInt64(topic.incarnation))
            digest.add(topic.nextOffset)
            digest.add(topic.lastAppendNanos)
            digest.add(topic.settings.maximumBytes ?? .max)
            add(producersOf: topic, &digest)
        }
        for subscription in directory.subscriptionsByID { add(subscription, &digest) }
        for (name, topic) in directory.forgotten.sorted(by: { $0.value.id < $1.value.id }) {
            digest.add(name)
            digest.add(UInt64(topic.incarnation))
        }
        return digest.value
    }

    private func add(producersOf topic: TopicState, _ digest: inout Digest) {
        let expiry = configuration.producerExpiryNanos
        let known = topic.producers.values
            .filter { $0.isDurable && !$0.isExpired(at: lastDurable.clock, after: expiry) }
            .sorted { $0.id.rawValue < $1.id.rawValue }
        for producer in known {
            digest.add(producer.id.rawValue)
            digest.add(UInt64(producer.epoch))
            digest.add(producer.next)
            digest.add(producer.lastUsed)
            for stored in producer.stored {
                digest.add(stored.sequence)
                digest.add(stored.count)
                digest.add(stored.offset)
                digest.add(stored.appendTimeNanos)
            }
        }
    }

    private func add(_ subscription: SubscriptionState, _ digest: inout Digest) {
        let window = subscription.window
        digest.add(subscription.id.rawValue)
        digest.add(subscription.created.name)
        digest.add(subscription.topic.id.rawValue)
        digest.add(subscription.ceiling.value)
        digest.add(window.settledBelow)
        // Settled runs above the oldest unsettled message, and what is known of the unsettled.
        var position = window.settledBelow
        while let offset = window.nextOpen(from: position) {
            if offset > position {
                digest.add(position)
                digest.add(offset)
            }
            position = offset + 1
            guard let slot = window.slot(offset)?.pointee else { continue }
            let due = slot.state == .waiting && slot.due > lastDurable.clock ? slot.due : nil
            if slot.failed == 0, slot.returns == 0, due == nil, !slot.has(Slot.extended) {
                continue
            }
            digest.add(offset)
            digest.add(UInt64(slot.failed) << 32 | UInt64(slot.returns))
            digest.add(due ?? .min)
            digest.add(subscription.extensions[offset] ?? .min)
        }
        if position < window.end {
            digest.add(position)
            digest.add(window.end)
        }
        for letter in subscription.dead.list(from: 0, limit: .max) {
            digest.add(letter.offset)
            digest.add(UInt64(letter.cause.rawValue))
            digest.add(letter.reason)
            digest.add(UInt64(letter.failed) << 32 | UInt64(letter.handedOut))
            digest.add(letter.session.rawValue)
            digest.add(letter.clockNanos)
            digest.add(letter.wallNanos)
        }
    }
}
