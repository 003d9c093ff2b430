import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire
import Logging
import NIOCore

/// A producer's end on the event loop: takes what the inbox holds, runs the machine, and speaks
/// `chaski.v1.Publisher/Publish`.
final class PublisherStream: StreamOwner {
    private let link: Link
    private let inbox: ProducerInbox
    private let encoding: EncodingSettings
    private let configuration: ProducerConfiguration
    private let producerID: ProducerID
    private var machine: ProducerMachine<PublishWaiter>
    private var stream: StreamID?
    private var taken: [ProducerInbox.Submission] = []
    private var isRetired = false
    private var whenGone: [() -> Void] = []

    init(
        link: Link, inbox: ProducerInbox, encoding: EncodingSettings,
        configuration: ProducerConfiguration, producerID: ProducerID
    ) {
        self.link = link
        self.inbox = inbox
        self.encoding = encoding
        self.configuration = configuration
        self.producerID = producerID
        machine = ProducerMachine(limits: configuration.limits(batchMessages: Int.max))
    }

    /// The inbox has something.
    func flush() { turnEnded(now: Link.nowNanos()) }

    /// Nobody publishes any more: goes when all has its outcome, and then calls `gone`.
    func retire(_ gone: @escaping () -> Void = {}) {
        inbox.refuse(Failure(.failedPrecondition, .closed, "the producer is closed"))
        whenGone.append(gone)
        isRetired = true
        turnEnded(now: Link.nowNanos())
    }

    private func leaveIfIdle() {
        guard isRetired, !machine.hasWork, inbox.isEmpty else { return }
        if let stream { link.closeStream(stream) }
        stream = nil
        link.remove(self)
        let calls = whenGone
        whenGone = []
        for call in calls { call() }
    }

    // MARK: Link

    func linkEstablished(_ link: Link) {
        guard stream == nil, let welcome = link.welcome else { return }
        let settings = encoding.set(
            limits: RecordBatchLimits(
                messages: welcome.limits.batchMessages,
                payloadBytes: welcome.limits.payloadBytes,
                batchBytes: welcome.limits.unitBytes - Self.envelopeBytes),
            isLoopback: link.isLoopback)
        machine.encoder = BatchEncoder(limits: settings.limits, compression: settings.compression)
        machine.limits = configuration.limits(batchMessages: settings.limits.messages)
        guard case .success(let stream) = link.openStream(Self.method, for: self) else { return }
        self.stream = stream
        let open = Chaski_V1_PublishRequest.with {
            $0.open = .with {
                $0.producerID = producerID.rawValue.littleEndianBytes
                $0.epoch = configuration.epoch
            }
        }
        guard send(open) else { return }
        machine.connected()
    }

    private static let method = "chaski.v1.Publisher/Publish"
    /// What a unit needs beside the batch.
    private static let envelopeBytes = 1024

    func linkLost(_ failure: Failure, now: Int64) {
        stream = nil
        machine.connectionLost()
    }

    func linkClosed(_ failure: Failure) {
        inbox.close(failure)
        machine.ended(failure)
        complete()
        isRetired = true
        leaveIfIdle()
    }

    func streamEnded(_ failure: Failure?, now: Int64) {
        stream = nil
        machine.connectionLost()
        guard let failure else { return }
        if failure.reason == .fenced {
            machine.ended(failure)
        } else if !failure.isPassing {
            machine.failAll(with: failure)
        }
    }

    func ticked(now: Int64) {
        if stream == nil, link.isEstablished, machine.hasWork { linkEstablished(link) }
        machine.timerFired(now: now)
        turnEnded(now: now)
    }

    // MARK: Requests

    func turnEnded(now: Int64) {
        repeat {
            inbox.take(into: &taken)
            if !taken.isEmpty {
                machine.submitted(taken, now: now)
                taken.removeAll(keepingCapacity: true)
            }
            sendRequests(now: now)
        } while complete()
        if isRetired { leaveIfIdle() }
    }

    private func sendRequests(now: Int64) {
        while let stream, link.isWritable(stream), let request = machine.nextRequest(now: now) {
            guard send(request) else { return }
        }
    }

    private func send(_ request: ProducerRequest) -> Bool {
        switch request {
        case .bind(let alias, let topic):
            return send(
                .with {
                    $0.bind = .with {
                        $0.alias = alias
                        $0.topic = topic
                    }
                })
        case .skip(let requestID, let alias, let next):
            return send(
                .with {
                    $0.skip = .with {
                        $0.requestID = requestID
                        $0.alias = alias
                        $0.next = next
                    }
                })
        case .batch(let requestID, let alias, let baseSequence, let bytes):
            let message = Chaski_V1_PublishRequest.with {
                $0.batch = .with {
                    $0.requestID = requestID
                    $0.alias = alias
                    $0.baseSequence = baseSequence
                }
            }
            return send(message, attachment: bytes[...], class: .batch)
        }
    }

    /// Sends a message; where that fails the stream is given up and opened again.
    private func send(
        _ request: Chaski_V1_PublishRequest, attachment: Bytes = [],
        class trafficClass: TrafficClass = .control
    ) -> Bool {
        guard let stream else { return false }
        let failure: Failure?
        do throws(Failure) {
            failure = link.send(
                on: stream, protobuf: try Coding.encode(request), attachment: attachment,
                class: trafficClass)
        } catch {
            failure = error
        }
        guard let failure else { return true }
        giveUpStream(failure)
        return false
    }

    private func giveUpStream(_ failure: Failure) {
        link.configuration.logger.warning("a publish stream is given up: \(failure.message)")
        if let stream { link.reset(stream, failure) }
        stream = nil
        machine.connectionLost()
    }

    /// Tells the waiting; true when that let more into the inbox.
    @discardableResult
    private func complete() -> Bool {
        var bytes = 0
        for completion in machine.takeCompletions() {
            bytes += completion.bytes
            for (step, waiter) in completion.waiters.enumerated() {
                waiter.resume(
                    completion.topic, step, count: completion.messages, completion.outcome)
            }
        }
        return bytes > 0 && inbox.ended(bytes: bytes)
    }

    // MARK: Answers

    func received(_ message: InboundMessage, now: Int64) {
        do throws(Failure) {
            let response = try Coding.decode(
                message.protobuf, as: Chaski_V1_PublishResponse.self)
            switch response.kind {
            case .bound(let bound)?:
                received(bound, now: now)
            case .results(let results)?:
                for result in results.results { try received(result, now: now) }
            case nil:
                // A kind of a later version.
                break
            }
        } catch {
            giveUpStream(error)
        }
    }

    private func received(_ bound: Chaski_V1_TopicBound, now: Int64) {
        if bound.hasStatus, let failure = bound.status.failure {
            machine.bound(alias: bound.alias, .failure(failure), now: now)
        } else {
            let topic = BoundTopic(topicID: bound.topicID, nextSequence: bound.nextSequence)
            machine.bound(alias: bound.alias, .success(topic), now: now)
        }
    }

    private func received(_ result: Chaski_V1_PublishResult, now: Int64) throws(Failure) {
        if result.hasStatus, let failure = result.status.failure {
            machine.answered(requestID: result.requestID, .failure(failure), now: now)
        } else {
            let stored = StoredAt(
                baseOffset: result.baseOffset, appendTimeNanos: result.appendUnixNanos,
                duplicate: result.duplicate,
                duplicates: try DuplicateMembers.decode(result.duplicates))
            machine.answered(requestID: result.requestID, .success(stored), now: now)
        }
    }
}

extension Failure {
    /// Whether the same request may succeed a moment later: the broker drains, or is short of
    /// something.
    var isPassing: Bool {
        retryAfterNanos != nil || code == .unavailable || reason == .draining
    }
}
