import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiRecords
import ChaskiWire
import DequeModule

/// A publisher's stream: batches in, results out in the order of their requests, many in one
/// message.
final class PublishStream {
    private let id: StreamID
    private let link: Int
    private unowned let owner: ConnectionStreams
    private var producer: (id: ProducerID, epoch: UInt32)?
    /// Topics by alias; nil while the shard looks for one.
    private var topics: [UInt32: TopicID?] = [:]
    /// A place for each request without an answer, in order; those in front are answered first.
    private var slots: Deque<Slot> = []
    /// The number of the first place.
    private var firstSlot: UInt64 = 0
    private var results: [Chaski_V1_PublishResult] = []
    private var duplicateBytes = 0
    private var isGathering = false
    private var hasEnded = false
    private var bindings = 0

    private struct Slot {
        let request: UInt64
        var result: Result<Reply, Failure>?
    }

    /// Topics that one stream may name.
    private static let maximumTopics = 4_096
    /// Results in one message.
    private static let maximumResults = 1_024
    /// Bytes of the duplicates that they name, about.
    private static let maximumDuplicateBytes = 64 * 1024

    init(_ id: StreamID, link: Int, _ owner: ConnectionStreams) {
        self.id = id
        self.link = link
        self.owner = owner
    }

    /// Whether requests wait for their answers.
    var isBusy: Bool { !slots.isEmpty || bindings > 0 }

    // MARK: From the client

    func receive(_ message: InboundMessage) throws(Failure) {
        guard !hasEnded else { throw .protocolError("a message after the last one") }
        let request = try Chaski_V1_PublishRequest(control: message.protobuf)
        switch request.kind {
        case .batch(let batch):
            try publish(batch, message)
            return
        case .open(let open):
            try self.open(open)
        case .bind(let bind):
            try self.bind(bind)
        case .skip(let skip):
            try self.skip(skip, message)
            return
        case nil:
            throw .protocolError("a publish request without content")
        }
        owner.consumed(id, message.windowBytes)
    }

    private func open(_ open: Chaski_V1_OpenPublisher) throws(Failure) {
        guard producer == nil else { throw .protocolError("the publisher is open already") }
        guard let raw = UInt128(littleEndianBytes: open.producerID) else {
            throw .protocolError("a producer id has 16 bytes, not \(open.producerID.count)")
        }
        producer = (ProducerID(rawValue: raw), open.epoch)
    }

    private func bind(_ bind: Chaski_V1_BindTopic) throws(Failure) {
        guard let producer else { throw .protocolError("the publisher is not open yet") }
        guard topics[bind.alias] == nil else {
            throw .protocolError("topic alias \(bind.alias) is taken")
        }
        guard topics.count < Self.maximumTopics else {
            throw Failure(
                .resourceExhausted, .tooMany,
                "A publish stream names at most \(Self.maximumTopics) topics; open another.")
        }
        topics[bind.alias] = .some(nil)
        bindings += 1
        owner.send(
            .bind(
                owner.expect(.bind(self, alias: bind.alias)), topic: bind.topic, producer.id,
                epoch: producer.epoch), over: link)
    }

    private func publish(_ batch: Chaski_V1_PublishBatch, _ message: InboundMessage) throws(Failure)
    {
        guard let producer else { throw .protocolError("the publisher is not open yet") }
        let slot = takeSlot(batch.requestID)
        let request = owner.expect(.publish(self, slot: slot, windowBytes: message.windowBytes))
        let command: PublishCommand
        do throws(Failure) {
            let view = try RecordBatchView(
                validating: message.attachment, limits: owner.settings.recordLimits)
            guard let count = UInt32(exactly: view.count) else { throw .unexpectedReply }
            command = PublishCommand(
                topic: try topic(batch.alias), producer: producer.id,
                producerEpoch: producer.epoch, baseSequence: batch.baseSequence,
                batch: message.attachment, count: count)
        } catch {
            owner.answer(request, .failure(error))
            return
        }
        owner.host.batchReceived(messages: Int(command.count))
        owner.send(.command(.publish(request, command)), over: link)
    }

    private func skip(_ skip: Chaski_V1_SkipSequences, _ message: InboundMessage) throws(Failure) {
        guard let producer else { throw .protocolError("the publisher is not open yet") }
        let slot = takeSlot(skip.requestID)
        let request = owner.expect(.publish(self, slot: slot, windowBytes: message.windowBytes))
        do throws(Failure) {
            let topic = try topic(skip.alias)
            owner.send(
                .command(
                    .skipSequences(
                        request, topic: topic, producer.id, epoch: producer.epoch, next: skip.next)
                ), over: link)
        } catch {
            owner.answer(request, .failure(error))
        }
    }

    private func topic(_ alias: UInt32) throws(Failure) -> TopicID {
        guard let entry = topics[alias], let topic = entry else {
            throw Failure(
                .failedPrecondition, .unknownTopic,
                "Topic alias \(alias) is not bound on this stream: bind it and wait for the answer."
            )
        }
        return topic
    }

    private func takeSlot(_ request: UInt64) -> UInt64 {
        slots.append(Slot(request: request))
        return firstSlot &+ UInt64(slots.count - 1)
    }

    /// The client sends no more: when all is answered, the stream is over.
    func ended() {
        hasEnded = true
        endIfDone()
    }

    // MARK: From the shard

    func bound(_ alias: UInt32, _ result: Result<BoundTopic, Failure>) {
        bindings -= 1
        let answer = Chaski_V1_PublishResponse.with {
            var bound = Chaski_V1_TopicBound()
            bound.alias = alias
            switch result {
            case .success(let topic):
                topics[alias] = .some(topic.id)
                bound.topicID = topic.id.rawValue
                bound.incarnation = topic.incarnation
                bound.nextSequence = topic.nextSequence
            case .failure(let failure):
                topics[alias] = nil
                bound.status = Chaski_V1_Status(failure)
            }
            $0.kind = .bound(bound)
        }
        owner.send(answer, on: id)
        endIfDone()
    }

    func published(_ slot: UInt64, _ windowBytes: Int, _ result: Result<Reply, Failure>) {
        owner.consumed(id, windowBytes)
        guard let index = Int(exactly: slot &- firstSlot), slots.indices.contains(index) else {
            preconditionFailure("an answer for a place that does not exist")
        }
        slots[index].result = result
        while let first = slots.first, let result = first.result {
            slots.removeFirst()
            firstSlot &+= 1
            let answer = Chaski_V1_PublishResult(first.request, result)
            duplicateBytes += answer.duplicates.count
            results.append(answer)
            if duplicateBytes >= Self.maximumDuplicateBytes { sendResults() }
        }
        if results.count >= Self.maximumResults { sendResults() }
        if !isBusy { owner.release(id) }
        guard !results.isEmpty, !isGathering else { return }
        isGathering = true
        owner.willGather(id)
    }

    /// Sends the results that were gathered.
    func sendResults() {
        isGathering = false
        if !results.isEmpty {
            let answer = Chaski_V1_PublishResponse.with {
                var list = Chaski_V1_PublishResults()
                swap(&list.results, &results)
                $0.kind = .results(list)
            }
            results.removeAll(keepingCapacity: true)
            duplicateBytes = 0
            owner.send(answer, on: id)
        }
        endIfDone()
    }

    private func endIfDone() {
        guard !isBusy else { return }
        if hasEnded, results.isEmpty { owner.end(id, nil) }
        owner.release(id)
    }
}

extension Chaski_V1_PublishResult {
    fileprivate init(_ request: UInt64, _ result: Result<Reply, Failure>) {
        self.init()
        requestID = request
        switch result {
        case .success(
            .published(let baseOffset, let appendTimeNanos, let duplicate, let duplicates)):
            self.baseOffset = baseOffset
            appendUnixNanos = appendTimeNanos
            self.duplicate = duplicate
            if !duplicates.isEmpty { self.duplicates = DuplicateMembers.encode(duplicates) }
        case .success:
            break
        case .failure(let failure):
            status = Chaski_V1_Status(failure)
        }
    }
}

extension UInt128 {
    /// From 16 bytes, the least significant first; nil for any other number of bytes.
    init?(littleEndianBytes bytes: [UInt8]) {
        guard let low = bytes[...].littleEndian(UInt64.self, at: 0),
            let high = bytes[...].littleEndian(UInt64.self, at: 8), bytes.count == 16
        else { return nil }
        self = UInt128(high) << 64 | UInt128(low)
    }
}
