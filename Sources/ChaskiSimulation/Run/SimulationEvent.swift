import ChaskiBroker
import ChaskiModel
import ChaskiMessages
import ChaskiProtobuf
import ChaskiRecords
import ChaskiStorage
import ChaskiStreams
import ChaskiWire

/// What a client sends.
enum Request {
    /// Asks for a topic by name and says that the producer is here.
    case bind(topic: String, producer: Int, epoch: UInt32)
    case publish(publication: Int)
    case atomic(AtomicCommand)
    case skip(topic: TopicID, producer: Int, epoch: UInt32, next: UInt64)
    case open(session: SessionID, subscription: String, ConsumerLimit, claims: SessionClaims)
    case setLimit(ConsumerID, ConsumerLimit)
    case settle(SettleCommand)
    case heartbeat(SessionID)
    case close(ConsumerID)
    /// A unary method with its encoded request; answered by `answered`.
    case call(Method, [UInt8], attachment: Bytes = [])
}

extension Request {
    static func createTopic(_ name: String) -> Request {
        call(.createTopic, Chaski_V1_CreateTopicRequest.with { $0.name = name })
    }

    static func createTopic(_ name: String, dedupWindowNanos: Int64) -> Request {
        call(
            .createTopic,
            Chaski_V1_CreateTopicRequest.with {
                $0.name = name
                $0.settings.dedupWindowNanos = UInt64(clamping: dedupWindowNanos)
            })
    }

    static func deleteTopic(_ name: String) -> Request {
        call(.deleteTopic, Chaski_V1_DeleteTopicRequest.with { $0.name = name })
    }

    static func createSubscription(
        _ name: String, topic: String, _ settings: SubscriptionSettings
    ) -> Request {
        call(
            .createSubscription,
            Chaski_V1_CreateSubscriptionRequest.with {
                $0.name = name
                $0.topic = topic
                $0.settings = Chaski_V1_SubscriptionSettings(settings)
            })
    }

    static func deleteSubscription(_ name: String) -> Request {
        call(.deleteSubscription, Chaski_V1_DeleteSubscriptionRequest.with { $0.name = name })
    }

    static func listDeadLetters(
        _ name: String, from: Offset, limit: UInt32, _ filter: Chaski_V1_DeadLetterFilter
    ) -> Request {
        call(
            .listDeadLetters,
            Chaski_V1_ListDeadLettersRequest.with {
                $0.subscription = name
                $0.fromOffset = from
                $0.limit = limit
                $0.filter = filter
            })
    }

    static func showDeadLetter(_ name: String, _ offset: Offset) -> Request {
        call(
            .showDeadLetter,
            Chaski_V1_ShowDeadLetterRequest.with {
                $0.subscription = name
                $0.offset = offset
            })
    }

    static func redrive(_ name: String, _ ranges: [Range<Offset>], note: String) -> Request {
        call(
            .redriveDeadLetters,
            Chaski_V1_RedriveDeadLettersRequest.with {
                $0.subscription = name
                $0.ranges = ranges.map { Chaski_V1_OffsetRange($0) }
                $0.note = note
            })
    }

    static func redriveEdited(
        _ name: String, _ offset: Offset, _ message: ChaskiModel.Message
    ) -> Request {
        var builder = RecordBatchBuilder()
        let edited = Chaski_V1_RedriveEditedRequest.with {
            $0.subscription = name
            $0.offset = offset
            $0.note = "edited"
        }
        do {
            try builder.append(message: message)
            return .call(
                .redriveEdited, try edited.serializedBytes(), attachment: builder.finish()[...])
        } catch {
            preconditionFailure("a request of our own cannot be encoded: \(error)")
        }
    }

    static func purge(_ name: String, _ ranges: [Range<Offset>]) -> Request {
        call(
            .purgeDeadLetters,
            Chaski_V1_PurgeDeadLettersRequest.with {
                $0.subscription = name
                $0.ranges = ranges.map { Chaski_V1_OffsetRange($0) }
            })
    }

    static func pause(_ name: String, forNanos: UInt64?) -> Request {
        call(
            .pauseSubscription,
            Chaski_V1_PauseSubscriptionRequest.with {
                $0.name = name
                if let forNanos { $0.forNanos = forNanos }
            })
    }

    static func resume(_ name: String) -> Request {
        call(.resumeSubscription, Chaski_V1_ResumeSubscriptionRequest.with { $0.name = name })
    }

    static func setBreaker(_ name: String, _ position: Chaski_V1_BreakerSwitch) -> Request {
        call(
            .setBreaker,
            Chaski_V1_SetBreakerRequest.with {
                $0.name = name
                $0.switch = position
            })
    }

    static func call(_ method: Method, _ message: some ChaskiProtobuf.Message) -> Request {
        do {
            return .call(method, try message.serializedBytes())
        } catch {
            preconditionFailure("a request of our own cannot be encoded: \(error)")
        }
    }
}

extension Chaski_V1_OffsetRange {
    fileprivate init(_ range: Range<Offset>) {
        self.init()
        first = range.lowerBound
        count = UInt64(range.count)
    }
}

/// What a client receives.
enum Response {
    case reply(tag: UInt64, Result<Reply, Failure>)
    case bound(tag: UInt64, TopicID?, Result<Reply, Failure>)
    case opened(tag: UInt64, ConsumerID, Result<Reply, Failure>)
    case delivery(ConsumerID, [Delivery])
    case ended(ConsumerID, Failure)
    /// What a unary method answers, encoded.
    case answered(tag: UInt64, Result<Bytes, Failure>)
}

/// What happens at a moment of virtual time. `life` names the broker process that it is for: one
/// that died meanwhile gets nothing.
enum SimulationEvent {
    case requestArrives(connection: Int, tag: UInt64, Request)
    case responseArrives(connection: Int, Response)
    /// Bytes on the wire may be read at one end.
    case bytesArrive(connection: Int, toBroker: Bool)
    case wireTimer(connection: Int, atBroker: Bool)
    /// The time of a call over the wire is over.
    case callDeadline(connection: Int, stream: StreamID)
    /// The client notices that its connection is gone.
    case connectionLost(connection: Int)
    /// The broker notices it.
    case connectionGone(connection: Int)
    case clientWakes(client: Int, generation: Int)
    case timerFires(life: Int)
    /// The journal thread writes and syncs the group that it was given.
    case groupWritten(life: Int)
    case groupAnswered(life: Int, CommitOutcome)
    case maintenanceDue(life: Int)
    case maintenanceDone(life: Int, MaintenanceReport)
    /// The upkeep thread looks for work, or does a slice of it.
    case upkeepDue(life: Int)
    case readExecuted(life: Int, ReadID, LoadPlan)
    case readAnswered(life: Int, ReadID, ReadOutcome)
    case faultStrikes
    /// By now publishes are taken again after the disk was full.
    case roomExpected(life: Int)
    case faultEnds(Fault)
    case brokerDies(life: Int, power: Bool)
    case brokerStarts
}

/// A party of the simulation outside the broker.
protocol SimulatedClient: AnyObject {
    func woken()
    func received(_ response: Response)
    func connectionLost()
    /// Faults have stopped: finish what was begun and begin nothing new.
    func drain()
    /// Nothing is left to do: show once more that everything works.
    func probe()
    /// Whether it waits for nothing any more.
    var isDone: Bool { get }
    /// For a report of a run that does not end.
    var state: String { get }
}

extension SimulatedClient {
    func probe() {}
}
