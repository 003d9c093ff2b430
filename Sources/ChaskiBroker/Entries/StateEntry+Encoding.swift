import ChaskiModel

/// The first byte of an entry of kind `state`; the second is the version, 1.
enum StateKind: UInt8 {
    case topicCreated = 1
    case topicDeleted = 2
    case subscriptionCreated = 3
    case subscriptionDeleted = 4
    case published = 5
    case producerAdvanced = 6
    case producerForgotten = 7
    case ceilingRaised = 8
    case handedOut = 9
    case settled = 10
    case returned = 11
    case clock = 12
    case keysNamed = 19
    case subscriptionPaused = 22
    case breakerSwitched = 23
    case subscriptionUpdated = 15
    case atomic = 40
    case redriven = 16
    case purged = 17
    case redrivenEdited = 18
    case died = 24
}

enum StateEncoding {
    static let version: UInt8 = 1
    static let reasonBytes = 1_024
    static let codeBytes = MessageHistory.codeBytes
    /// A range takes at least a byte for each of its three parts.
    static let rangeBytesMinimum = 3
}

extension StateEntry {
    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        switch self {
        case .topicCreated(let created):
            out.begin(.topicCreated)
            out.append(topic: created)
        case .topicDeleted(let id):
            out.begin(.topicDeleted)
            out.append(varint: id.rawValue)
        case .subscriptionCreated(let created):
            out.begin(.subscriptionCreated)
            out.append(subscription: created)
        case .subscriptionDeleted(let id, let releasedEnd):
            out.begin(.subscriptionDeleted)
            out.append(varint: id.rawValue)
            out.append(varint: releasedEnd)
        case .atomic(let applied):
            out.begin(.atomic)
            out.append(atomic: applied)
        case .published(let published):
            out.append(published: published)
        case .producerAdvanced(let advanced):
            out.begin(.producerAdvanced)
            out.append(varint: advanced.topic.rawValue)
            out.append(littleEndian: advanced.producer.rawValue)
            out.append(varint: UInt64(advanced.epoch))
            out.append(advanced.next == nil ? 0 : 1)
            out.append(varint: advanced.next ?? 0)
        case .producerForgotten(let topic, let producer):
            out.begin(.producerForgotten)
            out.append(varint: topic.rawValue)
            out.append(littleEndian: producer.rawValue)
        case .ceilingRaised(let id, let ceiling):
            out.begin(.ceilingRaised)
            out.append(varint: id.rawValue)
            out.append(varint: ceiling)
        case .handedOut(let handed):
            out.reserveCapacity(40 + 4 * handed.ranges.count)
            out.begin(.handedOut)
            out.append(varint: handed.subscription.rawValue)
            out.append(littleEndian: handed.session.rawValue)
            out.append(ranges: handed.ranges)
        case .settled(let settled):
            out.append(settled: settled)
        case .returned(let returned):
            out.reserveCapacity(40 + 4 * returned.ranges.count)
            out.begin(.returned)
            out.append(varint: returned.subscription.rawValue)
            out.append(littleEndian: returned.session.rawValue)
            out.append(returned.cause.rawValue)
            out.append(returned.mayDie ? 1 : 0)
            out.append(varint: UInt64(returned.together))
            out.append(ranges: returned.ranges)
        case .subscriptionPaused(let id, let change):
            out.begin(.subscriptionPaused)
            out.append(varint: id.rawValue)
            out.append(change)
        case .breakerSwitched(let id, let position):
            out.begin(.breakerSwitched)
            out.append(varint: id.rawValue)
            out.append(position.rawValue)
        case .keysNamed(let id, let keys):
            out.begin(.keysNamed)
            out.append(varint: id.rawValue)
            out.append(namedKeys: keys)
        case .clock:
            out.begin(.clock)
        case .subscriptionUpdated(let id, let settings):
            out.begin(.subscriptionUpdated)
            out.append(varint: id.rawValue)
            out.append(settings: settings)
        case .redriven(let redriven):
            out.begin(.redriven)
            out.append(redriven: redriven)
        case .purged(let purged):
            out.begin(.purged)
            out.append(purged: purged)
        case .redrivenEdited(let edited):
            out.begin(.redrivenEdited)
            out.append(edited: edited)
        case .died(let died):
            out.begin(.died)
            out.append(died: died)
        }
        return out
    }
}

extension [UInt8] {
    fileprivate mutating func begin(_ kind: StateKind) {
        append(kind.rawValue)
        append(StateEncoding.version)
    }

    mutating func append(topic created: TopicCreated) {
        append(varint: created.id.rawValue)
        append(text: created.name)
        append(varint: UInt64(created.incarnation))
        append(settings: created.settings)
        append(zigzag: created.createdWallNanos)
    }

    mutating func append(subscription created: SubscriptionCreated) {
        append(varint: created.id.rawValue)
        append(text: created.name)
        append(varint: created.topic.rawValue)
        append(settings: created.settings)
        append(varint: created.startOffset)
        append(zigzag: created.createdWallNanos)
    }

    fileprivate mutating func append(published: Published) {
        reserveCapacity(64)
        begin(.published)
        append(varint: published.topic.rawValue)
        append(littleEndian: published.producer.rawValue)
        append(varint: UInt64(published.epoch))
        append(varint: published.baseSequence)
        append(varint: UInt64(published.count))
        append(varint: published.baseOffset)
        append(zigzag: published.appendTimeNanos)
        append(duplicates: published.duplicates)
    }

    fileprivate mutating func append(settled: Settled) {
        reserveCapacity(64 + settled.reason.utf8.count + 4 * settled.ranges.count)
        begin(.settled)
        append(varint: settled.subscription.rawValue)
        append(littleEndian: settled.session.rawValue)
        append(settled.verb.rawValue)
        if settled.verb == .retry || settled.verb == .fail || settled.verb == .extend {
            append(
                (settled.delayNanos == nil ? 0 : 1) | (settled.mayDie ? 2 : 0)
                    | (settled.isProbe ? 4 : 0))
            append(zigzag: settled.delayNanos ?? 0)
            append(littleEndian: settled.seed)
            append(text: settled.code)
            append(text: settled.reason)
        }
        append(ranges: settled.ranges)
    }

    /// Each range as its distance from the end of the one before, its count and hand-out number.
    mutating func append(ranges: [EntryRange]) {
        append(varint: UInt64(ranges.count))
        var position: Offset = 0
        for range in ranges {
            precondition(range.first >= position && range.count > 0, "ranges are not ascending")
            append(varint: range.first - position)
            append(varint: UInt64(range.count))
            append(varint: UInt64(range.handout))
            position = range.end
        }
    }
}
