import ChaskiBroker
import ChaskiModel

/// P1 to P8, O1, U1: what producers were promised.
extension Oracle {
    private static let brokerHeaderBytes = 32

    /// Whether a batch with this content would be told from every other; then it is one.
    func register(_ publication: Publication) -> Int? {
        let checksum = checksum(publication.bytes)
        guard publicationOfChecksum[checksum] == nil else { return nil }
        publicationOfChecksum[checksum] = publications.count
        publications.append(publication)
        return publications.count - 1
    }

    /// The publication that these stored bytes are, byte for byte behind the broker header.
    func identify(_ bytes: Bytes) -> Int? {
        guard let index = publicationOfChecksum[checksum(bytes)], isContent(bytes, of: index) else {
            return nil
        }
        return index
    }

    private func checksum(_ bytes: Bytes) -> UInt32 {
        CRC32C.checksum(bytes.dropFirst(Self.brokerHeaderBytes))
    }

    func isContent(_ bytes: Bytes, of publication: Int) -> Bool {
        let published = publications[publication].bytes
        guard bytes.count == published.count else { return false }
        return bytes.withUnsafeBytes { a in
            published.withUnsafeBytes { b in
                let header = Self.brokerHeaderBytes
                return UnsafeRawBufferPointer(rebasing: a[header...])
                    .elementsEqual(UnsafeRawBufferPointer(rebasing: b[header...]))
            }
        }
    }

    // MARK: - Writes

    func writeBegins(_ group: JournalGroup) {
        precondition(groupInDoubt == nil, "one write at a time")
        groupInDoubt = group
    }

    /// The write returned: nothing of it is on disk.
    func writeRefused() { groupInDoubt = nil }

    /// The write returned: all of it is on disk, whatever comes.
    func writeReturned() {
        guard let group = groupInDoubt else { return }
        groupInDoubt = nil
        lastGroupClock = group.time.clock
        writes += 1
        for entry in group.entries where entry.kind == .batch {
            if let topic = topics[entry.topic], topic.isAtomicOnly {
                storedAtomically(entry, topic, clock: group.time.clock)
            } else if let topic = topics[entry.topic], topic.isCopiesOnly {
                storedCopies(entry, topic)
            } else {
                stored(entry)
            }
        }
        checkAtomicWrite()
        noteAgedOut(group)
    }

    /// A batch is on disk for good.
    private func stored(_ entry: JournalEntry) {
        guard let topic = topics[entry.topic] else {
            return violated(
                "P8", "a batch was stored in topic \(entry.topic.rawValue), which never was")
        }
        if let index = storedEdition(entry, topic) { return storedAlone(index, entry, topic) }
        guard let index = identify(entry.body) else {
            return violated(
                "P8", "offset \(entry.baseOffset) of \(topic.name) holds what nobody published")
        }
        let publication = publications[index]
        if entry.baseOffset != topic.end {
            violated(
                "P7",
                "\(topic.name) ends at \(topic.end), and a batch was stored at \(entry.baseOffset)")
        }
        if publication.topic != entry.topic || publication.count != entry.count {
            violated("P5", "publication \(index) was stored with another topic or count")
        }
        if let earlier = publication.storedBase {
            violated(
                "U1",
                "publication \(index) is stored at \(earlier) and again at \(entry.baseOffset)")
        }
        if publication.outstanding == 0 && !publication.inDoubt {
            violated("P3", "publication \(index) was stored although nobody waits for it")
        }
        checkSequence(index, topic)
        place(index, entry, topic)
    }

    /// A batch of the broker's own making is on disk.
    func storedAlone(_ index: Int, _ entry: JournalEntry, _ topic: TopicModel) {
        if entry.baseOffset != topic.end {
            violated("P7", "\(topic.name)@\(entry.baseOffset) does not follow \(topic.end)")
        }
        place(index, entry, topic)
    }

    private func place(_ index: Int, _ entry: JournalEntry, _ topic: TopicModel) {
        checkHeader(entry, topic)
        publications[index].storedBase = entry.baseOffset
        publications[index].storedByWrite = writes
        if entry.baseOffset == topic.end {
            topic.append(
                publication: index, count: entry.count,
                appendTime: entry.body.littleEndian(at: 8) ?? 0)
        }
    }

    private func checkHeader(_ entry: JournalEntry, _ topic: TopicModel) {
        let base: UInt64? = entry.body.littleEndian(at: 0)
        let appendTime: Int64? = entry.body.littleEndian(at: 8)
        if base != entry.baseOffset {
            violated("P7", "the header of the batch at \(entry.baseOffset) says \(base ?? 0)")
        }
        if (appendTime ?? 0) < topic.lastAppend {
            violated("P7", "append time goes back at \(topic.name)@\(entry.baseOffset)")
        }
    }

    private func checkSequence(_ index: Int, _ topic: TopicModel) {
        let publication = publications[index]
        let expected = topic.nextSequence[publication.producer] ?? 0
        if publication.baseSequence != expected,
            !isSkipped(to: publication.baseSequence, publication.producer, topic)
        {
            violated(
                "O1",
                "producer \(publication.producer) on \(topic.name): sequence "
                    + "\(publication.baseSequence) was stored where \(expected) comes next")
        }
        topic.nextSequence[publication.producer] =
            publication.baseSequence + UInt64(publication.count)
        if let fence = topic.fencedBelow[publication.producer], publication.producerEpoch < fence {
            violated("U1", "a producer fenced at epoch \(fence) stored publication \(index)")
        }
    }

    /// Whether a skip without an answer, or without one yet, may have led to this sequence.
    private func isSkipped(to next: UInt64, _ producer: Int, _ topic: TopicModel) -> Bool {
        skipsInDoubt.contains { $0.producer == producer && $0.topic == topic.id && $0.next == next }
            || pending.values.contains {
                guard case .skip(producer, topic.id, next) = $0 else { return false }
                return true
            }
    }

    // MARK: - Answers

    func publishReplied(_ index: Int, since write: Int, _ result: Result<Reply, Failure>) {
        publications[index].outstanding -= 1
        let publication = publications[index]
        switch result {
        case .success(.published(let base, _, _, _)):
            guard let stored = publication.storedBase else {
                return violated(
                    "P2", "OK(\(base)) for publication \(index) before its write returned")
            }
            if stored != base {
                violated(
                    "P4", "publication \(index) is stored at \(stored); the answer says \(base)")
            }
            publications[index].answeredBase = base
        case .success(let other):
            violated("one reply", "a publish was answered with \(other)")
        case .failure(let failure) where failure.isIndeterminate:
            publications[index].inDoubt = true
        case .failure(let failure):
            if publication.outstanding == 0, !publication.inDoubt, publication.storedBase != nil,
                publication.storedByWrite > write
            {
                violated(
                    "P3",
                    "publication \(index) was stored and answered FAIL(\(failure.reason.rawValue))")
            }
        }
    }

    func producerReplied(
        _ producer: Int, _ id: TopicID, _ epoch: UInt32, _ result: Result<Reply, Failure>
    ) {
        guard case .success(.producerOpened(let next)) = result, let topic = topics[id] else {
            return
        }
        let expected = topic.nextSequence[producer] ?? 0
        if next > expected, isSkipped(to: next, producer, topic) {
            topic.nextSequence[producer] = next
        } else if next != expected {
            violated(
                "U1",
                "producer \(producer) on \(topic.name) is told to go on at \(next), not \(expected)"
            )
        }
        topic.fencedBelow[producer] = max(topic.fencedBelow[producer] ?? 0, epoch)
    }
}
