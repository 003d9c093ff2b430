import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiProtobuf
import ChaskiStreams
import ChaskiWire

/// How each request looks on the wire.
extension WireClient {
    func encode(_ request: Request, tag: UInt64) throws {
        switch request {
        case .bind(let topic, let producer, let epoch):
            try bind(topic, producer, epoch, tag: tag)
        case .publish(let index):
            let publication = simulation.oracle.publications[index]
            guard let stream = publishStream, let alias = topicAliases[publication.topic] else {
                return
            }
            let message = Chaski_V1_PublishRequest.with {
                $0.batch = .with {
                    $0.requestID = tag
                    $0.alias = alias
                    $0.baseSequence = publication.baseSequence
                }
            }
            try send(message, publication.bytes, on: stream, class: .batch)
        case .atomic(let command): try atomic(command, tag: tag)
        case .skip(let topic, _, _, let next):
            guard let stream = publishStream, let alias = topicAliases[topic] else { return }
            let message = Chaski_V1_PublishRequest.with {
                $0.skip = .with {
                    $0.requestID = tag
                    $0.alias = alias
                    $0.next = next
                }
            }
            try send(message, on: stream)
        case .open(let session, let subscription, let limit, let claims):
            try open(session, subscription, limit, claims, tag: tag)
        case .setLimit(let consumer, let limit):
            guard let (number, alias) = alias(of: consumer) else { return }
            let message = Chaski_V1_ConsumeRequest.with {
                $0.limit = .with {
                    $0.alias = number
                    $0.limit = Self.message(limit)
                }
            }
            try send(message, on: alias.stream)
        case .settle(let command): try settle(command, tag: tag)
        case .heartbeat(let session):
            guard let stream = consumeStreams[session] else { return }
            try send(
                Chaski_V1_ConsumeRequest.with { $0.heartbeat = Chaski_V1_Heartbeat() }, on: stream)
        case .close(let consumer):
            guard let (number, alias) = alias(of: consumer) else { return }
            aliases[number]?.phase = .closing(tag: tag)
            let message = Chaski_V1_ConsumeRequest.with {
                $0.unsubscribe = .with { $0.alias = number }
            }
            try send(message, on: alias.stream)
        case .call(let method, let bytes, let attachment):
            let stream = try openStream(method.rawValue)
            calls[stream] = (tag, nil)
            try machine.send(
                on: stream, protobuf: bytes, attachment: attachment, end: true, class: .rpc,
                now: now)
        }
    }

    private func atomic(_ command: AtomicCommand, tag: UInt64) throws {
        var attachment: [UInt8] = []
        var message = Chaski_V1_AtomicRequest()
        message.transactionID = Self.bytes(command.transaction.rawValue)
        for publish in command.publishes {
            message.batches.append(
                .with {
                    $0.topic = publish.topic
                    $0.batchBytes = UInt32(publish.batch.count)
                })
            attachment += publish.batch
        }
        for settlement in command.settlements {
            guard let first = settlement.ranges.first else { continue }
            message.verdicts.append(
                .with {
                    $0.subscription = settlement.subscription
                    $0.sessionID = Self.bytes(settlement.session.rawValue)
                    $0.verb = Self.verb(settlement.verb)
                    $0.epoch = first.epoch
                    if let delay = settlement.delayNanos {
                        $0.delayNanos = UInt64(clamping: delay)
                    }
                    $0.reason = settlement.reason
                    $0.ranges = UInt32(settlement.ranges.count)
                })
            TokenRanges.encode(settlement.ranges, to: &attachment)
        }
        let stream = try openStream(Method.publishAtomically.rawValue)
        calls[stream] = (tag, nil)
        try send(message, attachment[...], on: stream, end: true, class: .batch)
    }

    private func bind(_ topic: String, _ producer: Int, _ epoch: UInt32, tag: UInt64) throws {
        let stream: StreamID
        if let publishStream {
            stream = publishStream
        } else {
            stream = try openStream(Method.publish.rawValue)
            publishStream = stream
            let open = Chaski_V1_PublishRequest.with {
                $0.open = .with {
                    $0.producerID = Self.bytes(simulation.producerID(producer).rawValue)
                    $0.epoch = epoch
                }
            }
            try send(open, on: stream)
        }
        lastAlias += 1
        bindings[lastAlias] = tag
        let message = Chaski_V1_PublishRequest.with {
            $0.bind = .with {
                $0.alias = lastAlias
                $0.topic = topic
            }
        }
        try send(message, on: stream)
    }

    private func open(
        _ session: SessionID, _ subscription: String, _ limit: ConsumerLimit,
        _ claims: SessionClaims, tag: UInt64
    ) throws {
        let stream: StreamID
        if let known = consumeStreams[session] {
            stream = known
        } else {
            stream = try openStream(Method.consume.rawValue)
            consumeStreams[session] = stream
            let open = Chaski_V1_ConsumeRequest.with {
                $0.open = .with { $0.sessionID = Self.bytes(session.rawValue) }
            }
            try send(open, on: stream)
        }
        lastAlias += 1
        aliases[lastAlias] = Alias(phase: .opening(tag: tag), stream: stream)
        var attachment: [UInt8] = []
        TokenRanges.encode(claims.ranges, to: &attachment)
        let message = Chaski_V1_ConsumeRequest.with {
            $0.subscribe = .with {
                $0.alias = lastAlias
                $0.subscription = subscription
                $0.limit = Self.message(limit)
                $0.claimsEpoch = claims.ranges.first?.epoch ?? 0
                $0.claimsSubscriptionID = claims.subscription.rawValue
            }
        }
        try send(message, attachment[...], on: stream)
    }

    private func settle(_ command: SettleCommand, tag: UInt64) throws {
        guard let (number, alias) = alias(of: command.consumer), let first = command.ranges.first
        else { return }
        assert(command.ranges.allSatisfy { $0.epoch == first.epoch }, "one epoch a request")
        var attachment: [UInt8] = []
        TokenRanges.encode(command.ranges, to: &attachment)
        let message = Chaski_V1_ConsumeRequest.with {
            $0.settle = .with {
                $0.requestID = tag
                $0.alias = number
                $0.verb = Self.verb(command.verb)
                $0.epoch = first.epoch
                if let delay = command.delayNanos { $0.delayNanos = UInt64(clamping: delay) }
                $0.reason = command.reason
            }
        }
        try send(message, attachment[...], on: alias.stream)
    }

    private func alias(of consumer: ConsumerID) -> (UInt32, Alias)? {
        guard let number = UInt32(exactly: consumer.rawValue), let alias = aliases[number] else {
            return nil
        }
        return (number, alias)
    }

    private static func message(_ limit: ConsumerLimit) -> Chaski_V1_ConsumerLimit {
        .with {
            $0.messages = limit.messages
            $0.bytes = limit.bytes
        }
    }

    private static func verb(_ verb: Verb) -> Chaski_V1_SettleVerb {
        switch verb {
        case .ack: .ack
        case .retry: .retry
        case .fail: .fail
        case .release: .release
        case .extend: .extend
        }
    }

    private static func bytes(_ value: UInt128) -> [UInt8] {
        (0..<16).map { UInt8(truncatingIfNeeded: value >> UInt128($0 * 8)) }
    }
}
