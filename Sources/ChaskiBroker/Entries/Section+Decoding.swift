import ChaskiModel

extension Section {
    /// Throws `damaged` where the bytes are not a section that this broker writes.
    init(decoding bytes: Bytes) throws(Failure) {
        var reader = ByteReader(bytes)
        let rawKind = try reader.byte()
        guard let kind = SectionKind(rawValue: rawKind) else {
            throw .corruptEntry("the section's kind \(rawKind) is not known")
        }
        guard try reader.byte() == StateEncoding.version else {
            throw .corruptEntry("the section's version is not known")
        }
        switch kind {
        case .namespace: self = .namespace(try reader.namespaceSection())
        case .topic: self = .topic(try reader.topicSection())
        case .producers:
            let topic = TopicID(rawValue: try reader.varint())
            let number = try reader.count(each: 16)
            var producers: [KeptProducer] = []
            for _ in 0..<number { producers.append(try reader.keptProducer()) }
            self = .producers(topic, producers)
        case .subscription: self = .subscription(try reader.subscriptionSection())
        case .window: self = try reader.windowSection()
        case .heldKeys:
            let id = SubscriptionID(rawValue: try reader.varint())
            self = .heldKeys(id, try reader.namedKeys())
        case .deadLetters:
            let id = SubscriptionID(rawValue: try reader.varint())
            let first = try reader.varint()
            let end = try reader.varint()
            guard first <= end else { throw .corruptEntry("dead letters end before they begin") }
            var pieces: [DeadPiece] = []
            for _ in 0..<(try reader.count(each: 6)) {
                let piece = try reader.deadPiece()
                guard (first..<end).contains(piece.offset) else {
                    throw .corruptEntry("a dead letter is not where it should be")
                }
                pieces.append(piece)
            }
            self = .deadLetters(id, first..<end, pieces)
        case .transactions: self = .transactions(try reader.transactions())
        case .dedupIDs:
            self = .dedupIDs(TopicID(rawValue: try reader.varint()), try reader.dedupIDs())
        }
        try reader.finish()
    }
}

extension ByteReader {
    fileprivate mutating func namespaceSection() throws(Failure) -> NamespaceSection {
        var section = NamespaceSection(
            cycle: try varint(), nextTopic: try varint(), nextSubscription: try varint(),
            forgotten: [])
        for _ in 0..<(try count(each: 3)) {
            let name = try text(limit: Limits.nameBytes)
            let topic = ForgottenTopic(
                incarnation: try varint32(), id: TopicID(rawValue: try varint()))
            section.forgotten.append((name, topic))
        }
        return section
    }

    fileprivate mutating func topicSection() throws(Failure) -> TopicSection {
        var section = TopicSection(
            created: try topicCreated(), nextOffset: try varint(), lastAppendNanos: try zigzag(),
            releasedEnd: try varint(), markBytes: try varint(), marks: [])
        guard section.nextOffset <= Offset(Int64.max), section.releasedEnd <= section.nextOffset
        else { throw .corruptEntry("a topic's offsets are impossible") }
        let number = try count(each: 3)
        guard number <= ByteMarks.maximum else { throw .corruptEntry("too many marks") }
        var position: Offset = 0
        for _ in 0..<number {
            let (first, low) = position.addingReportingOverflow(try varint())
            let (end, high) = first.addingReportingOverflow(try varint())
            let bytes = try varint()
            guard !low, !high, end > first, end <= section.nextOffset, bytes < 1 << 56 else {
                throw .corruptEntry("a mark is impossible")
            }
            section.marks.append(
                ByteMarks.Mark(first: first, end: end, bytes: bytes, needed: end - first))
            position = end
        }
        return section
    }

    fileprivate mutating func keptProducer() throws(Failure) -> KeptProducer {
        var producer = KeptProducer(
            id: ProducerID(rawValue: try fixed()), epoch: try varint32(), next: try varint(),
            lastUsed: try zigzag(), stored: [])
        for _ in 0..<(try count(each: 5)) {
            let stored = ProducerState.Stored(
                sequence: try varint(), count: try varint(), offset: try varint(),
                appendTimeNanos: try zigzag(), areDuplicates: try flag())
            guard stored.count > 0,
                !stored.sequence.addingReportingOverflow(stored.count).overflow,
                !stored.offset.addingReportingOverflow(stored.count).overflow,
                stored.endSequence <= producer.next,
                stored.sequence >= producer.stored.last?.endSequence ?? 0
            else { throw .corruptEntry("a producer's sequences are impossible") }
            producer.stored.append(stored)
        }
        return producer
    }

    fileprivate mutating func subscriptionSection() throws(Failure) -> SubscriptionSection {
        let section = SubscriptionSection(
            created: try subscriptionCreated(), settledBelow: try varint(), ceiling: try varint(),
            totals: SubscriptionTotals(
                acked: try varint(), handedOut: try varint(), failed: try varint(),
                redriven: try varint(), purged: try varint(), expired: try varint(),
                forwarded: try varint()),
            pause: try pause(), breakerSwitch: try breakerSwitch())
        guard section.settledBelow <= Offset(Int64.max), section.ceiling <= Offset(Int64.max),
            section.settledBelow >= section.created.startOffset
        else { throw .corruptEntry("a subscription's offsets are impossible") }
        return section
    }

    fileprivate mutating func windowSection() throws(Failure) -> Section {
        let id = SubscriptionID(rawValue: try varint())
        let from = try varint()
        var pieces: [WindowPiece] = []
        var position = from
        for _ in 0..<(try count(each: 2)) {
            let piece = try windowPiece()
            let (next, overflow) = position.addingReportingOverflow(piece.count)
            guard !overflow, piece.count > 0, next <= Offset(Int64.max) else {
                throw .corruptEntry("a window's pieces are impossible")
            }
            pieces.append(piece)
            position = next
        }
        return .window(id, from: from, pieces)
    }

    private mutating func windowPiece() throws(Failure) -> WindowPiece {
        let kind = try byte()
        switch kind {
        case 0: return .open(try varint())
        case 1: return .acked(try varint())
        case 2: return .dead(try varint())
        case let kind where kind & ~WindowPiece.messageBits == WindowPiece.messageKind:
            let failed = try varint32()
            let returns = try varint32()
            let due: Int64? = kind & WindowPiece.hasDue != 0 ? try zigzag() : nil
            let until: Int64? = kind & WindowPiece.isExtended != 0 ? try zigzag() : nil
            var kept = KeptMessage(
                failed: failed, returns: returns, due: due, extendedUntil: until)
            if kind & WindowPiece.isSuspect != 0 {
                kept.abandoned = try byte()
                kept.suspicion = try byte()
            }
            if kind & WindowPiece.hasHistory != 0 { kept.history = try history() }
            if kind & WindowPiece.isDying != 0 { kept.dying = try deathCause() }
            return .message(kept)
        default: throw .corruptEntry("a window's piece \(kind) is not known")
        }
    }

    fileprivate mutating func deadPiece() throws(Failure) -> DeadPiece {
        switch try byte() {
        case 0: return .dead(try deadRecord())
        case 1:
            let offset = try varint()
            guard case .message(let kept) = try windowPiece(), offset < Offset(Int64.max) else {
                throw .corruptEntry("a message that was dead is not one")
            }
            return .revived(offset, kept)
        default: throw .corruptEntry("a dead letter's kind is not known")
        }
    }
}

extension DeadPiece {
    var offset: Offset {
        switch self {
        case .dead(let record): record.offset
        case .revived(let offset, _): offset
        }
    }
}

extension WindowPiece {
    /// The first byte of a piece that is one message, and what may be added to it.
    static let messageKind: UInt8 = 4
    static let hasDue: UInt8 = 1
    static let isExtended: UInt8 = 2
    static let isSuspect: UInt8 = 8
    static let hasHistory: UInt8 = 16
    static let isDying: UInt8 = 32
    static let messageBits: UInt8 = hasDue | isExtended | isSuspect | hasHistory | isDying

    /// Messages that it covers.
    var count: UInt64 {
        switch self {
        case .open(let count), .acked(let count), .dead(let count): count
        case .message: 1
        }
    }
}
