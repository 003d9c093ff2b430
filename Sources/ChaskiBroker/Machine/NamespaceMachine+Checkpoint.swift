import ChaskiModel
import DequeModule

/// A checkpoint under way: what is still to be written.
struct CheckpointCycle {
    enum Stage {
        case beginning
        /// Topics by id, with the place of the next and, when its section is out, the rest of its
        /// producers.
        case topics([TopicID], Int, producers: ArraySlice<ProducerID>?)
        /// Behind a topic's producers, its dedup ids from one position to another.
        case dedupIDs([TopicID], Int, from: UInt64, to: UInt64)
        /// Subscriptions by id, with the place of the next, and how far it got.
        case subscriptions([SubscriptionID], Int, SubscriptionProgress)
        /// Atomic requests from one position to another.
        case transactions(from: UInt64, to: UInt64)
        /// Last, so that it names every topic that was deleted before its section was out: replay
        /// cannot know such a topic's name.
        case namespace
        case finished
    }

    enum SubscriptionProgress {
        case header
        /// From this offset on; and where the window begins, as the header says it. What is settled
        /// meanwhile must be in a slice: replay meets its verdict before what it was done to.
        case heldKeys(Offset, windowFrom: Offset)
        /// Messages from the first offset on, up to the second.
        case window(Offset, Offset)
        case deadLetters(from: Offset)
    }

    let number: UInt64
    var hasBegun = false
    var stage = Stage.beginning

    init(number: UInt64) { self.number = number }
}

extension NamespaceMachine {
    /// Begins a checkpoint: the next groups carry slices of the state, until replay can begin at
    /// the first of them. Does nothing while one is under way.
    package func beginCheckpoint() {
        guard isRunning, checkpoint == nil else { return }
        checkpoint = CheckpointCycle(number: nextCycle())
    }

    func nextCycle() -> UInt64 {
        lastCycle += 1
        return lastCycle
    }

    /// Sections up to about a slice, or `maximumBytes`, as of the state before this group's other
    /// entries.
    func appendSections(
        _ entries: inout [JournalEntry], _ bytes: inout Int, _ flight: inout InFlightGroup,
        maximumBytes: Int
    ) {
        guard var cycle = checkpoint else { return }
        cycle.hasBegun = true
        flight.hasSections = true
        let enough = max(1, min(configuration.checkpointSliceBytes, maximumBytes))
        while bytes < enough {
            guard let section = nextSection(&cycle) else { break }
            let body = section.encoded()
            bytes += body.count + 32
            entries.append(JournalEntry(kind: .section, body: body[...]))
        }
        if case .finished = cycle.stage { flight.endsCheckpoint = true }
        if entries.isEmpty { entries.append(StateEntry.clock, &bytes) }
        checkpoint = cycle
    }

    /// The sections in the group are on disk.
    func sectionsDurable(_ flight: InFlightGroup) {
        if flight.endsCheckpoint { checkpoint = nil }
    }

    private func nextSection(_ cycle: inout CheckpointCycle) -> Section? {
        while true {
            switch cycle.stage {
            case .beginning:
                cycle.stage = .topics(directory.topics.keys.sorted(), 0, producers: nil)
            case .topics(let ids, let place, let producers):
                guard place < ids.count else {
                    // Taken now: whoever came meanwhile belongs to a topic that is out.
                    let subscriptions = directory.subscriptions.keys.sorted()
                    cycle.stage = .subscriptions(subscriptions, 0, .header)
                    continue
                }
                if let section = topicSection(ids, place, producers, &cycle) { return section }
            case .dedupIDs(let ids, let place, let from, let end):
                if let section = dedupSection(ids, place, from, end, &cycle) { return section }
            case .subscriptions(let ids, let place, let progress):
                guard place < ids.count else {
                    cycle.stage = .transactions(from: transactions.head, to: transactions.end)
                    continue
                }
                guard let subscription = directory.subscriptions[ids[place]] else {
                    cycle.stage = .subscriptions(ids, place + 1, .header)
                    continue
                }
                let (section, next) = self.section(of: subscription, progress)
                cycle.stage =
                    next.map { .subscriptions(ids, place, $0) }
                    ?? .subscriptions(ids, place + 1, .header)
                if let section { return section }
            case .transactions(let from, let end):
                let next = transactions.end(ofSliceFrom: from, to: end)
                let isLast = from >= end
                cycle.stage = isLast ? .namespace : .transactions(from: next, to: end)
                let records = transactions.kept(in: from..<max(from, next))
                if !records.isEmpty { return .transactions(records) }
            case .namespace:
                cycle.stage = .finished
                return namespaceSection(cycle.number)
            case .finished: return nil
            }
        }
    }

    private func namespaceSection(_ number: UInt64) -> Section {
        let forgotten = directory.forgotten.sorted { $0.value.id < $1.value.id }
        return .namespace(
            NamespaceSection(
                cycle: number, nextTopic: directory.nextTopic,
                nextSubscription: directory.nextSubscription,
                forgotten: forgotten.map { ($0.key, $0.value) }))
    }

    /// The topic's own section, then its producers by and by; nil where there is none (more).
    private func topicSection(
        _ ids: [TopicID], _ place: Int, _ producers: ArraySlice<ProducerID>?,
        _ cycle: inout CheckpointCycle
    ) -> Section? {
        guard let topic = directory.topics[ids[place]] else {
            cycle.stage = .topics(ids, place + 1, producers: nil)
            return nil
        }
        guard let producers else {
            let known = topic.producers.keys.sorted { $0.rawValue < $1.rawValue }
            cycle.stage = .topics(ids, place, producers: known[...])
            return .topic(
                TopicSection(
                    created: topic.createdEntry, nextOffset: topic.nextOffset,
                    lastAppendNanos: topic.lastAppendNanos, releasedEnd: topic.releasedEnd,
                    markBytes: topic.marks.markBytes, marks: topic.marks.marks))
        }
        // A producer takes at most about 6 KiB.
        let now = producers.prefix(32)
        let rest = producers.dropFirst(32)
        if !rest.isEmpty {
            cycle.stage = .topics(ids, place, producers: rest)
        } else if let table = topic.dedup, !table.isEmpty {
            cycle.stage = .dedupIDs(ids, place, from: table.head, to: table.end)
        } else {
            cycle.stage = .topics(ids, place + 1, producers: nil)
        }
        let kept = now.compactMap { topic.producers[$0] }.filter(\.isDurable).map(\.kept)
        return kept.isEmpty ? nil : .producers(topic.id, kept)
    }

    /// The next 1,024 dedup ids of a topic, about 30 bytes each; nil where there are none (more).
    private func dedupSection(
        _ ids: [TopicID], _ place: Int, _ from: UInt64, _ end: UInt64,
        _ cycle: inout CheckpointCycle
    ) -> Section? {
        let next = min(end, max(from, directory.topics[ids[place]]?.dedup?.head ?? end) &+ 1_024)
        guard from < end, let table = directory.topics[ids[place]]?.dedup else {
            cycle.stage = .topics(ids, place + 1, producers: nil)
            return nil
        }
        cycle.stage = .dedupIDs(ids, place, from: next, to: end)
        let entries = table.entries(in: max(from, table.head)..<max(next, table.head))
        return entries.isEmpty ? nil : .dedupIDs(ids[place], entries)
    }

    /// The next section of a subscription, and what comes after it; nil when that was all.
    private func section(
        of subscription: SubscriptionState, _ progress: CheckpointCycle.SubscriptionProgress
    ) -> (Section?, CheckpointCycle.SubscriptionProgress?) {
        let window = subscription.window
        switch progress {
        case .header:
            let header = SubscriptionSection(
                created: subscription.created, settledBelow: window.settledBelow,
                ceiling: subscription.ceiling.value, totals: subscription.totals,
                pause: subscription.flow.pause, breakerSwitch: subscription.flow.breakerSwitch)
            return (.subscription(header), .heldKeys(0, windowFrom: header.settledBelow))
        case .heldKeys(let from, let windowFrom):
            let keys = subscription.heldKeys.list(from: from, limit: 4_096)
            guard let last = keys.last else { return (nil, .window(windowFrom, window.end)) }
            return (
                .heldKeys(subscription.id, keys),
                .heldKeys(last.offset + 1, windowFrom: windowFrom)
            )
        case .window(let from, let end):
            guard from < end else { return (nil, .deadLetters(from: 0)) }
            let (pieces, next) = subscription.pieces(from: from, to: end)
            let section =
                pieces.isEmpty ? nil : Section.window(subscription.id, from: from, pieces)
            return (section, .window(next, end))
        case .deadLetters(let from):
            guard subscription.nextPin(from: from) != nil else { return (nil, nil) }
            let (pieces, next) = subscription.deadPieces(from: from)
            return (
                .deadLetters(subscription.id, from..<(next ?? .max), pieces),
                next.map { .deadLetters(from: $0) }
            )
        }
    }
}

extension TopicState {
    var createdEntry: TopicCreated {
        TopicCreated(
            id: id, name: name, incarnation: incarnation, settings: settings,
            createdWallNanos: createdWallNanos)
    }
}

extension ProducerState {
    var kept: KeptProducer {
        KeptProducer(
            id: id, epoch: epoch, next: next, lastUsed: lastUsed, stored: Array(stored))
    }
}

extension SubscriptionState {
    /// About 8,192 pieces of the window from an offset on, or 64 KiB of histories, and where the
    /// rest begins. Revived messages are what their chunks say: settled.
    func pieces(from: Offset, to end: Offset) -> ([WindowPiece], Offset) {
        var pieces: [WindowPiece] = []
        var bytes = 0
        var position = from
        while position < end, pieces.count < 8_192, bytes < 65_536 {
            let open = min(window.nextChunkOpen(from: position) ?? end, end)
            if position < open { appendSettled(position..<open, &pieces) }
            position = open
            guard position < end, let slot = window.openChunkSlot(position) else { break }
            if slot.pointee.isDefault {
                if case .open(let count)? = pieces.last {
                    pieces[pieces.count - 1] = .open(count + 1)
                } else {
                    pieces.append(.open(1))
                }
            } else {
                let kept = kept(slot.pointee, position)
                bytes += kept.history.bytes.count
                pieces.append(.message(kept))
            }
            position += 1
        }
        return (pieces, position)
    }

    /// About 64 KiB of dead and revived messages from an offset on, and where the rest begins; nil
    /// where that was all.
    func deadPieces(from: Offset) -> ([DeadPiece], Offset?) {
        var pieces: [DeadPiece] = []
        var bytes = 0
        var position = from
        while let offset = nextPin(from: position) {
            guard bytes < 65_536 else { return (pieces, offset) }
            if let record = dead[offset] {
                pieces.append(.dead(record))
                bytes += 24 + record.history.bytes.count
            } else if let slot = window.slot(offset) {
                let kept = kept(slot.pointee, offset)
                pieces.append(.revived(offset, kept))
                bytes += 24 + kept.history.bytes.count
            }
            position = offset + 1
        }
        return (pieces, nil)
    }

    func kept(_ slot: Slot, _ offset: Offset) -> KeptMessage {
        KeptMessage(
            failed: slot.failed, returns: slot.returns,
            due: slot.state == .waiting ? slot.due : nil,
            extendedUntil: slot.has(Slot.extended) ? extensions[offset] : nil,
            history: slot.has(Slot.historied)
                ? histories[offset]?.history ?? MessageHistory() : MessageHistory(),
            abandoned: slot.abandoned, suspicion: slot.suspicion,
            dying: slot.state == .dying ? deaths.cause(of: offset) : nil)
    }

    /// A settled run: the dead of it are named, since they pin.
    private func appendSettled(_ range: Range<Offset>, _ pieces: inout [WindowPiece]) {
        var position = range.lowerBound
        while position < range.upperBound {
            let next = min(dead.first(from: position)?.offset ?? .max, range.upperBound)
            if position < next { pieces.append(.acked(next - position)) }
            position = next
            guard position < range.upperBound else { break }
            if case .dead(let count)? = pieces.last {
                pieces[pieces.count - 1] = .dead(count + 1)
            } else {
                pieces.append(.dead(1))
            }
            position += 1
        }
    }
}
