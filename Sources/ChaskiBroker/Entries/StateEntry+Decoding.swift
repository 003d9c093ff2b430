import ChaskiModel

extension StateEntry {
    /// Throws `damaged` where the bytes are not an entry that this broker writes.
    init(decoding bytes: Bytes) throws(Failure) {
        var reader = ByteReader(bytes)
        let rawKind = try reader.byte()
        guard let kind = StateKind(rawValue: rawKind) else {
            throw .corruptEntry("its kind \(rawKind) is not known")
        }
        guard try reader.byte() == StateEncoding.version else {
            throw .corruptEntry("its version is not known")
        }
        self = try StateEntry(kind, &reader)
        try reader.finish()
    }

    private init(_ kind: StateKind, _ reader: inout ByteReader) throws(Failure) {
        switch kind {
        case .topicCreated: self = .topicCreated(try reader.topicCreated())
        case .topicDeleted: self = .topicDeleted(TopicID(rawValue: try reader.varint()))
        case .subscriptionCreated: self = .subscriptionCreated(try reader.subscriptionCreated())
        case .subscriptionDeleted:
            let id = SubscriptionID(rawValue: try reader.varint())
            self = .subscriptionDeleted(id, releasedEnd: try reader.varint())
        case .published: self = .published(try reader.published())
        case .producerAdvanced: self = .producerAdvanced(try reader.producerAdvanced())
        case .producerForgotten:
            let topic = TopicID(rawValue: try reader.varint())
            self = .producerForgotten(topic, ProducerID(rawValue: try reader.fixed()))
        case .ceilingRaised:
            let id = SubscriptionID(rawValue: try reader.varint())
            self = .ceilingRaised(id, try reader.varint())
        case .handedOut:
            self = .handedOut(
                HandedOut(
                    subscription: SubscriptionID(rawValue: try reader.varint()),
                    session: SessionID(rawValue: try reader.fixed()),
                    ranges: try reader.ranges()))
        case .settled: self = .settled(try reader.settled())
        case .returned: self = .returned(try reader.returned())
        case .subscriptionPaused:
            let id = SubscriptionID(rawValue: try reader.varint())
            self = .subscriptionPaused(id, try reader.pauseChange())
        case .breakerSwitched:
            let id = SubscriptionID(rawValue: try reader.varint())
            self = .breakerSwitched(id, try reader.breakerSwitch())
        case .atomic: self = .atomic(try reader.atomicApplied())
        case .keysNamed:
            let id = SubscriptionID(rawValue: try reader.varint())
            self = .keysNamed(id, try reader.namedKeys())
        case .clock: self = .clock
        case .subscriptionUpdated:
            let id = SubscriptionID(rawValue: try reader.varint())
            self = .subscriptionUpdated(id, try reader.subscriptionSettings())
        case .redriven: self = .redriven(try reader.redriven())
        case .purged: self = .purged(try reader.purged())
        case .redrivenEdited: self = .redrivenEdited(try reader.redrivenEdited())
        case .died: self = .died(try reader.died())
        }
    }
}

extension ByteReader {
    mutating func flag() throws(Failure) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw .corruptEntry("a flag is neither 0 nor 1")
        }
    }

    mutating func topicCreated() throws(Failure) -> TopicCreated {
        let id = TopicID(rawValue: try varint())
        let name = try text(limit: Limits.nameBytes)
        let incarnation = try varint32()
        let settings = try topicSettings()
        return TopicCreated(
            id: id, name: name, incarnation: incarnation,
            settings: settings, createdWallNanos: try zigzag())
    }

    mutating func subscriptionCreated() throws(Failure) -> SubscriptionCreated {
        let id = SubscriptionID(rawValue: try varint())
        let name = try text(limit: Limits.nameBytes)
        let topic = TopicID(rawValue: try varint())
        let settings = try subscriptionSettings()
        let startOffset = try varint()
        guard startOffset <= Offset(Int64.max) else { throw .corruptEntry("its start is too high") }
        return SubscriptionCreated(
            id: id, name: name, topic: topic, settings: settings, startOffset: startOffset,
            createdWallNanos: try zigzag())
    }

    fileprivate mutating func published() throws(Failure) -> Published {
        var published = Published(
            topic: TopicID(rawValue: try varint()), producer: ProducerID(rawValue: try fixed()),
            epoch: try varint32(), baseSequence: try varint(), count: try varint32(),
            baseOffset: try varint(), appendTimeNanos: try zigzag())
        guard published.count > 0,
            !published.baseSequence.addingReportingOverflow(UInt64(published.count)).overflow,
            !published.baseOffset.addingReportingOverflow(UInt64(published.count)).overflow
        else { throw .corruptEntry("a batch has no valid range") }
        published.duplicates = try duplicates(of: published.count)
        return published
    }

    fileprivate mutating func producerAdvanced() throws(Failure) -> ProducerAdvanced {
        let topic = TopicID(rawValue: try varint())
        let producer = ProducerID(rawValue: try fixed())
        let epoch = try varint32()
        let hasNext = try flag()
        let next = try varint()
        return ProducerAdvanced(
            topic: topic, producer: producer, epoch: epoch, next: hasNext ? next : nil)
    }

    fileprivate mutating func settled() throws(Failure) -> Settled {
        let subscription = SubscriptionID(rawValue: try varint())
        let session = SessionID(rawValue: try fixed())
        guard let verb = Verb(rawValue: try byte()) else {
            throw .corruptEntry("a verb is not known")
        }
        var settled = Settled(
            subscription: subscription, session: session, verb: verb, ranges: [])
        if verb == .retry || verb == .fail || verb == .extend {
            let bits = try byte()
            guard bits & ~7 == 0 else { throw .corruptEntry("a flag is not known") }
            let delay = try zigzag()
            settled.delayNanos = bits & 1 != 0 ? delay : nil
            settled.mayDie = bits & 2 != 0
            settled.isProbe = bits & 4 != 0
            guard !settled.isProbe || verb == .retry && settled.delayNanos != nil else {
                throw .corruptEntry("a probe that does not wait")
            }
            settled.seed = try fixed()
            settled.code = try text(limit: StateEncoding.codeBytes)
            settled.reason = try text(limit: StateEncoding.reasonBytes)
        }
        settled.ranges = try ranges()
        return settled
    }

    fileprivate mutating func returned() throws(Failure) -> Returned {
        let subscription = SubscriptionID(rawValue: try varint())
        let session = SessionID(rawValue: try fixed())
        guard let cause = ReturnCause(rawValue: try byte()) else {
            throw .corruptEntry("a cause is not known")
        }
        let mayDie = try flag()
        return Returned(
            subscription: subscription, session: session, cause: cause,
            together: try varint32(), mayDie: mayDie, ranges: try ranges())
    }

    mutating func ranges() throws(Failure) -> [EntryRange] {
        let number = try count(each: StateEncoding.rangeBytesMinimum)
        var ranges: [EntryRange] = []
        ranges.reserveCapacity(number)
        var position: Offset = 0
        for _ in 0..<number {
            let (first, low) = position.addingReportingOverflow(try varint())
            let count = try varint32()
            let handout = try varint32()
            let (end, high) = first.addingReportingOverflow(Offset(count))
            guard !low, !high, count > 0, handout > 0 else {
                throw .corruptEntry("a range is not valid")
            }
            ranges.append(EntryRange(first: first, count: count, handout: handout))
            position = end
        }
        return ranges
    }
}
