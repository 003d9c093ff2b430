import ChaskiMessages
import ChaskiModel
import ChaskiRecords
import ChaskiWire
import Logging
import NIOCore

/// A subscription's end on the event loop: runs the machine and speaks
/// `chaski.v1.Consumer/Consume`, one session and one stream for each subscription.
final class ConsumerStream: StreamOwner {
    private let link: Link
    private let core: SubscriptionCore
    private let configuration: SubscriptionConfiguration
    private let sessionID: SessionID
    private var machine: ConsumerMachine<SettleWaiter>
    private var stream: StreamID?
    private var inflater: Inflater?
    /// When the first confirmation must have come; nil once it has.
    private var startDeadlineNanos: Int64?
    /// The application was told that messages cannot be read.
    private var isStalled = false

    /// The only subscription on the stream.
    private static let alias: UInt32 = 1
    private static let method = "chaski.v1.Consumer/Consume"

    init(
        link: Link, core: SubscriptionCore, configuration: SubscriptionConfiguration,
        sessionID: SessionID, startDeadlineNanos: Int64
    ) {
        self.startDeadlineNanos = startDeadlineNanos
        self.link = link
        self.core = core
        self.configuration = configuration
        self.sessionID = sessionID
        machine = ConsumerMachine(
            subscription: core.subscription,
            maximumMessages: UInt32(clamping: configuration.maximumMessages))
    }

    /// There are verdicts.
    func flush() { turnEnded(now: Link.nowNanos()) }

    /// These will not be judged.
    func forget(_ leases: [LostLease]) { machine.forget(leases) }

    /// Takes no more deliveries and gives back what is buffered; what is being worked on stays.
    func stop() {
        machine.stopRequested(releasing: core.closeBuffer())
        flush()
    }

    /// Nothing is being worked on any more: unsubscribes once all verdicts are confirmed.
    func finish() {
        machine.stopRequested(releasing: core.closeBuffer())
        takeVerdicts()
        machine.finishRequested()
        flush()
    }

    // MARK: Link

    func linkEstablished(_ link: Link) {
        guard stream == nil, machine.end == nil else { return }
        guard case .success(let stream) = link.openStream(Self.method, for: self) else { return }
        self.stream = stream
        let open = Chaski_V1_ConsumeRequest.with {
            $0.open = .with { $0.sessionID = sessionID.rawValue.littleEndianBytes }
        }
        guard send(open) else { return }
        machine.connected()
        // At once: an atomic request that is sent again comes behind the claims of what it settles.
        sendRequests(now: Link.nowNanos())
    }

    func linkLost(_ failure: Failure, now: Int64) {
        stream = nil
        machine.connectionLost(now: now)
    }

    func linkClosed(_ failure: Failure) {
        stream = nil
        takeVerdicts()
        machine.ended(failure)
        tell()
    }

    func streamEnded(_ failure: Failure?, now: Int64) {
        stream = nil
        if let failure, !failure.isPassing {
            machine.ended(failure)
        } else {
            machine.connectionLost(now: now)
        }
    }

    func ticked(now: Int64) {
        if stream == nil, link.isEstablished { linkEstablished(link) }
        if let deadline = startDeadlineNanos, deadline <= now {
            startDeadlineNanos = nil
            machine.ended(
                Failure(
                    .deadlineExceeded, .timedOut,
                    "the subscription \(core.subscription) was not confirmed in time"))
        }
        machine.timerFired(now: now)
        turnEnded(now: now)
    }

    // MARK: Requests

    func turnEnded(now: Int64) {
        takeVerdicts()
        sendRequests(now: now)
        tell()
    }

    private func sendRequests(now: Int64) {
        while let stream, link.isWritable(stream), let request = machine.nextRequest(now: now) {
            guard send(request) else { break }
        }
    }

    /// Takes deliveries out for an atomic request.
    func entrust(
        _ leases: [LostLease]
    ) -> Result<(session: SessionID, parts: [EntrustedRanges]), any Error> {
        takeVerdicts()
        do throws(Failure) {
            return .success((sessionID, try machine.entrust(leases)))
        } catch {
            return .failure(error)
        }
    }

    /// An atomic request has its outcome.
    func transactionEnded(_ leases: [LostLease], isSettled: Bool) {
        machine.transactionEnded(leases, isSettled: isSettled)
        flush()
    }

    private func takeVerdicts() {
        let (acks, others) = core.takeVerdicts()
        for item in acks { machine.settled(item, .ack) }
        for settlement in others { machine.settled(settlement.item, settlement.verdict) }
    }

    /// Tells the waiting, and everybody when it is over.
    private func tell() {
        tellOutcomes()
        guard let end = machine.end else { return }
        if let stream { link.closeStream(stream) }
        stream = nil
        link.remove(self)
        core.ended(end)
    }

    private func tellOutcomes() {
        let lost = machine.takeLost()
        if !lost.isEmpty { core.lost(lost) }
        let completions = machine.takeCompletions()
        for waiter in completions.confirmed { waiter.confirmed() }
        for (waiter, failure) in completions.failed { waiter.failed(failure) }
    }

    private func send(_ request: ConsumerRequest) -> Bool {
        switch request {
        case .subscribe(let messages, let claims, let claimsEpoch, let claimsOf):
            return send(
                .with {
                    $0.subscribe = .with {
                        $0.alias = Self.alias
                        $0.subscription = core.subscription
                        $0.limit = limit(messages)
                        $0.claimsEpoch = claimsEpoch
                        $0.claimsSubscriptionID = claimsOf.rawValue
                    }
                }, ranges: claims)
        case .limit(let messages):
            return send(
                .with {
                    $0.limit = .with {
                        $0.alias = Self.alias
                        $0.limit = limit(messages)
                    }
                })
        case .settle(let requestID, let verdict, let epoch, let ranges):
            return send(
                .with {
                    $0.settle = .with {
                        $0.requestID = requestID
                        $0.alias = Self.alias
                        $0.verb = verdict.verb.settleVerb
                        $0.epoch = epoch
                        if let delay = verdict.delayNanos {
                            $0.delayNanos = UInt64(clamping: delay)
                        }
                        $0.reason = verdict.reason
                        $0.code = verdict.code
                    }
                }, ranges: ranges)
        case .heartbeat:
            return send(.with { $0.heartbeat = Chaski_V1_Heartbeat() })
        case .unsubscribe:
            return send(.with { $0.unsubscribe = .with { $0.alias = Self.alias } })
        }
    }

    private func limit(_ messages: UInt32) -> Chaski_V1_ConsumerLimit {
        .with {
            $0.messages = messages
            $0.bytes = messages == 0 ? 0 : max(1, configuration.maximumBytes)
        }
    }

    private func send(_ request: Chaski_V1_ConsumeRequest, ranges: [TokenRange] = []) -> Bool {
        guard let stream else { return false }
        var attachment: [UInt8] = []
        if !ranges.isEmpty { TokenRanges.encode(ranges, to: &attachment) }
        let failure: Failure?
        do throws(Failure) {
            failure = link.send(
                on: stream, protobuf: try Coding.encode(request), attachment: attachment[...],
                class: .control)
        } catch {
            failure = error
        }
        guard let failure else { return true }
        giveUpStream(failure, now: Link.nowNanos())
        return false
    }

    private func giveUpStream(_ failure: Failure, now: Int64) {
        link.configuration.logger.warning(
            "the stream of \(core.subscription) is given up: \(failure.message)")
        if let stream { link.reset(stream, failure) }
        stream = nil
        machine.connectionLost(now: now)
    }

    // MARK: Answers

    func received(_ message: InboundMessage, now: Int64) {
        do throws(Failure) {
            let response = try Coding.decode(
                message.protobuf, as: Chaski_V1_ConsumeResponse.self)
            switch response.kind {
            case .subscribed(let subscribed)?:
                try received(subscribed, message.attachment, now: now)
            case .deliver(let deliver)?:
                try received(deliver, message.attachment)
            case .settled(let settled)?:
                try received(settled, message.attachment, now: now)
            case .ended(let ended)?:
                received(ended, now: now)
            case .stalled(let stalled)?:
                received(stalled)
            case nil:
                // A kind of a later version.
                break
            }
        } catch {
            giveUpStream(error, now: now)
        }
    }

    private func received(
        _ subscribed: Chaski_V1_Subscribed, _ attachment: Bytes, now: Int64
    ) throws(Failure) {
        let held = try TokenRanges.decode(attachment, epoch: subscribed.epoch)
        core.topic = SubscriptionCore.Source(
            topic: subscribed.topic, incarnation: max(1, subscribed.topicIncarnation),
            isOrdered: subscribed.ordered)
        machine.subscribed(
            SubscriptionID(rawValue: subscribed.subscriptionID), epoch: subscribed.epoch,
            leaseNanos: Int64(clamping: subscribed.leaseNanos),
            held: held, now: now)
        startDeadlineNanos = nil
        core.started()
        // A new stream begins without a stall; one that goes on is told again.
        if isStalled { tellStall(nil) }
    }

    private func received(
        _ settled: Chaski_V1_Settled, _ attachment: Bytes, now: Int64
    ) throws(Failure) {
        let refused = try SettleRejections.decode(attachment)
        machine.answered(
            requestID: settled.requestID, settled.hasStatus ? settled.status.failure : nil,
            refused: refused, now: now)
    }

    private func received(_ ended: Chaski_V1_SubscriptionEnded, now: Int64) {
        let failure = ended.hasStatus ? ended.status.failure : nil
        if let failure, failure.isPassing {
            giveUpStream(failure, now: now)
        } else {
            machine.ended(failure)
        }
    }

    private func received(_ stalled: Chaski_V1_Stalled) {
        tellStall(stalled.hasStatus ? stalled.status.failure : nil)
    }

    private func tellStall(_ failure: Failure?) {
        isStalled = failure != nil
        let logger = link.configuration.logger
        if let failure {
            logger.warning(
                "messages of \(core.subscription) cannot be read: \(failure.message)")
        } else {
            logger.notice("messages of \(core.subscription) can be read again")
        }
        configuration.onStall?(failure.map { ChaskiError($0) })
    }

    private func received(
        _ deliver: Chaski_V1_Deliver, _ attachment: Bytes
    ) throws(Failure) {
        // What comes now is newer than a message that was given back before.
        tellOutcomes()
        for section in try DeliverySections.decode(attachment) {
            try deliverSection(section, epoch: deliver.epoch)
        }
    }

    private func deliverSection(_ section: DeliverySection, epoch: UInt32) throws(Failure) {
        let view = try RecordBatchView(
            validating: section.batch, limits: .maximum, origin: .delivered)
        let inflater = self.inflater ?? Inflater()
        self.inflater = inflater
        var payloads = view.payloads(using: inflater)
        var deliveries: [Delivery] = []
        deliveries.reserveCapacity(view.count)
        var place = 0
        for run in section.runs {
            guard
                machine.delivered(
                    first: run.first, count: run.count, handout: run.handout, epoch: epoch)
            else { throw Self.brokenDelivery("more messages than may be held") }
            for step in 0..<UInt64(run.count) {
                let offset = run.first &+ step
                guard let header = view.header(from: &place, offset: offset) else {
                    throw Self.brokenDelivery("offset \(offset) is not in its batch")
                }
                take(
                    view, header, &payloads, run: run, epoch: epoch, offset: offset,
                    into: &deliveries)
            }
        }
        guard core.deliver(deliveries) else {
            machine.release(
                deliveries.map { LostLease(offset: $0.offset, handout: $0.handout) })
            return
        }
    }

    /// One message, or, where it did not come as it was published, a failed attempt.
    private func take(
        _ view: RecordBatchView, _ header: RecordHeader, _ payloads: inout PayloadReader,
        run: DeliveredRun, epoch: UInt32, offset: Offset, into deliveries: inout [Delivery]
    ) {
        do throws(Failure) {
            deliveries.append(
                Delivery(
                    record: try view.record(header, payloads: &payloads),
                    handout: run.handout, epoch: epoch, failedBefore: run.failed,
                    appendTimeNanos: view.appendTimeNanos, core: core))
        } catch {
            let item = SettleItem<SettleWaiter>(
                offset: offset, handout: run.handout, waiter: nil)
            machine.settled(item, Verdict(.retry, reason: "unreadable: \(error.message)"))
        }
    }

    private static func brokenDelivery(_ what: String) -> Failure {
        Failure(.internalError, .protocolError, "the broker sent a delivery with \(what)")
    }
}

extension RecordBatchView {
    /// The record of `offset`, looked for from `place` on; `place` is then behind it. Nil where
    /// there is none.
    func header(from place: inout Int, offset: Offset) -> RecordHeader? {
        let base = baseOffset
        while place < count {
            let header = header(at: place)
            let found = base &+ UInt64(header.index)
            if found > offset { return nil }
            place += 1
            if found == offset { return header }
        }
        return nil
    }
}

extension Verb {
    var settleVerb: Chaski_V1_SettleVerb {
        switch self {
        case .ack: .ack
        case .retry: .retry
        case .fail: .fail
        case .release: .release
        case .extend: .extend
        }
    }
}
