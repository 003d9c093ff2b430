import ChaskiBroker
import ChaskiModel
import ChaskiRecords

/// Atomic requests, with dedup ids and with verdicts, and the topics that only they write to.
struct AtomicModel {
    /// For how long the broker remembers a request.
    static let transactionWindowNanos: Int64 = 600_000_000_000

    struct Part {
        var topic: String
        var messages: [Message]
    }

    struct Operation {
        var command: AtomicCommand
        var parts: [Part]
        /// Requests for it that the broker took and has not answered.
        var outstanding = 0
        var inDoubt = false
        /// The time of the group that holds it, and the parts found in it.
        var storedClock: Int64?
        var storedByWrite = 0
        var storedParts: Set<Int> = []
    }

    struct Stored {
        var message: Message
        var clock: Int64
    }

    var operations: [Operation] = []
    var logs: [TopicID: [Stored]] = [:]
    /// Where the output for a message that was settled with it is stored.
    var outputs: [SubscriptionID: [Offset: Offset]] = [:]
    /// Where each id was stored last.
    var ids: [TopicID: [[UInt8]: Offset]] = [:]
    /// Operations of the write that is being looked at.
    var touched: Set<Int> = []
    /// For how long the topics remember ids.
    var windowNanos: Int64 = 1_000_000_000

    /// A message that says which operation and part it belongs to.
    static func marker(_ operation: Int, _ part: Int) -> Message {
        Message(Array("m\(operation).\(part)".utf8))
    }

    static func place(of marker: Message) -> (operation: Int, part: Int)? {
        let text = String(decoding: marker.payload, as: UTF8.self)
        guard text.first == "m" else { return nil }
        let numbers = text.dropFirst().split(separator: ".").compactMap { Int($0) }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
    }

    @discardableResult
    mutating func add(
        _ parts: [Part], settlements: [AtomicSettlement] = [], seed: UInt64
    ) -> Int {
        let publishes = parts.map { part in
            var builder = RecordBatchBuilder()
            for message in part.messages { try? builder.append(message: message) }
            return AtomicPublish(
                topic: part.topic, batch: builder.finish()[...], count: UInt32(part.messages.count))
        }
        let id = UInt128(seed) << 64 | UInt128(operations.count)
        operations.append(
            Operation(
                command: AtomicCommand(
                    transaction: TransactionID(rawValue: id), publishes: publishes,
                    settlements: settlements),
                parts: parts))
        return operations.count - 1
    }

    /// The number of an operation.
    static func number(_ id: TransactionID) -> Int {
        Int(truncatingIfNeeded: id.rawValue & 0xffff_ffff)
    }
}

/// P3, P5, U1 to U3 of atomic requests and dedup ids.
extension Oracle {
    /// A batch of an atomic request is on disk for good.
    func storedAtomically(_ entry: JournalEntry, _ topic: TopicModel, clock: Int64) {
        let view: RecordBatchView
        do throws(Failure) {
            view = try RecordBatchView(trusted: entry.body)
        } catch {
            return violated("P8", "a batch of \(topic.name) is damaged: \(error.message)")
        }
        if entry.baseOffset != topic.end || view.count != Int(entry.count) {
            violated("P7", "\(topic.name)@\(entry.baseOffset) does not follow \(topic.end)")
        }
        for place in 0..<view.count {
            guard let record = try? view.record(at: place) else {
                return violated("P1", "\(topic.name)@\(entry.baseOffset): a payload is damaged")
            }
            let message = record.message
            noteStored(message, at: topic.end + Offset(place), topic, clock)
            atomics.logs[topic.id, default: []].append(
                AtomicModel.Stored(message: message, clock: clock))
        }
        publications.append(
            Publication(
                producer: 0, producerEpoch: 0, topic: topic.id, baseSequence: 0,
                count: entry.count, bytes: entry.body, storedBase: entry.baseOffset))
        topic.append(
            publication: publications.count - 1, count: entry.count,
            appendTime: entry.body.littleEndian(at: 8) ?? 0)
    }

    private func noteStored(
        _ message: Message, at offset: Offset, _ topic: TopicModel, _ clock: Int64
    ) {
        if let id = message.dedupID {
            if let before = atomics.ids[topic.id]?[id], let log = atomics.logs[topic.id],
                log[Int(before)].clock + atomics.windowNanos > clock
            {
                violated(
                    "U1", "\(topic.name)@\(offset) has the dedup id of \(before), within its window"
                )
            }
            atomics.ids[topic.id, default: [:]][id] = offset
            return
        }
        if let output = TransformOutput(message) { return outputStored(output, at: offset, topic) }
        guard let (number, part) = AtomicModel.place(of: message),
            atomics.operations.indices.contains(number)
        else { return violated("P8", "\(topic.name)@\(offset) was published by nobody") }
        if let before = atomics.operations[number].storedClock,
            clock >= before + AtomicModel.transactionWindowNanos
        {
            // It came again when it was remembered no more.
            atomics.operations[number].storedParts = []
        }
        let operation = atomics.operations[number]
        if operation.storedParts.contains(part) {
            violated("P4", "part \(part) of atomic request \(number) is stored twice")
        }
        if operation.outstanding == 0, !operation.inDoubt {
            violated("P3", "atomic request \(number) was stored although nobody waits for it")
        }
        atomics.operations[number].storedParts.insert(part)
        atomics.operations[number].storedClock = clock
        atomics.operations[number].storedByWrite = writes
        atomics.touched.insert(number)
    }

    /// All batches of a write are looked at: each request of it must be there whole.
    func checkAtomicWrite() {
        for number in atomics.touched.sorted() {
            let operation = atomics.operations[number]
            if operation.storedParts.count != operation.parts.count {
                violated(
                    "P5",
                    "\(operation.storedParts.count) of \(operation.parts.count) parts of atomic "
                        + "request \(number) were stored")
            }
        }
        atomics.touched.removeAll()
    }

    func takenAtomic(_ id: RequestID, _ command: AtomicCommand, now: Now) {
        let number = AtomicModel.number(command.transaction)
        let operation = atomics.operations[number]
        let isKnown = operation.storedClock.map {
            $0 + AtomicModel.transactionWindowNanos > now.clock
        }
        // What is repeated has its outcome with the first.
        let isFirst = operation.outstanding == 0 && isKnown != true
        let settles = isFirst ? command.settlements.map { beginVerdicts($0, now: now) } : []
        atomics.operations[number].outstanding += 1
        let since = isKnown == true ? -1 : writes
        begin(id, .atomic(number: number, settles, sinceWrite: since))
    }

    func abandonAtomic(_ number: Int) {
        atomics.operations[number].outstanding -= 1
        atomics.operations[number].inDoubt = true
    }

    func atomicReplied(
        _ number: Int, _ settles: [PendingSettle], since write: Int,
        _ result: Result<Reply, Failure>, now: Now
    ) {
        atomics.operations[number].outstanding -= 1
        let operation = atomics.operations[number]
        switch result {
        case .success(.atomic(let published, _)):
            guard let clock = operation.storedClock, published.count == operation.parts.count else {
                return violated("P2", "OK for atomic request \(number) before its write returned")
            }
            for (part, answer) in zip(operation.parts, published) {
                checkAnswer(number, part, answer, clock)
            }
        case .success(let other):
            violated("one reply", "an atomic request was answered with \(other)")
        case .failure(let failure) where failure.isIndeterminate:
            atomics.operations[number].inDoubt = true
        case .failure(let failure):
            let isAboutNow = [.journalFailed, .draining].contains(failure.reason)
            if operation.storedClock != nil, operation.storedByWrite > write, !isAboutNow {
                violated(
                    "P3", "atomic request \(number) is stored and answered FAIL(\(failure.reason))")
            }
            checkRefusal(number, settles, failure)
        }
        for settle in settles { verdictsReplied(settle, result, now: now) }
    }

    /// Each member is where the answer says, byte for byte; a duplicate within its window.
    private func checkAnswer(
        _ number: Int, _ part: AtomicModel.Part, _ answer: AtomicPublished, _ clock: Int64
    ) {
        guard let log = atomics.logs[answer.topic] else {
            return violated("P1", "atomic request \(number) is said to be in another topic")
        }
        for (index, message) in part.messages.enumerated() {
            let at = answer.duplicates.offset(
                ofMember: UInt32(index), baseOffset: answer.baseOffset)
            guard at.offset < Offset(log.count) else {
                violated("P1", "atomic request \(number) is said to be at \(at.offset)")
                continue
            }
            let stored = log[Int(at.offset)]
            if stored.message.payload != message.payload {
                let check = stored.message.dedupID == message.dedupID ? "U3" : "P1"
                violated(check, "\(part.topic)@\(at.offset) is not member \(index) of \(number)")
            }
            if at.isDuplicate, stored.clock != clock,
                stored.clock + atomics.windowNanos <= clock
            {
                violated("U2", "\(part.topic)@\(at.offset) was remembered past its window")
            }
        }
    }
}
