import ChaskiModel

extension Section {
    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .namespace(let section):
            out.begin(.namespace)
            out.append(varint: section.cycle)
            out.append(varint: section.nextTopic)
            out.append(varint: section.nextSubscription)
            out.append(varint: UInt64(section.forgotten.count))
            for (name, topic) in section.forgotten {
                out.append(text: name)
                out.append(varint: UInt64(topic.incarnation))
                out.append(varint: topic.id.rawValue)
            }
        case .topic(let section): out.append(section)
        case .producers(let topic, let producers):
            out.begin(.producers)
            out.append(varint: topic.rawValue)
            out.append(varint: UInt64(producers.count))
            for producer in producers { out.append(producer) }
        case .subscription(let section):
            out.begin(.subscription)
            out.append(subscription: section.created)
            out.append(varint: section.settledBelow)
            out.append(varint: section.ceiling)
            out.append(varint: section.totals.acked)
            out.append(varint: section.totals.handedOut)
            out.append(varint: section.totals.failed)
            out.append(varint: section.totals.redriven)
            out.append(varint: section.totals.purged)
            out.append(varint: section.totals.expired)
            out.append(varint: section.totals.forwarded)
            out.append(pause: section.pause)
            out.append(section.breakerSwitch.rawValue)
        case .window(let id, let from, let pieces):
            out.begin(.window)
            out.append(varint: id.rawValue)
            out.append(varint: from)
            out.append(varint: UInt64(pieces.count))
            for piece in pieces { out.append(piece) }
        case .heldKeys(let id, let keys):
            out.begin(.heldKeys)
            out.append(varint: id.rawValue)
            out.append(namedKeys: keys)
        case .deadLetters(let id, let range, let pieces):
            out.begin(.deadLetters)
            out.append(varint: id.rawValue)
            out.append(varint: range.lowerBound)
            out.append(varint: range.upperBound)
            out.append(varint: UInt64(pieces.count))
            for piece in pieces { out.append(piece) }
        case .dedupIDs(let topic, let entries):
            out.begin(.dedupIDs)
            out.append(varint: topic.rawValue)
            out.append(dedupIDs: entries)
        case .transactions(let records):
            out.begin(.transactions)
            out.append(transactions: records)
        }
        return out
    }
}

extension [UInt8] {
    fileprivate mutating func begin(_ kind: SectionKind) {
        append(kind.rawValue)
        append(StateEncoding.version)
    }

    fileprivate mutating func append(_ section: TopicSection) {
        begin(.topic)
        append(topic: section.created)
        append(varint: section.nextOffset)
        append(zigzag: section.lastAppendNanos)
        append(varint: section.releasedEnd)
        append(varint: section.markBytes)
        append(varint: UInt64(section.marks.count))
        var position: Offset = 0
        for mark in section.marks {
            append(varint: mark.first - position)
            append(varint: mark.end - mark.first)
            append(varint: mark.bytes)
            position = mark.end
        }
    }

    fileprivate mutating func append(_ producer: KeptProducer) {
        append(littleEndian: producer.id.rawValue)
        append(varint: UInt64(producer.epoch))
        append(varint: producer.next)
        append(zigzag: producer.lastUsed)
        append(varint: UInt64(producer.stored.count))
        for stored in producer.stored {
            append(varint: stored.sequence)
            append(varint: stored.count)
            append(varint: stored.offset)
            append(zigzag: stored.appendTimeNanos)
            append(stored.areDuplicates ? 1 : 0)
        }
    }

    fileprivate mutating func append(_ piece: WindowPiece) {
        switch piece {
        case .open(let count):
            append(0)
            append(varint: count)
        case .acked(let count):
            append(1)
            append(varint: count)
        case .dead(let count):
            append(2)
            append(varint: count)
        case .message(let kept):
            let isSuspect = kept.abandoned > 0 || kept.suspicion > 0
            append(
                WindowPiece.messageKind | (kept.due == nil ? 0 : WindowPiece.hasDue)
                    | (kept.extendedUntil == nil ? 0 : WindowPiece.isExtended)
                    | (isSuspect ? WindowPiece.isSuspect : 0)
                    | (kept.history.isEmpty ? 0 : WindowPiece.hasHistory)
                    | (kept.dying == nil ? 0 : WindowPiece.isDying))
            append(varint: UInt64(kept.failed))
            append(varint: UInt64(kept.returns))
            if let due = kept.due { append(zigzag: due) }
            if let until = kept.extendedUntil { append(zigzag: until) }
            if isSuspect {
                append(kept.abandoned)
                append(kept.suspicion)
            }
            if !kept.history.isEmpty { append(history: kept.history) }
            if let cause = kept.dying { append(cause.rawValue) }
        }
    }

    fileprivate mutating func append(_ piece: DeadPiece) {
        switch piece {
        case .dead(let record):
            append(0)
            append(record: record)
        case .revived(let offset, let kept):
            append(1)
            append(varint: offset)
            append(WindowPiece.message(kept))
        }
    }
}
