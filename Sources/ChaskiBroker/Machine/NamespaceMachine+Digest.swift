import ChaskiModel
import DequeModule

/// Takes the durable state word by word, each with what it is.
private protocol StateSink {
    mutating func add(_ label: StaticString, _ word: UInt64)
    mutating func add(_ label: StaticString, _ text: String)
}

extension StateSink {
    mutating func add(_ label: StaticString, _ word: Int64) {
        add(label, UInt64(bitPattern: word))
    }
    mutating func add(_ label: StaticString, _ word: UInt128) {
        add(label, UInt64(truncatingIfNeeded: word))
        add(label, UInt64(truncatingIfNeeded: word >> 64))
    }
}

/// Mixes words into 64 bits; the same on every machine and in every run.
private struct Digest: StateSink {
    private(set) var value: UInt64 = 0x6368_6173_6B69

    mutating func add(_ label: StaticString, _ word: UInt64) {
        value = SplitMix64.mix(value ^ word) &+ word
    }
    mutating func add(_ label: StaticString, _ text: String) {
        add(label, UInt64(text.utf8.count))
        for byte in text.utf8 { add(label, UInt64(byte)) }
    }
}

/// A line for each word, for people.
private struct StateLines: StateSink {
    private(set) var lines: [String] = []

    mutating func add(_ label: StaticString, _ word: UInt64) { lines.append("\(label) \(word)") }
    mutating func add(_ label: StaticString, _ text: String) { lines.append("\(label) \(text)") }
}

extension NamespaceMachine {
    /// A digest of the durable state: what the machine before a crash had applied and the machine
    /// that replayed the same journal agree on. Leases, cursors and counters are not in it.
    package func stateDigest() -> UInt64 {
        var digest = Digest()
        add(to: &digest)
        return digest.value
    }

    /// What the digest covers, line by line.
    package func stateLines() -> [String] {
        var lines = StateLines()
        add(to: &lines)
        return lines.lines
    }

    private func add(to digest: inout some StateSink) {
        for topic in directory.topicsByID {
            digest.add("topic", topic.id.rawValue)
            digest.add("name", topic.name)
            digest.add("incarnation", UInt64(topic.incarnation))
            digest.add("next offset", topic.nextOffset)
            digest.add("last append", topic.lastAppendNanos)
            digest.add("quota", topic.settings.maximumBytes ?? .max)
            digest.add("dedup window", topic.settings.dedupWindowNanos ?? 0)
            add(producersOf: topic, &digest)
            add(dedupIDsOf: topic, &digest)
        }
        for subscription in directory.subscriptionsByID { add(subscription, &digest) }
        addTransactions(&digest)
        for (name, topic) in directory.forgotten.sorted(by: { $0.value.id < $1.value.id }) {
            digest.add("forgotten topic", name)
            digest.add("forgotten incarnation", UInt64(topic.incarnation))
        }
    }

    private func add(producersOf topic: TopicState, _ digest: inout some StateSink) {
        let expiry = configuration.producerExpiryNanos
        let known = topic.producers.values
            .filter { $0.isDurable && !$0.isExpired(at: lastDurable.clock, after: expiry) }
            .sorted { $0.id.rawValue < $1.id.rawValue }
        for producer in known {
            digest.add("producer", producer.id.rawValue)
            digest.add("epoch", UInt64(producer.epoch))
            digest.add("next sequence", producer.next)
            digest.add("last used", producer.lastUsed)
            for stored in producer.stored {
                digest.add("stored sequence", stored.sequence)
                digest.add("stored count", stored.count)
                digest.add("stored offset", stored.offset)
                digest.add("stored time", stored.appendTimeNanos)
                digest.add("stored as duplicates", UInt64(stored.areDuplicates ? 1 : 0))
            }
        }
    }

    private func addTransactions(_ digest: inout some StateSink) {
        let window = configuration.transactionWindowNanos
        let remembered = transactions.kept(in: transactions.head..<transactions.end)
            .filter { $0.clock.addingSaturating(window) > lastDurable.clock }
            .sorted {
                ($0.clock, $0.applied.transaction.rawValue)
                    < ($1.clock, $1.applied.transaction.rawValue)
            }
        for record in remembered {
            digest.add("transaction", record.applied.transaction.rawValue)
            digest.add("at", record.clock)
            for published in record.applied.published {
                digest.add("in topic", published.topic.rawValue)
                digest.add("base offset", published.baseOffset)
                digest.add("members", UInt64(published.count))
                digest.add("duplicates", UInt64(published.duplicates.count))
            }
        }
    }

    private func add(dedupIDsOf topic: TopicState, _ digest: inout some StateSink) {
        guard let table = topic.dedup else { return }
        let remembered = table.entries(in: table.head..<table.end)
            .filter { $0.clock.addingSaturating(table.window) > lastDurable.clock }
            .sorted { $0.offset < $1.offset }
        for entry in remembered {
            digest.add("dedup id", entry.key.high ^ entry.key.low)
            digest.add("of offset", entry.offset)
            digest.add("at", entry.clock)
            digest.add("checksum", UInt64(entry.checksum))
        }
    }

    private func add(_ subscription: SubscriptionState, _ digest: inout some StateSink) {
        let window = subscription.window
        digest.add("subscription", subscription.id.rawValue)
        digest.add("name", subscription.created.name)
        digest.add("of topic", subscription.topic.id.rawValue)
        var settings: [UInt8] = []
        settings.append(settings: subscription.settings)
        for byte in settings { digest.add("settings", UInt64(byte)) }
        digest.add("ceiling", subscription.ceiling.value)
        digest.add("settled below", window.settledBelow)
        if let pause = subscription.flow.pause {
            digest.add("paused since", pause.sinceClock)
            digest.add("paused since, wall", pause.sinceWall)
            digest.add("paused until", pause.until ?? .max)
        }
        digest.add("breaker", UInt64(subscription.flow.breakerSwitch.rawValue))
        addWindow(of: subscription, &digest)
        subscription.dead.forEach { record in
            digest.add("dead", record.offset)
            digest.add("cause", UInt64(record.cause.rawValue))
            digest.add("failed", UInt64(record.failed))
            digest.add("handed out", UInt64(record.handedOut))
            digest.add("died", record.diedNanos)
            add(record.history, &digest)
        }
    }

    /// Settled runs above the oldest unsettled message, and what is known of the unsettled.
    private func addWindow(of subscription: SubscriptionState, _ digest: inout some StateSink) {
        let window = subscription.window
        var position = window.settledBelow
        while let offset = window.nextChunkOpen(from: position) {
            if offset > position {
                digest.add("settled from", position)
                digest.add("open from", offset)
            }
            position = offset + 1
            guard let slot = window.openChunkSlot(offset)?.pointee else { continue }
            let due = slot.state == .waiting && slot.due > lastDurable.clock ? slot.due : nil
            if slot.failed == 0, slot.returns == 0, due == nil, !slot.has(Slot.extended),
                slot.abandoned == 0, slot.suspicion == 0, !slot.has(Slot.historied)
            {
                continue
            }
            digest.add("open from", offset)
            add(slot, offset, subscription, &digest)
        }
        if position < window.end {
            digest.add("settled from", position)
            digest.add("settled to", window.end)
        }
        position = 0
        while let offset = window.nextRevived(from: position) {
            position = offset + 1
            digest.add("revived", offset)
            if let slot = window.slot(offset)?.pointee { add(slot, offset, subscription, &digest) }
        }
    }

    private func add(
        _ slot: Slot, _ offset: Offset, _ subscription: SubscriptionState,
        _ digest: inout some StateSink
    ) {
        let due = slot.state == .waiting && slot.due > lastDurable.clock ? slot.due : nil
        digest.add("failed, returned", UInt64(slot.failed) << 32 | UInt64(slot.returns))
        digest.add(
            "abandoned, suspicion", UInt64(slot.abandoned) << 32 | UInt64(slot.suspicion))
        digest.add("due", due ?? .min)
        if slot.state == .dying {
            let cause = subscription.deaths.cause(of: offset)
            digest.add("dying", UInt64(cause?.rawValue ?? 0))
        }
        digest.add("extended", subscription.extensions[offset] ?? .min)
        if let record = subscription.histories[offset] { add(record.history, &digest) }
    }

    private func add(_ history: MessageHistory, _ digest: inout some StateSink) {
        digest.add("attempts", UInt64(history.attempts))
        for byte in history.bytes { digest.add("history", UInt64(byte)) }
    }
}
